"""Put what becomes of model files into words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galamsey.storage import Step
from galamsey.wording import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galamsey.storage import Job, Stored, StoredModel

REVISION_SHOWN = 12
"""Characters of a commit that tell it from others."""


def job_line(job: Job) -> str:
    """Say what is being done with which model."""
    return f"{job.name}: {job.step.value[0].lower()}{job.step.value[1:]}"


def job_detail(job: Job) -> str:
    """Say how far it is: bytes, speed and time left; or what there is to say of its end."""
    if job.step in (Step.FAILED, Step.DONE, Step.WAITING) and job.note:
        return job.note
    parts = []
    if job.loaded_bytes or job.total_bytes:
        total = f" of {format_bytes(job.total_bytes)}" if job.total_bytes else ""
        parts.append(f"{format_bytes(job.loaded_bytes)}{total}")
    if job.step is Step.DOWNLOADING and job.bytes_per_second:
        parts.append(f"{format_bytes(job.bytes_per_second)}/s")
    if job.step in (Step.DOWNLOADING, Step.ELSEWHERE) and job.seconds_left is not None:
        parts.append(f"{format_seconds(job.seconds_left)} left")
    return ", ".join(parts)


def job_short(job: Job) -> str:
    """Say it in the width of the bar."""
    if job.step is Step.PAUSED or not job.total_bytes:
        return job.step.value
    return f"{job.step.value} {100 * job.loaded_bytes // job.total_bytes} %"


def stored_detail(one: StoredModel) -> str:
    """Describe a stored model."""
    origin = "loaded from disk" if one.from_disk else f"from {one.base_url.split('/')[2]}"
    revision = f", revision {one.revision[:REVISION_SHOWN]}" if one.revision else ""
    whole = "" if one.complete else "unfinished, "
    return f"{whole}{format_bytes(one.bytes)} in {len(one.paths)} files, {origin}{revision}"


def storage_summary(stored: Stored) -> str:
    """Say how much is kept, and whether it is safe."""
    if stored.unavailable:
        return f"This browser keeps nothing here ({stored.unavailable}): models last as long as the page."
    used = f"{format_bytes(stored.usage_bytes)} used"
    room = f" of the {format_bytes(stored.quota_bytes)} that the browser allows" if stored.quota_bytes else ""
    safe = (
        "It promised to keep them until you delete them."
        if stored.persisted
        else "It may clear them when the disk runs full: an export to disk is safe from that."
    )
    return f"{used}{room}. {safe}"


def kept_in_memory(memory_only: Mapping[str, Any] | None) -> str:
    """Say why a model is not kept, and what that means; empty where it is kept."""
    if memory_only is None:
        return ""
    lasts = "The model works until this page is closed, and must then be fetched again."
    if memory_only["reason"] == "unavailable":
        return f"This browser stores nothing here, as private windows do. {lasts}"
    missing = memory_only["missing_bytes"]
    much = f": {format_bytes(missing)} are missing" if missing else ""
    return f"There is not enough room in this browser's storage{much}. {lasts}"


def gone(stored: Stored) -> str:
    """Say that the browser has cleared its storage."""
    why = f" ({stored.unavailable})" if stored.unavailable else ""
    return (
        f"The model that was kept here is gone: this browser has cleared the page's storage{why}, and findings kept "
        "here with it. Fetch the model again, or load it from disk."
    )


def verified(end: Mapping[str, Any]) -> str:
    """Say what a check found."""
    checked = format_bytes(end["checked_bytes"])
    if not end["damaged"]:
        return f"{checked} checked: every part is what it was."
    parts = "part was" if end["damaged"] == 1 else "parts were"
    return f"{checked} checked: {end['damaged']} damaged {parts} fetched again."


def imported(end: Mapping[str, Any]) -> str:
    """Say what was taken from a disk."""
    size = format_bytes(sum(file["size"] for file in end["files"]))
    return f"{len(end['files'])} files taken, {size}. {kept_in_memory(end['memory_only'])}".strip()


def exported(end: Mapping[str, Any]) -> str:
    """Say what was written."""
    return f"Written: an archive of {format_bytes(end['bytes'])}. Load it on another device with “Zip archive”."
