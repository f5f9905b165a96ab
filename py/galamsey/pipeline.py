"""One run: from a point to sites and a description, each stage reported as soon as it is known."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from galamsey.chips import (
    Chip,
    band_window,
    chip_window,
    make_chip,
    obscured_mask,
    provisional_grid,
    share_percent,
    to_chip,
)
from galamsey.composites import Composite, rgb_composite, swir_composite
from galamsey.detections import ParsedAnswer, parse_answer, suppress
from galamsey.drafts import description, detection
from galamsey.errors import ModelOutputError, NoSceneError, NoUsableImageError
from galamsey.protocol import Answered, Grown
from galamsey.scenes import BANDS, SCL, SceneQuery, format_date
from galamsey.sites import Site, locate, union_area_ha

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from numpy import generic
    from numpy.typing import NDArray

    from galamsey.chips import Raster, RasterHeader
    from galamsey.drafts import Question
    from galamsey.geo import Grid, Point, Window
    from galamsey.prompts import Sensitivity
    from galamsey.protocol import Answer
    from galamsey.scenes import Catalogue, Period, Scene

MAX_SCENE_CLOUD_PERCENT: Final = 70.0
"""A cloudier scene seldom shows a whole chip; fewer candidates, fewer bytes."""

CLEAR_CHIP_PERCENT: Final = 5.0
"""Cloud that ends the search for a better date."""

MAX_CHIP_CLOUD_PERCENT: Final = 30.0
"""Cloud up to which the least cloudy date is still worth asking about."""

MAX_CANDIDATES: Final = 6
"""Dates whose scene classification is read before the best of them is taken."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a run may use of the outside world."""

    search: Callable[[Catalogue, SceneQuery], Awaitable[Sequence[Scene]]]
    """Scenes that answer the query, newest first."""
    read_header: Callable[[str], Awaitable[RasterHeader]]
    read_window: Callable[[str, Window], Awaitable[Raster]]
    ask: Callable[[Sequence[Composite], Sequence[Question]], AsyncGenerator[Grown | Answered, None]]
    """Answers to questions about the same composites, in order, as they grow; the model sees the pictures once."""
    seconds: Callable[[], float]
    """A clock that only runs forward."""
    breathe: Callable[[], Awaitable[None]]
    """Let the page draw between two steps of computing."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the person asked for."""

    point: Point
    catalogue: Catalogue
    period: Period
    sensitivity: Sensitivity


@dataclass(frozen=True, kw_only=True)
class ChipOutlined:
    """The chip's place on the ground, provisional until the scene is known."""

    grid: Grid


@dataclass(frozen=True, kw_only=True)
class SceneChosen:
    """The acquisition to look at."""

    scene: Scene
    chip_cloud_percent: float
    candidates: int
    """How many dates were in question."""
    examined: int
    """How many of them were looked into."""


@dataclass(frozen=True, kw_only=True)
class ChipComposed:
    """The bands were read and both pictures made."""

    chip: Chip
    rgb: Composite
    swir: Composite
    bytes_read: int
    """Over the network, for the six bands."""
    least_bytes: int
    """What the tiles under the chip and the headers hold: the least that could have crossed."""


@dataclass(frozen=True, kw_only=True)
class AnswerGrew:
    """The model's list of boxes so far."""

    text: str


@dataclass(frozen=True, kw_only=True)
class SitesFound:
    """The detection is complete; no sites is a valid finding."""

    sites: tuple[Site, ...]
    union_ha: float
    suppressed: int
    """Boxes that lay inside others."""
    parsed: ParsedAnswer
    text: str


@dataclass(frozen=True, kw_only=True)
class AnswerUnreadable:
    """The model wrote no list of boxes. The description is still worth asking for."""

    reason: str
    text: str


@dataclass(frozen=True, kw_only=True)
class DescriptionGrew:
    """The model's prose so far."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Described:
    """The prose is complete."""

    text: str


@dataclass(frozen=True, kw_only=True)
class StageTimed:
    """A stage ended."""

    stage: str
    ms: float


Step: TypeAlias = (
    ChipOutlined
    | SceneChosen
    | ChipComposed
    | AnswerGrew
    | SitesFound
    | AnswerUnreadable
    | DescriptionGrew
    | Described
    | StageTimed
)


class _Stopwatch:
    def __init__(self, seconds: Callable[[], float], report: Callable[[Step], None]) -> None:
        self._seconds = seconds
        self._report = report
        self._start = seconds()

    def lap(self, stage: str) -> None:
        now = self._seconds()
        self._report(StageTimed(stage=stage, ms=1000 * (now - self._start)))
        self._start = now


@dataclass(frozen=True, kw_only=True, eq=False)
class _Candidate:
    scene: Scene
    window: Window
    grid: Grid
    scl: NDArray[generic]
    cloud_percent: float


async def analyse(request: Request, services: Services, report: Callable[[Step], None]) -> None:
    """Run the whole way once.

    Raises the expected errors of each stage (see ``errors``) except an unreadable list of boxes, which is a step: the
    pictures and the prose stand on their own. Cancelling the task ends the run at its next wait.
    """
    watch = _Stopwatch(services.seconds, report)
    report(ChipOutlined(grid=provisional_grid(request.point)))
    scenes = await _search(request, services)
    watch.lap("search")
    chosen = await _choose(request.point, scenes, services, report)
    watch.lap("choose")
    composed = await _compose(chosen, services)
    report(composed)
    watch.lap("bands")
    await services.breathe()
    pictures = (composed.rgb, composed.swir)
    questions = (detection(request.sensitivity.prompt), description())
    async with aclosing(services.ask(pictures, questions)) as heard:
        async for one in heard:
            match one:
                case Grown(question=0, text=text):
                    report(AnswerGrew(text=text))
                case Answered(question=0, answer=answer):
                    _report_sites(answer, composed.chip.grid, report)
                    watch.lap("detect")
                case Grown(text=text):
                    report(DescriptionGrew(text=text))
                case Answered(answer=answer):
                    report(Described(text=answer.text.strip()))
                    watch.lap("describe")


async def _search(request: Request, services: Services) -> Sequence[Scene]:
    query = SceneQuery(point=request.point, period=request.period, max_cloud_percent=MAX_SCENE_CLOUD_PERCENT)
    scenes = await services.search(request.catalogue, query)
    if not scenes:
        raise NoSceneError(
            f"no scene under {MAX_SCENE_CLOUD_PERCENT:.0f} % cloud here from {request.period} "
            f"in {request.catalogue.name}",
        )
    return scenes


async def _choose(
    point: Point, scenes: Sequence[Scene], services: Services, report: Callable[[Step], None]
) -> _Candidate:
    """Take the newest scene whose chip is clear, else the least cloudy of the first few that is still usable."""
    best: _Candidate | None = None
    examined = 0
    for scene in scenes[:MAX_CANDIDATES]:
        candidate = await _examine(scene, point, services)
        examined += 1
        if best is None or candidate.cloud_percent < best.cloud_percent:
            best = candidate
        if best.cloud_percent <= CLEAR_CHIP_PERCENT:
            break
    if best is None or best.cloud_percent > MAX_CHIP_CLOUD_PERCENT:
        cloud = (
            "no image" if best is None else f"{best.cloud_percent:.0f} % cloud on {format_date(best.scene.acquired)}"
        )
        raise NoUsableImageError(f"{cloud}, and that is the clearest of {examined} dates looked at")
    report(ChipOutlined(grid=best.grid))
    report(
        SceneChosen(scene=best.scene, chip_cloud_percent=best.cloud_percent, candidates=len(scenes), examined=examined),
    )
    return best


async def _examine(scene: Scene, point: Point, services: Services) -> _Candidate:
    header = await services.read_header(scene.hrefs["red"])
    window = chip_window(header.grid, point)
    values, _ = await _read_band(scene.hrefs[SCL], window, services)
    return _Candidate(
        scene=scene,
        window=window,
        grid=header.grid.crop(window),
        scl=values,
        cloud_percent=share_percent(obscured_mask(values)),
    )


async def _read_band(href: str, window: Window, services: Services) -> tuple[NDArray[generic], Raster]:
    header = await services.read_header(href)
    raster = await services.read_window(href, band_window(window, header.grid))
    return to_chip(raster.values, window, header.grid), raster


async def _compose(chosen: _Candidate, services: Services) -> ChipComposed:
    bands: dict[str, NDArray[generic]] = {}
    rasters: list[Raster] = []
    for key in BANDS:
        bands[key], raster = await _read_band(chosen.scene.hrefs[key], chosen.window, services)
        rasters.append(raster)
    chip = make_chip(
        bands,
        chosen.scl,
        grid=chosen.grid,
        baseline=chosen.scene.baseline,
        said_applied=chosen.scene.boa_offset_applied,
    )
    return ChipComposed(
        chip=chip,
        rgb=rgb_composite(chip),
        swir=swir_composite(chip),
        bytes_read=sum(raster.header_bytes + raster.bytes_read for raster in rasters),
        least_bytes=sum(raster.tile_bytes + raster.header_bytes for raster in rasters),
    )


def _report_sites(answer: Answer, grid: Grid, report: Callable[[Step], None]) -> None:
    try:
        parsed = parse_answer(answer.text, answer.tokens)
    except ModelOutputError as error:
        report(AnswerUnreadable(reason=str(error), text=answer.text))
        return
    kept = suppress(parsed.detections)
    sites = locate(kept, grid)
    report(
        SitesFound(
            sites=sites,
            union_ha=union_area_ha(sites),
            suppressed=len(parsed.detections) - len(kept),
            parsed=parsed,
            text=answer.text,
        ),
    )
