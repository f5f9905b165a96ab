"""One run: from a point to sites and a description, each stage reported as soon as it is known."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from galamsey.chips import Chip, provisional_grid
from galamsey.choice import MAX_READS, Chooser
from galamsey.composites import Composite, rgb_composite, swir_composite
from galamsey.dates import Day, group_days
from galamsey.detections import ParsedAnswer, parse_answer, suppress
from galamsey.drafts import description, detection
from galamsey.errors import ModelOutputError, NoSceneError, NoUsableImageError, RasterError, UnreachableError
from galamsey.geo import ring_lonlat
from galamsey.imagery import Look, Reading, read_chip
from galamsey.ownimage import compose_own
from galamsey.protocol import Answered, Grown, Recovering
from galamsey.refine import refine
from galamsey.scenes import SceneQuery, format_date
from galamsey.sites import Site, locate, union_area_ha

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from datetime import date

    from galamsey.chips import Raster, RasterHeader
    from galamsey.drafts import Question
    from galamsey.geo import Grid, Point, Window
    from galamsey.ownimage import OwnChip, ReadBands
    from galamsey.prompts import Sensitivity
    from galamsey.protocol import Answer
    from galamsey.refine import Refined
    from galamsey.scenes import Catalogue, Period, Scene

MAX_SCENE_CLOUD_PERCENT: Final = 100.0
"""Every scene is on offer: a chip can be clear under the one hole of a cloudy scene, and people see what there is."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a run may use of the outside world."""

    search: Callable[[Catalogue, SceneQuery], Awaitable[Sequence[Scene]]]
    """Scenes that answer the query, newest first."""
    read_header: Callable[[str], Awaitable[RasterHeader]]
    read_window: Callable[[str, Window], Awaitable[Raster]]
    ask: Callable[[Sequence[Composite], Sequence[Question]], AsyncGenerator[Grown | Answered | Recovering, None]]
    """Answers to questions about the same composites, in order, as they grow; the model sees the pictures once."""
    seconds: Callable[[], float]
    """A clock that only runs forward."""
    breathe: Callable[[], Awaitable[None]]
    """Let the page draw between two steps of computing."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the person asked for."""

    point: Point | None
    """None for an own image that has no place on the ground."""
    catalogue: Catalogue
    period: Period
    sensitivity: Sensitivity
    day: date | None = None
    """The day (UTC) that the person picked; None lets the most useful one be chosen."""
    median: bool = False
    """Make the chip of several dates instead of one."""
    offered: tuple[Day, ...] = ()
    """Days known from an earlier run at the same place; the catalogue is asked where there are none."""
    own: OwnChip | None = None
    """The chip of an own image; the catalogue then only stands for it, and the period means nothing."""
    grid: Grid | None = None
    """Cut the chip on this grid, so that its pixels lie on those of another date."""
    describe: bool = True
    """Ask for the description as well as for the boxes."""

    @property
    def place(self) -> Point:
        """The point, where there is one; raises ValueError where there is none."""
        if self.point is None:
            raise ValueError("expected a request for a place on the ground")
        return self.point


@dataclass(frozen=True, kw_only=True)
class ChipOutlined:
    """The chip's place on the ground, provisional until the scene is known."""

    grid: Grid


@dataclass(frozen=True, kw_only=True)
class DaysOffered:
    """The days on which a satellite saw the chip, or what has become known of them; the most useful first."""

    days: tuple[Day, ...]


@dataclass(frozen=True, kw_only=True)
class SceneChosen:
    """The acquisition to look at."""

    scene: Scene
    """Of a median the newest."""
    chip_cloud_percent: float
    candidates: int
    """How many dates were in question."""
    examined: int
    """How many of them were looked into."""
    reason: str
    """Why it was taken."""
    scenes: tuple[Scene, ...]
    """All that the chip was joined from."""
    placement: str
    """How the chip lies in the scenes: whole, joined or moved."""
    median_of: tuple[date, ...] = ()
    """The days of a median, newest first; empty for a single day."""


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
    union_ha: float | None
    """None where the size of a pixel is unknown."""
    suppressed: int
    """Boxes that lay inside others."""
    parsed: ParsedAnswer
    text: str
    refined: Refined | None = None
    """The disturbed ground inside the boxes; None where the bands cannot tell."""


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
class ModelRestarted:
    """The model failed; it is loaded again and asked once more."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class StageTimed:
    """A stage ended."""

    stage: str
    ms: float


Step: TypeAlias = (
    ChipOutlined
    | DaysOffered
    | SceneChosen
    | ChipComposed
    | AnswerGrew
    | SitesFound
    | AnswerUnreadable
    | DescriptionGrew
    | Described
    | ModelRestarted
    | StageTimed
)


class Stopwatch:
    """Reports how long each stage of a run took."""

    def __init__(self, seconds: Callable[[], float], report: Callable[[Step], None]) -> None:
        self._seconds = seconds
        self._report = report
        self._start = seconds()

    def lap(self, stage: str) -> None:
        """Report the time since the last lap as that of a stage."""
        now = self._seconds()
        self._report(StageTimed(stage=stage, ms=1000 * (now - self._start)))
        self._start = now


async def analyse(request: Request, services: Services, report: Callable[[Step], None]) -> None:
    """Run the whole way once.

    Raises the expected errors of each stage (see ``errors``) except an unreadable list of boxes, which is a step: the
    pictures and the prose stand on their own. Cancelling the task ends the run at its next wait.
    """
    watch = Stopwatch(services.seconds, report)
    report(ChipOutlined(grid=request.grid or provisional_grid(request.place)))
    days = request.offered or group_days(await _search(request, services))
    report(DaysOffered(days=days))
    watch.lap("search")
    composed = await _view(request, days, services, report, watch)
    report(composed)
    watch.lap("bands")
    await ask_model(composed, request, services, watch, report)


async def ask_model(
    composed: ChipComposed,
    request: Request,
    services: Services,
    watch: Stopwatch,
    report: Callable[[Step], None],
) -> None:
    """Ask for the boxes, then for the description if wanted: the same for whatever the pictures were made from."""
    await services.breathe()
    pictures = (composed.rgb, composed.swir)
    questions = (detection(request.sensitivity.prompt), *((description(),) if request.describe else ()))
    async with aclosing(services.ask(pictures, questions)) as heard:
        async for one in heard:
            match one:
                case Recovering(reason=reason):
                    report(ModelRestarted(reason=reason))
                case Grown(question=0, text=text):
                    report(AnswerGrew(text=text))
                case Answered(question=0, answer=answer):
                    _report_sites(answer, composed.chip, report)
                    watch.lap("detect")
                case Grown(text=text):
                    report(DescriptionGrew(text=text))
                case Answered(answer=answer):
                    report(Described(text=answer.text.strip()))
                    watch.lap("describe")


async def analyse_own(request: Request, read: ReadBands, services: Services, report: Callable[[Step], None]) -> None:
    """Run once over a chip of an own image; raises as ``analyse`` does, and ImageFileError."""
    if request.own is None:
        raise ValueError("expected a chip of an own image")
    watch = Stopwatch(services.seconds, report)
    report(ChipOutlined(grid=request.own.grid))
    pictures = await compose_own(request.own, read)
    composed = ChipComposed(chip=pictures.chip, rgb=pictures.rgb, swir=pictures.swir, bytes_read=0, least_bytes=0)
    report(composed)
    watch.lap("bands")
    await ask_model(composed, request, services, watch, report)


async def _search(request: Request, services: Services) -> Sequence[Scene]:
    outline = ring_lonlat(provisional_grid(request.place).corners, provisional_grid(request.place).epsg)
    query = SceneQuery(outline=outline, period=request.period, max_cloud_percent=MAX_SCENE_CLOUD_PERCENT)
    scenes = await services.search(request.catalogue, query)
    if not scenes:
        raise NoSceneError(f"no scene here from {request.period} in {request.catalogue.name}")
    return scenes


async def _view(
    request: Request, days: tuple[Day, ...], services: Services, report: Callable[[Step], None], watch: Stopwatch
) -> ChipComposed:
    """Choose a view and read it; a day whose bands turn out to be unusable makes room for the next best."""

    def tell(_day: Day) -> None:
        report(DaysOffered(days=chooser.days))

    chooser = Chooser(days, request.place, services, tell, request.grid)
    if request.median:
        looks, reading = await chooser.median()
        _report_choice(looks, f"median of the {len(looks)} clearest dates of a season", chooser, report, reading)
        watch.lap("choose")
        return _compose(reading)
    for attempt in range(1, MAX_READS + 1):
        chosen = await (chooser.best() if request.day is None else chooser.picked(request.day))
        _report_choice([chosen.look], chosen.reason, chooser, report)
        watch.lap("choose")
        try:
            return _compose(await read_chip(chosen.look, services))
        except UnreachableError:
            raise
        except (NoUsableImageError, RasterError) as error:
            chooser.refuse(chosen.look, str(error))
            if request.day is not None or attempt == MAX_READS:
                raise NoUsableImageError(f"{error}, on {format_date(chosen.look.day.when)}") from error
    raise AssertionError("unreachable")


def _report_choice(
    looks: Sequence[Look], reason: str, chooser: Chooser, report: Callable[[Step], None], reading: Reading | None = None
) -> None:
    newest = max(looks, key=lambda look: look.day.when)
    cloud = newest.day.chip_cloud_percent or 0.0
    report(ChipOutlined(grid=newest.grid))
    report(
        SceneChosen(
            scene=newest.scenes[0],
            chip_cloud_percent=cloud if reading is None else reading.chip.cloud_percent,
            candidates=len(chooser.days),
            examined=chooser.examined,
            reason=reason,
            scenes=tuple(scene for look in looks for scene in look.scenes),
            placement="; ".join(sorted({look.placement for look in looks})),
            median_of=() if reading is None else tuple(sorted((look.day.when for look in looks), reverse=True)),
        ),
    )


def _compose(reading: Reading) -> ChipComposed:
    return ChipComposed(
        chip=reading.chip,
        rgb=rgb_composite(reading.chip),
        swir=swir_composite(reading.chip),
        bytes_read=reading.bytes_read,
        least_bytes=reading.least_bytes,
    )


def _report_sites(answer: Answer, chip: Chip, report: Callable[[Step], None]) -> None:
    try:
        parsed = parse_answer(answer.text, answer.tokens)
    except ModelOutputError as error:
        report(AnswerUnreadable(reason=str(error), text=answer.text))
        return
    kept = suppress(parsed.detections)
    sites = locate(kept, chip.grid)
    report(
        SitesFound(
            sites=sites,
            union_ha=union_area_ha(sites),
            suppressed=len(parsed.detections) - len(kept),
            parsed=parsed,
            text=answer.text,
            refined=refine(chip, sites),
        ),
    )
