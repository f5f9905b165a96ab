"""Put what left the device into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galamsey.wording import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galamsey.privacy import Asked, Host


def bar_word(*, online: bool, locked: bool) -> str:
    """Say in the bar whether anything can leave: lockdown first, because the person chose it."""
    if locked:
        return "Lockdown"
    return "Online" if online else "Offline"


def host_detail(host: Host) -> str:
    """Say what a host is asked for, when, and what it learns."""
    return (
        f"{host.purpose[:1].upper()}{host.purpose[1:]}, {host.when}. Learns: {host.learns[:1].lower()}{host.learns[1:]}"
    )


def asked_line(one: Asked) -> Mapping[str, str]:
    """Return the cells of one row of the log."""
    refused = f"{one.refused} refused" if one.refused else ""
    return {
        "name": one.host,
        "purpose": one.purpose,
        "requests": ", ".join(part for part in (str(one.requests) if one.requests else "", refused) if part),
        "sent": format_bytes(one.sent_bytes),
        "received": format_bytes(one.received_bytes),
    }


def log_summary(asked: Sequence[Asked]) -> str:
    """Say in one line what was asked of other hosts since the page was opened."""
    requests = sum(one.requests for one in asked)
    refused = sum(one.refused for one in asked)
    stopped = f" {_count(refused, 'request was', 'requests were')} refused." if refused else ""
    if not requests:
        return f"Nothing has been asked of any other host since the page was opened.{stopped}"
    sent, received = (sum(getattr(one, name) for one in asked) for name in ("sent_bytes", "received_bytes"))
    where = _count(sum(one.requests > 0 for one in asked), "host", "hosts")
    return (
        f"{_count(requests, 'request', 'requests')} to {where} since the page was opened: {format_bytes(sent)} sent, "
        f"{format_bytes(received)} received.{stopped}"
    )


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
