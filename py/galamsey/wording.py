"""Put results into the words that the page and the exports use."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, cast

from galamsey.chips import CHIP_SIZE
from galamsey.coordinates import format_decimal, format_utm
from galamsey.doubt import HIGH_SCORE, LOW_SCORE, decision_note, is_narrow, margin_words, unsure_note
from galamsey.geo import PointXY, to_lonlat
from galamsey.indices import read_pixel
from galamsey.models import build_name, fingerprint
from galamsey.ownimage import BandImage
from galamsey.planner import weights_bytes
from galamsey.product import product_words
from galamsey.prose import counted_sites
from galamsey.refine import METHOD
from galamsey.scenes import BAND_NUMBERS, BANDS, format_date
from galamsey.sites import BOX_OVERSTATES
from galamsey.state import ModelStage, Stage
from galamsey.wording_engine import RESTARTED, engine_failure, restarted, sentence

if TYPE_CHECKING:
    from galamsey.chips import Chip
    from galamsey.models import Model
    from galamsey.ownimage import OwnChip
    from galamsey.pipeline import Request, SceneChosen
    from galamsey.planner import Plan
    from galamsey.refine import Refined
    from galamsey.sites import Site
    from galamsey.state import ModelState, Run

Tone = Literal["working", "suspected", "clean", "doubtful", "problem"]

BAND_NAMES: Final = tuple(number for key, number in BAND_NUMBERS if key in BANDS)
"""ESA's numbers of the bands, in the order of ``BANDS``."""

KB: Final = 1000
MINUTE_S: Final = 60


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The one line that the page is for, and what must be said beneath it."""

    tone: Tone
    line: str
    detail: str = ""


def format_ha(area_ha: float | None) -> str:
    """Write an area with one decimal, or two where one would hide it."""
    if area_ha is None:
        return "size unknown"
    return f"{area_ha:.1f} ha" if area_ha >= 1 else f"{area_ha:.2f} ha"


def format_bytes(count: float) -> str:
    """Write a number of bytes in decimal units."""
    for unit in ("B", "kB", "MB"):
        if count < KB:
            return f"{count:.0f} {unit}" if unit != "MB" else f"{count:.1f} {unit}"
        count /= KB
    return f"{count:.2f} GB"


def format_seconds(seconds: float) -> str:
    """Write a duration as a person would say it."""
    if seconds < 10:  # noqa: PLR2004 - a tenth matters only below ten seconds
        return f"{seconds:.1f} s"
    if seconds < MINUTE_S:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), MINUTE_S)
    return f"{minutes} min {rest} s"


def score_word(token_score: float) -> str:
    """Name a token score."""
    if token_score < LOW_SCORE:
        return "low"
    return "medium" if token_score < HIGH_SCORE else "high"


def score_text(token_score: float) -> str:
    """Write a token score for people: its word, and the number."""
    return f"{score_word(token_score)} {token_score:.2f}"


def disturbed_words(refined: Refined) -> str:
    """Write a disturbed area with its range."""
    digits = 1 if refined.area_ha >= 1 else 2
    return f"{format_ha(refined.area_ha)} disturbed ({refined.low_ha:.{digits}f}-{refined.high_ha:.{digits}f})"


def count_sites(count: int) -> str:
    """Write a number of sites."""
    return f"{count} suspected mining site{'' if count == 1 else 's'}"


def description_note(run: Run) -> str:
    """Say where a complete description and the boxes contradict each other; empty where they do not."""
    if run.found is None or run.stage is not Stage.DONE:
        return ""
    told, shown = counted_sites(run.description), len(run.sites)
    if told is None or told == shown:
        return ""
    words = "no mining" if told == 0 else count_sites(told)
    boxes = "no box" if shown == 0 else f"{shown} box{'' if shown == 1 else 'es'}"
    return f"These words speak of {words}, the detection shows {boxes}. Go by the boxes and the picture."


def verdict(run: Run) -> Verdict:  # noqa: PLR0911 - one for each outcome
    """Say what came of a run, or what it is doing."""
    if run.kept is not None:
        return Verdict(tone=cast("Tone", run.kept.tone), line=run.kept.line, detail=run.kept.detail)
    if run.found is not None:
        finding = _finding(run)
        if run.stage is Stage.FAILED:
            return replace(finding, detail=f"{finding.detail} The description failed: {run.problem}.")
        return finding
    if run.stage is Stage.FAILED:
        return _failure(run)
    if run.unreadable is not None:
        return Verdict(
            tone="problem",
            line="Unreadable answer from the model",
            detail="It wrote something that is no list of boxes. This says nothing about mining here: try the other "
            "sensitivity, or another model.",
        )
    if run.stage is Stage.CANCELLED:
        return Verdict(tone="doubtful", line="Cancelled", detail="Nothing was decided about this chip.")
    line = f"{count_sites(len(run.sites))} so far" if run.sites else run.stage.value
    return Verdict(tone="working", line=line, detail=RESTARTED if run.restarts else "")


def _failure(run: Run) -> Verdict:
    if run.problem_kind == "NoUsableImageError":
        reason, _, cause = run.problem.partition("; ")
        cause = f"{cause[:1].upper()}{cause[1:]}. " if cause else ""
        return Verdict(
            tone="doubtful",
            line=f"No usable image: {reason}",
            detail=f"{cause}This says nothing about mining here. "
            + (
                "Choose another chip."
                if run.request.own
                else "Pick another date or a median of several dates below, or move the point."
            ),
        )
    if run.problem_kind == "NoSceneError":
        return Verdict(
            tone="doubtful",
            line="No image in the catalogue",
            detail=f"{run.problem[:1].upper()}{run.problem[1:]}. This says nothing about mining here.",
        )
    if run.problem_kind == "EngineError":
        line, detail = engine_failure(run.problem_cause, run.problem)
        return Verdict(tone="problem", line=line, detail=detail)
    if run.problem_kind == "LockdownError":
        return Verdict(
            tone="doubtful",
            line="Not looked at: lockdown is on",
            detail=f"{run.problem[:1].upper()}{run.problem[1:]}. This says nothing about mining here. Switch lockdown "
            "off under “Lockdown” in the bar, or look at what is on this device.",
        )
    problem = run.problem[:1].upper() + run.problem[1:].rstrip(".")
    return Verdict(
        tone="problem",
        line="The run did not finish",
        detail=f"{problem}. This says nothing about mining here. Run again; if that fails too, reload the page.",
    )


def _finding(run: Run) -> Verdict:
    found = run.found
    if found is None:
        raise ValueError("expected a run with a finding")
    if not found.sites:
        misses = "The model can miss mines, small ones above all."
        return Verdict(
            tone="doubtful" if is_narrow(found.parsed) else "clean",
            line="No mining found in this chip by this model",
            detail=f"{decision_note(found.parsed)} {misses}".strip(),
        )
    area, refined = found.union_ha, found.refined
    notes = [
        f"Boxes hold undisturbed ground too: even perfect ones cover about {BOX_OVERSTATES:g} times the mined area."
    ]
    if refined is not None and round(refined.hidden_percent) > 0:
        notes.append(
            f"Cloud or missing data hide {refined.hidden_percent:.0f} % of the boxes: nothing is counted there."
        )
    if area is None:
        notes.append("No hectares: the size of a pixel is unknown.")
    if found.parsed.cut_off:
        notes.append("The model's list was cut off: there may be more.")
    if found.parsed.dropped:
        entries = "entry was" if found.parsed.dropped == 1 else "entries were"
        notes.append(f"{found.parsed.dropped} unusable {entries} left out.")
    notes += [note for note in (decision_note(found.parsed), unsure_note(found.sites)) if note]
    return Verdict(
        tone="suspected",
        line=count_sites(len(found.sites))
        + ("" if refined is None else f", {disturbed_words(refined)}")
        + ("" if area is None else f", {format_ha(area)} in boxes"),
        detail=" ".join(notes),
    )


def site_areas(site: Site, refined: Refined | None) -> tuple[str, str]:
    """Return a site's first hectares and what else to say of its area."""
    own = next((one for one in refined.sites if one.number == site.number), None) if refined else None
    if own is None:
        return format_ha(site.box_area_ha), "box area"
    return format_ha(own.area_ha), f"disturbed of {format_ha(site.box_area_ha)} in the box"


def method_words(refined: Refined) -> str:
    """Say how the disturbed area of this chip was measured."""
    return f"{METHOD} In this chip NDVI below {refined.ndvi_below:.2f} counts."


def site_place(site: Site) -> str:
    """Say where a site is: in degrees, or on the chip where there is no place on the ground."""
    if site.centre is not None:
        return format_decimal(site.centre)
    x1, y1, x2, y2 = (round(CHIP_SIZE * edge) for edge in site.box)
    return f"pixels {x1}-{x2} across, {y1}-{y2} down"


def when_and_cloud(run: Run) -> str:
    """Say when the image was taken and how much of the chip is hidden."""
    if run.kept is not None:
        return run.kept.when
    if run.scene is None:
        return ""
    if run.scene.median_of:
        newest, oldest = run.scene.median_of[0], run.scene.median_of[-1]
        return f"Median of {len(run.scene.median_of)} dates, {format_date(oldest)} to {format_date(newest)} (UTC)"
    scene = run.scene.scene
    return f"{format_date(scene.acquired)} (UTC), {run.scene.chip_cloud_percent:.0f} % of the chip under cloud"


def why_this_image(run: Run) -> str:
    """Say why this image was taken of those on offer."""
    if run.kept is not None:
        return run.kept.why
    if run.scene is None:
        return ""
    said = f"{run.scene.reason[:1].upper()}{run.scene.reason[1:]}."
    if run.scene.placement.startswith("whole") and "moved" not in run.scene.placement:
        return said
    return f"{said} The chip is {run.scene.placement.removeprefix('whole, from one scene, ')}."


def _acquired(chosen: SceneChosen) -> str:
    scene = chosen.scene
    if chosen.median_of:
        return f"{', '.join(format_date(day) for day in chosen.median_of)} (UTC)"
    return f"{scene.acquired:%Y-%m-%d %H:%M:%S} UTC by {scene.platform}"


def pixel_words(chip: Chip, row: int, col: int) -> str:
    """Say what one pixel holds: where it lies, the reflectance of each band, the indices."""
    reading = read_pixel(chip, row, col)
    grid = chip.grid
    x, y = grid.origin.x + (col + 0.5) * grid.gsd_m, grid.origin.y - (row + 0.5) * grid.gsd_m
    place = f"{format_decimal(to_lonlat(PointXY(x, y), grid.epsg))}, " if grid.placed else ""
    where = f"{place}column {col}, row {row}"
    hidden = ", hidden by cloud, shadow or missing data" if reading.hidden else ""
    if reading.reflectance is None:
        return f"{where}\nNo value here: missing, saturated or corrupt"
    if all(math.isnan(value) for value in reading.reflectance):
        return f"{where}{hidden}\nThis file holds no reflectance"
    bands = "  ".join(
        f"{name} {'not in the file' if math.isnan(value) else f'{value:.3f}'}"
        for name, value in zip(BAND_NAMES, reading.reflectance, strict=True)
    )
    indices = "  ".join(
        f"{name} {'(no water)' if value is None else f'{value:+.2f}'}" for name, value in reading.indices
    )
    return f"{where}{hidden}\n{bands}\n{indices}"


def model_status(model: ModelState) -> str:
    """Say in a few words what the model is doing."""
    if model.stage is ModelStage.DOWNLOADING and model.transfer is not None:
        transfer = model.transfer
        total = f" of {format_bytes(transfer.total_bytes)}" if transfer.total_bytes else ""
        speed = f", {format_bytes(transfer.bytes_per_second)}/s" if transfer.bytes_per_second else ""
        left = "" if transfer.seconds_left is None else f", {format_seconds(transfer.seconds_left)} left"
        return f"{format_bytes(transfer.loaded_bytes)}{total}{speed}{left}"
    if model.stage is ModelStage.READY and model.plan is not None:
        return f"{device_name(model.plan.device)}, {build_name(model.plan.dtype)}"
    return model.problem or model.stage.value


def model_detail(model: ModelState) -> str:
    """Say at more length what the model is doing: the progress of a transfer, or why it computes where it does."""
    if model.stage in {ModelStage.READY, ModelStage.STARTING} and model.plan is not None:
        cost = f" {model.plan.cost[:1].upper()}{model.plan.cost[1:]}." if model.plan.cost else ""
        return f"Computes {model.plan.reason}.{cost}"
    if model.stage is ModelStage.DOWNLOADING:
        return model_status(model)
    return model.problem


def way_name(way: Plan) -> str:
    """Name a way of loading."""
    return f"{device_name(way.device)}, {build_name(way.dtype)}"


def way_detail(model: Model, way: Plan) -> str:
    """Say what a way of loading costs."""
    size = weights_bytes(model, way.dtype)
    needs = f"Weights of about {format_bytes(size)}." if size else ""
    return " ".join(part for part in (sentence(way.cost) if way.cost else "", needs) if part) or "Costs nothing more."


def device_name(device: str) -> str:
    """Name a backend for people."""
    return {"webgpu": "WebGPU (graphics processor)", "wasm": "wasm (main processor)"}.get(device, device)


def place_title(run: Run) -> tuple[str, str]:
    """Say where a chip lies, for the head of the page: in degrees, and in metres."""
    if run.kept is not None:
        return run.kept.place, run.kept.place_utm
    point, own = run.request.point, run.request.own
    if point is not None:
        return format_decimal(point), f"UTM {format_utm(point)}"
    return own_place(own) if own is not None else "", "Without a place on the map"


def place_text(run: Run) -> str:
    """Say where a chip lies: in degrees and metres, or which part of a file it is."""
    point = run.request.point
    if point is not None:
        return f"{format_decimal(point)} ({format_utm(point)})"
    return own_place(run.request.own) if run.request.own else ""


def own_place(own: OwnChip) -> str:
    """Say which part of a file a chip is."""
    return f"Pixels from column {own.window.col_off}, row {own.window.row_off}"


def _catalogue_rows(request: Request) -> list[tuple[str, str]]:
    return [("Catalogue", request.catalogue.name), ("Dates searched", str(request.period))]


def _own_rows(own: OwnChip) -> list[tuple[str, str]]:
    image = own.image
    rows = [("Own file", image.title), ("Sent", "nothing: the file was read on this device")]
    if image.date:
        rows.append(("Date in the file", image.date))
    if isinstance(image, BandImage):
        rows.append(("Bands", ", ".join(f"{band}: {image.layers[i].name}" for band, i in image.mapping.items())))
        rows.append(("Bands told", image.reason))
        if image.product is not None and (known := product_words(image.product)):
            rows.append(("Sentinel-2 product", known))
    else:
        rows += [("Picture", note) for note in image.notes]
    return rows + [("Outside the training", caution.title) for caution in image.cautions() if caution.level != "note"]


def _model_rows(model: ModelState) -> list[tuple[str, str]]:
    """Say exactly which files the model was."""
    rows = [("Model source", model.model.base_url)] if model.model.download_mb else []
    if model.revision:
        rows.append(("Model revision", model.revision))
    if model.files:
        rows.append(("Model SHA-256", f"{fingerprint(model.files)}, of the list of its files ({len(model.files)})"))
    return rows


def _read_words(bytes_read: int, least_bytes: int) -> str:
    if bytes_read < least_bytes:
        return f"{format_bytes(bytes_read)} over the network, the rest from this device"
    return f"{format_bytes(bytes_read)}, at least {format_bytes(least_bytes)}"


def provenance(run: Run) -> list[tuple[str, str]]:
    """Return everything needed to repeat a finding, as names and values."""
    if run.kept is not None:
        return list(run.kept.provenance)
    request = run.request
    rows = [
        ("Place", place_text(run)),
        *(_own_rows(request.own) if request.own else _catalogue_rows(request)),
        ("Sensitivity", request.sensitivity.name),
        ("Started", f"{run.started:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    if run.scene is not None:
        scene = run.scene.scene
        rows += [
            ("Found in", scene.found_in or request.catalogue.name),
            ("Scene" if len(run.scene.scenes) == 1 else "Scenes", ", ".join(one.id for one in run.scene.scenes)),
            ("Acquired", _acquired(run.scene)),
            ("Cloud", f"{run.scene.chip_cloud_percent:.1f} % of the chip, {scene.cloud_percent:.1f} % of the scene"),
            ("Choice", f"{run.scene.reason}; {run.scene.examined} of {run.scene.candidates} dates on offer looked at"),
            ("Placement", run.scene.placement),
        ]
    if run.grid is not None and run.grid.placed:
        rows.append(("Chip", f"EPSG:{run.grid.epsg}, upper left {run.grid.origin.x:.0f} {run.grid.origin.y:.0f}"))
    if run.composed is not None:
        rows.append(("Offset rule", run.composed.chip.offset_rule.reason))
    if run.composed is not None and request.own is None:
        rows += [
            ("Read", _read_words(run.composed.bytes_read, run.composed.least_bytes)),
        ]
    if run.model is not None and run.model.plan is not None:
        plan = run.model.plan
        rows += [
            ("Model", run.model.model.id),
            ("Computed", f"{device_name(plan.device)}, {build_name(plan.dtype)}: {plan.reason}"),
            *_model_rows(run.model),
        ]
    if run.found is not None and run.found.parsed.margin is not None:
        boxes = "boxes rather than none" if run.found.parsed.detections else "no boxes rather than some"
        rows.append(("Decision", f"{boxes}, by {margin_words(run.found.parsed.margin)} of token probability"))
    if run.restarts:
        rows.append(("Engine", restarted(run.restarts)))
    rows += [(f"Time, {stage}", format_seconds(ms / KB)) for stage, ms in run.timings_ms]
    answer = run.found.text if run.found else run.unreadable.text if run.unreadable else ""
    if answer:
        rows.append(("Model's answer", answer))
    return rows
