"""What the page knows: one immutable state, the events that change it, one pure function that folds them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from galamsey.context import Layer, Near, nearest
from galamsey.dates import replaced
from galamsey.detections import parse_answer
from galamsey.drawings import Drawn, drawn_sites
from galamsey.errors import ModelOutputError
from galamsey.geo import ring_lonlat
from galamsey.indices import FIRST_VIEWS
from galamsey.ledger import Ledger
from galamsey.models import DEMO
from galamsey.pipeline import (
    AnswerGrew,
    AnswerUnreadable,
    ChipComposed,
    ChipOutlined,
    DaysOffered,
    Described,
    DescriptionGrew,
    ModelRestarted,
    SceneChosen,
    SitesFound,
    StageTimed,
)
from galamsey.prompts import HIGH_RECALL
from galamsey.scenes import NO_END, PRACTICE, Period, dry_season
from galamsey.sites import Site, locate
from galamsey.storage import StorageState

if TYPE_CHECKING:
    from galamsey.dates import Day
    from galamsey.geo import Grid, Point
    from galamsey.models import Model
    from galamsey.ownimage import Outcome, OwnSource
    from galamsey.pipeline import Request, Step
    from galamsey.planner import Plan
    from galamsey.prompts import Sensitivity
    from galamsey.protocol import Loaded
    from galamsey.scenes import Catalogue

FIRST_ACQUISITION: Final = date(2015, 6, 23)
"""Sentinel-2A was launched on this day."""

EVERY_DATE: Final = Period(since=FIRST_ACQUISITION, until=NO_END)


class Stage(Enum):
    """Where a run stands; the value is what the person reads."""

    SEARCHING = "Searching the catalogue"
    CHOOSING = "Reading the cloud mask"
    READING = "Reading six bands"
    DETECTING = "The model looks for mining"
    DESCRIBING = "The model describes the chip"
    DONE = "Done"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Say whether nothing more will come."""
        return self in (Stage.DONE, Stage.FAILED, Stage.CANCELLED)


class ModelStage(Enum):
    """Where the model stands."""

    ABSENT = "Not loaded"
    DOWNLOADING = "Downloading"
    STARTING = "Starting"
    READY = "Ready"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A download's progress."""

    loaded_bytes: int
    total_bytes: int
    bytes_per_second: float
    """Over the last seconds; 0 while unknown."""

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present speed; None while it cannot be told."""
        if self.bytes_per_second <= 0 or self.total_bytes <= self.loaded_bytes:
            return None
        return (self.total_bytes - self.loaded_bytes) / self.bytes_per_second


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """The chosen model and what has become of it."""

    model: Model = DEMO
    stage: ModelStage = ModelStage.ABSENT
    plan: Plan | None = None
    """The way of loading that is tried or was taken."""
    ways: tuple[Plan, ...] = ()
    """The other ways that the person may choose."""
    transfer: Transfer | None = None
    load_ms: float | None = None
    files: tuple[tuple[str, str], ...] = ()
    """Path and SHA-256 of each file that was loaded."""
    revision: str = ""
    """The commit that they come from; empty where it is not known."""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the person chose."""

    catalogue: Catalogue = PRACTICE
    period: Period
    sensitivity: Sensitivity = HIGH_RECALL
    use_fallback: bool = True
    """Ask a second catalogue where the chosen one does not answer."""
    other: Catalogue | None = None
    """The catalogue that the person entered."""
    views: tuple[str, str] = FIRST_VIEWS
    """Keys of the views in which the two pictures are shown."""
    backdrop: bool = False
    """Show online imagery under the map; its host then learns where the map is."""


@dataclass(frozen=True, kw_only=True)
class KeptWords:
    """What the page said of a run when it was kept: a run that is opened again says the same."""

    place: str
    place_utm: str
    when: str
    why: str
    tone: str
    line: str
    detail: str
    provenance: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One pass from a point to a result, as far as it got."""

    run_id: int
    request: Request
    started: datetime
    """UTC."""
    stage: Stage = Stage.SEARCHING
    grid: Grid | None = None
    days: tuple[Day, ...] = ()
    """The days on offer, the most useful first."""
    scene: SceneChosen | None = None
    composed: ChipComposed | None = None
    sites: tuple[Site, ...] = ()
    """Suspected sites; provisional while detecting, as they are being written."""
    found: SitesFound | None = None
    unreadable: AnswerUnreadable | None = None
    description: str = ""
    problem: str = ""
    """Why the run failed, in words for the person."""
    problem_kind: str = ""
    """Class of the error, so that a remedy can be offered."""
    problem_cause: str = ""
    """The cause that the engine gave; empty for other errors."""
    restarts: tuple[str, ...] = ()
    """Why the model had to be loaded again while it was asked."""
    model: ModelState | None = None
    """The model that answered."""
    timings_ms: tuple[tuple[str, float], ...] = ()
    context: tuple[tuple[Near, ...], ...] = ()
    """For each site the nearest features of the person's layers."""
    kept: KeptWords | None = None
    """Set where the run was opened from what is kept."""

    @property
    def ring(self) -> tuple[Point, ...]:
        """The chip's outline in degrees, closed; empty before it is known."""
        return () if self.grid is None or not self.grid.placed else ring_lonlat(self.grid.corners, self.grid.epsg)


@dataclass(frozen=True, kw_only=True, eq=False)
class AppState:
    """Everything that the page shows."""

    settings: Settings
    model: ModelState = field(default_factory=ModelState)
    run: Run | None = None
    selected_site: int | None = None
    online: bool = True
    storage: StorageState = field(default_factory=StorageState)
    layers: tuple[Layer, ...] = ()
    """Map layers of the person's own."""
    ledger: Ledger = field(default_factory=Ledger)
    """The kept findings."""
    own: OwnSource | None = None
    """The open image of the person's own; while there is one, no catalogue is asked."""
    notice: str = ""
    """A message that is not a run's, such as a place that cannot be read."""

    @property
    def drawn(self) -> tuple[Drawn, ...]:
        """What reviewers drew on the finding that is shown."""
        run, ledger = self.run, self.ledger
        if run is None or not ledger.open_id:
            return ()
        return drawn_sites([site.number for site in run.sites], run.grid, ledger.open_reviews)


@dataclass(frozen=True, kw_only=True)
class SettingsChanged:
    """The person chose otherwise."""

    settings: Settings


@dataclass(frozen=True, kw_only=True)
class ModelChosen:
    """Another model is to be loaded."""

    model: Model


@dataclass(frozen=True, kw_only=True)
class ModelPlanned:
    """One way of loading is being tried."""

    plan: Plan
    ways: tuple[Plan, ...] = ()
    """The other ways that the person may choose."""


@dataclass(frozen=True, kw_only=True)
class ModelTransferred:
    """More of the model's files is here."""

    transfer: Transfer


@dataclass(frozen=True, kw_only=True)
class ModelStarting:
    """All files are here; the sessions are being made."""


@dataclass(frozen=True, kw_only=True)
class ModelReady:
    """The model can be asked."""

    loaded: Loaded


@dataclass(frozen=True, kw_only=True)
class ModelFailed:
    """The model cannot be asked."""

    problem: str


@dataclass(frozen=True, kw_only=True)
class ModelDropped:
    """Loading was cancelled."""


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A place was chosen; the former run is over for the page."""

    run_id: int
    request: Request
    started: datetime


@dataclass(frozen=True, kw_only=True)
class StepReported:
    """A run got further."""

    run_id: int
    step: Step


@dataclass(frozen=True, kw_only=True)
class DaySurveyed:
    """More became known of one day on offer, also after the run."""

    run_id: int
    day: Day


@dataclass(frozen=True, kw_only=True)
class RunEnded:
    """A run is complete."""

    run_id: int


@dataclass(frozen=True, kw_only=True)
class RunFailed:
    """A run ended early, for a reason that can be told."""

    run_id: int
    kind: str
    problem: str
    cause: str = ""
    """The cause that the engine gave; empty for other errors."""


@dataclass(frozen=True, kw_only=True)
class RunCancelled:
    """The person ended a run."""

    run_id: int


@dataclass(frozen=True, kw_only=True)
class SiteSelected:
    """A site was pointed at; None for none."""

    number: int | None


@dataclass(frozen=True, kw_only=True)
class StorageChanged:
    """Something is different about the model files kept here."""

    storage: StorageState


@dataclass(frozen=True, kw_only=True)
class ConnectionChanged:
    """The browser gained or lost its network."""

    online: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnChanged:
    """An image of the person's own was opened, adjusted or, with None, closed."""

    own: OwnSource | None


@dataclass(frozen=True, kw_only=True)
class LedgerChanged:
    """Something is different about the kept findings, or about what is shown of them."""

    ledger: Ledger


@dataclass(frozen=True, kw_only=True, eq=False)
class LayersChanged:
    """Map layers of the person's own were added or taken away."""

    layers: tuple[Layer, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class RunReopened:
    """A kept run is to be shown in place of the present one."""

    run: Run


@dataclass(frozen=True, kw_only=True)
class NoticeGiven:
    """Something to say outside a run; empty to take it back."""

    text: str


Event: TypeAlias = (
    SettingsChanged
    | ModelChosen
    | ModelPlanned
    | ModelTransferred
    | ModelStarting
    | ModelReady
    | ModelFailed
    | ModelDropped
    | RunStarted
    | StepReported
    | DaySurveyed
    | RunEnded
    | RunFailed
    | RunCancelled
    | SiteSelected
    | StorageChanged
    | ConnectionChanged
    | OwnChanged
    | LedgerChanged
    | LayersChanged
    | RunReopened
    | NoticeGiven
)


def initial_state() -> AppState:
    """Return the state of a first visit: practice region, every date."""
    return AppState(settings=Settings(period=EVERY_DATE))


def period_key(period: Period) -> str:
    """Name a period for controls and links: ``latest``, or the year in which a dry season ends."""
    if period == EVERY_DATE:
        return "latest"
    year = period.until.year
    return str(year) if period == dry_season(year) else "latest"


def period_from_key(key: str, today: date) -> Period | None:
    """Return the period of a key; None for a key that names none."""
    if key == "latest":
        return EVERY_DATE
    if re.fullmatch(r"[0-9]{4}", key) and FIRST_ACQUISITION.year < int(key) <= today.year + 1:
        return dry_season(int(key))
    return None


def utc_now() -> datetime:
    """Return the time in UTC, whatever the device's zone."""
    return datetime.now(tz=UTC)


def update(state: AppState, event: Event) -> AppState:  # noqa: C901, PLR0911, PLR0912 - one case for each event
    """Fold one event into the state. Events of a run that is not the present one change nothing."""
    match event:
        case SettingsChanged(settings=settings):
            return replace(state, settings=settings, notice="")
        case ModelChosen(model=model):
            return replace(state, model=ModelState(model=model, stage=ModelStage.STARTING))
        case ModelPlanned(plan=plan, ways=ways):
            trying = replace(state.model, plan=plan, ways=ways, stage=ModelStage.STARTING, transfer=None)
            return replace(state, model=trying)
        case ModelTransferred(transfer=transfer):
            return replace(state, model=replace(state.model, stage=ModelStage.DOWNLOADING, transfer=transfer))
        case ModelStarting():
            return replace(state, model=replace(state.model, stage=ModelStage.STARTING))
        case ModelReady(loaded=loaded):
            ready = replace(state.model, stage=ModelStage.READY, load_ms=loaded.ms, transfer=None)
            return replace(state, model=replace(ready, files=loaded.files, revision=loaded.revision))
        case ModelFailed(problem=problem):
            return replace(state, model=replace(state.model, stage=ModelStage.FAILED, problem=problem, transfer=None))
        case ModelDropped():
            return replace(state, model=ModelState(model=state.model.model))
        case RunStarted(run_id=run_id, request=request, started=started):
            stage = Stage.SEARCHING if request.own is None else Stage.READING
            run = Run(run_id=run_id, request=request, started=started, stage=stage)
            return _note_own(replace(state, run=run, selected_site=None, notice=""))
        case SiteSelected(number=number):
            return replace(state, selected_site=number)
        case StorageChanged(storage=storage):
            return replace(state, storage=storage)
        case ConnectionChanged(online=online):
            return replace(state, online=online)
        case OwnChanged(own=own):
            return replace(state, own=own, notice="")
        case LedgerChanged(ledger=ledger):
            return replace(state, ledger=ledger)
        case LayersChanged(layers=layers):
            return replace(state, layers=layers, run=state.run and with_context(state.run, layers))
        case RunReopened(run=run):
            return replace(state, run=run, selected_site=None, notice="")
        case NoticeGiven(text=text):
            return replace(state, notice=text)
    if state.run is None or event.run_id != state.run.run_id:
        return state
    if isinstance(event, DaySurveyed):
        return replace(state, run=replace(state.run, days=replaced(state.run.days, event.day)))
    if state.run.stage.ended:
        return state
    match event:
        case StepReported(step=step):
            run = advance(state.run, step, state.model)
            return replace(state, run=with_context(run, state.layers) if isinstance(step, SitesFound) else run)
        case RunEnded():
            return _note_own(replace(state, run=replace(state.run, stage=Stage.DONE)))
        case RunFailed(kind=kind, problem=problem, cause=cause):
            failed = replace(state.run, stage=Stage.FAILED, problem=problem, problem_kind=kind, problem_cause=cause)
            return _note_own(replace(state, run=failed))
        case RunCancelled():
            return _note_own(replace(state, run=replace(state.run, stage=Stage.CANCELLED)))


def _note_own(state: AppState) -> AppState:
    """Keep with an own image what came of its chips."""
    run, own = state.run, state.own
    if run is None or own is None or run.request.own is None or run.request.own.image is not own.image:
        return state
    outcome: Outcome = "working"
    if run.stage is Stage.CANCELLED:
        outcome = "waiting"
    elif run.stage.ended:
        outcome = "unclear" if run.found is None else "sites" if run.found.sites else "clean"
    return replace(state, own=own.with_outcome(run.request.own.window, outcome))


def with_context(run: Run, layers: tuple[Layer, ...]) -> Run:
    """Say how far the sites are from the features of layers."""
    if run.found is None or run.grid is None or not run.grid.placed:
        return run
    epsg = run.grid.epsg
    return replace(run, context=tuple(nearest(layers, site.corners, epsg) for site in run.sites) if layers else ())


_NEXT_STAGE: Final = {"search": Stage.CHOOSING}


def advance(run: Run, step: Step, model: ModelState) -> Run:  # noqa: C901, PLR0911 - one case for each step
    """Fold what a run reported into it."""
    match step:
        case ChipOutlined(grid=grid):
            return replace(run, grid=grid)
        case DaysOffered(days=days):
            return replace(run, days=days)
        case SceneChosen():
            return replace(run, scene=step, stage=Stage.READING)
        case ChipComposed():
            return replace(run, composed=step, stage=Stage.DETECTING)
        case AnswerGrew(text=text):
            return replace(run, model=model, sites=_provisional(run, text))
        case SitesFound(sites=sites):
            return replace(run, model=model, found=step, sites=sites, stage=Stage.DESCRIBING)
        case AnswerUnreadable():
            return replace(run, model=model, unreadable=step, sites=(), stage=Stage.DESCRIBING)
        case DescriptionGrew(text=text) | Described(text=text):
            return replace(run, description=text)
        case ModelRestarted(reason=reason):
            return replace(run, restarts=(*run.restarts, reason))
        case StageTimed(stage=name, ms=ms):
            return replace(run, stage=_NEXT_STAGE.get(name, run.stage), timings_ms=(*run.timings_ms, (name, ms)))


def _provisional(run: Run, text: str) -> tuple[Site, ...]:
    """Return the sites that an unfinished answer already holds."""
    if run.grid is None:
        return ()
    try:
        parsed = parse_answer(text)
    except ModelOutputError:
        return run.sites  # nothing whole has been written yet
    return locate(parsed.detections, run.grid)
