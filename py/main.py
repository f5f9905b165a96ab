"""Composition root: build the services, wire the events, own the one dispatch."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from galamsey.browser.archivist import Archivist
from galamsey.browser.change import ChangePanel
from galamsey.browser.exporter import ExportDialog
from galamsey.browser.handlers import Handlers
from galamsey.browser.history import HistoryDialog, HistoryHandlers, offer_bytes, read_file
from galamsey.browser.http import absolute, fetch_json, search
from galamsey.browser.layers import LayersPanel
from galamsey.browser.librarian import Librarian
from galamsey.browser.loader import ModelLoader
from galamsey.browser.map import MapError, MapView
from galamsey.browser.offline import OfflineView
from galamsey.browser.own import OwnHandlers, OwnView
from galamsey.browser.own_files import read_bands
from galamsey.browser.privacy import PrivacyPanel
from galamsey.browser.raster import read_header, read_preview, read_window
from galamsey.browser.regions import RegionsPanel
from galamsey.browser.review import ReviewPanel
from galamsey.browser.view import View
from galamsey.browser.window import (
    fragment,
    is_online,
    on_connection_change,
    on_darkness_change,
    prefers_dark,
    remember,
    remembered,
    replace_fragment,
)
from galamsey.context import to_geojson
from galamsey.coordinates import parse_coordinate
from galamsey.errors import (
    CatalogueError,
    CoordinateError,
    EngineError,
    FindingError,
    GalamseyError,
    ImageFileError,
    LockdownError,
    UnreachableError,
)
from galamsey.findings import reopen
from galamsey.geo import Point
from galamsey.ledger import shown
from galamsey.links import read_link, write_link
from galamsey.ownimage import OwnChip, OwnSource, stand_in_catalogue
from galamsey.pipeline import ChipComposed, Request, Services, SitesFound, Step, analyse, analyse_own
from galamsey.places import Place, find_places, read_places
from galamsey.privacy import BACKDROP
from galamsey.prompts import SENSITIVITIES
from galamsey.records import run_record
from galamsey.refine import rings_lonlat
from galamsey.regions import kept_scenes
from galamsey.scenes import CATALOGUES, Catalogue, SceneQuery, other_catalogue, read_other, write_other
from galamsey.state import (
    AppState,
    ConnectionChanged,
    DaySurveyed,
    Event,
    LayersChanged,
    LedgerChanged,
    NoticeGiven,
    OwnChanged,
    RunCancelled,
    RunEnded,
    RunFailed,
    RunReopened,
    RunStarted,
    SettingsChanged,
    SiteSelected,
    StepReported,
    StorageChanged,
    initial_state,
    period_from_key,
    update,
    utc_now,
)
from galamsey.survey import SURVEY_DAYS, survey

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from galamsey.context import Layer
    from galamsey.dates import Day
    from galamsey.ledger import Ledger
    from galamsey.scenes import Scene
    from galamsey.state import Settings
    from galamsey.storage import StorageState

OTHER_KEY: Final = "other-catalogue"
"""Under which the person's own catalogue is kept in this browser."""

CLOSE_ZOOM: Final = 13.0
"""A chip fills about a third of a laptop's map."""


CHIP_VISIBLE_ZOOM: Final = 11.0
"""Below this zoom a chip is smaller than a fingertip."""

IN_SIGHT_DEG: Final = 0.04
"""About half the width of the map at the close zoom."""


MAX_COVERED_PX: Final = 480
"""A sheet that is pulled up all the way leaves no map to centre a chip in."""


class App:
    """The running page: one state, one dispatch, and the tasks that feed it."""

    def __init__(self) -> None:
        self.state: AppState = initial_state()
        self._tasks: set[asyncio.Task[None]] = set()
        self._run_task: asyncio.Task[None] | None = None
        self._survey_task: asyncio.Task[None] | None = None
        self._run_count = 0
        self._places: tuple[Place, ...] = ()
        self._map: MapView | None = None
        self._librarian = Librarian(change=self._storage_changed, own=self.own)
        self._loader = ModelLoader(self, self._librarian)
        self._regions = RegionsPanel(self)
        self._view = View(
            Handlers(
                search=self.search,
                suggest=self.suggest,
                analyse_at=self.analyse_at,
                cancel=self.cancel,
                retry=self.retry,
                pick_day=self.pick_day,
                survey_days=self.survey_days,
                save=self.save,
                choose_model=self._loader.choose,
                choose_way=self._loader.choose_way,
                cancel_model=self._loader.cancel,
                pause_job=self._librarian.pause,
                resume_job=self._loader.resume,
                cancel_job=self._librarian.cancel,
                set_source=self._librarian.set_source,
                verify_stored=self._librarian.verify,
                remove_stored=self._librarian.remove,
                export_stored=self._librarian.export,
                load_from_disk=self._loader.load_from_disk,
                change_settings=self.change_settings,
                describe_catalogue=self.describe_catalogue,
                set_theme=self.set_theme,
                select_site=self.select_site,
                choose_views=self.choose_views,
                open_regions=self._regions.open,
            ),
        )
        self._archivist = Archivist(change=self._ledger_changed)
        self._history = HistoryDialog(
            HistoryHandlers(
                filter=lambda wanted: self._archivist.show(filter=wanted, message=""),
                choose=lambda ids: self._archivist.show(chosen=ids),
                open=lambda finding_id: self._guard(self._open_finding(finding_id)),
                delete=lambda ids, deleted: self._guard(self._archivist.delete(ids, deleted=deleted)),
                undo=lambda: self._guard(self._archivist.undo()),
                backup=lambda: self._guard(self._backup()),
                backup_unsaved=lambda: self._guard(self._backup(sorted(self.state.ledger.unsaved))),
                save_again=lambda: self._guard(self._archivist.save_again()),
                take_in=lambda file: self._guard(self._take_in(file)),
            ),
        )
        self._exporter = ExportDialog(self._archivist, self._guard)
        self._review = ReviewPanel(
            self._archivist,
            self._guard,
            lambda finding_id: self._guard(self._open_finding(finding_id)),
            self.select_site,
        )
        self._change = ChangePanel(
            self, lambda finding_id: self._guard(self._open_finding(finding_id)), self._view.offer_file
        )
        self._layers = LayersPanel(self._layers_changed, self.own)
        self._own_view = OwnView(OwnHandlers(change=self.change_own, run=self.analyse_own_chip, own=self.own))
        self._offline_view = OfflineView(self.own)
        self._privacy = PrivacyPanel(on_lock=self._show_backdrop)
        self._services = Services(
            search=self._find_scenes,
            read_header=read_header,
            read_window=read_window,
            ask=self._loader.ask,
            seconds=time.perf_counter,
            breathe=lambda: asyncio.sleep(0),
        )

    @property
    def settings(self) -> Settings:
        """What the person chose."""
        return self.state.settings

    @property
    def services(self) -> Services:
        """What runs may use."""
        return self._services

    @property
    def archivist(self) -> Archivist:
        """Where findings are kept."""
        return self._archivist

    def new_run_id(self) -> int:
        """Return a number that no run has."""
        self._run_count += 1
        return self._run_count

    @property
    def chart(self) -> MapView | None:
        """The map, where there is one."""
        return self._map

    def dispatch(self, event: Event) -> None:
        """Fold an event and show what it changed."""
        self.state = update(self.state, event)
        self._view.render(self.state)
        self._own_view.render(self.state)
        self._history.render(self.state)
        self._exporter.render(self.state)
        self._review.render(self.state)
        self._change.render(self.state)
        self._layers.render(self.state)
        self._offline_view.render(at_work=self._is_at_work())
        self._privacy.render(self.state)

    def _is_at_work(self) -> bool:
        run = self.state.run
        running = run is not None and not run.stage.ended
        return running or self._change.busy or self._librarian.busy or self._regions.busy or self._loader.busy

    def own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task, keep it, and let its unexpected end be seen."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A transfer or a comparison may end with nothing more to say; what waits for the end of work hears of it here.
        self._offline_view.render(at_work=self._is_at_work())
        if not task.cancelled() and (error := task.exception()) is not None:
            self.dispatch(NoticeGiven(text=f"Something unexpected went wrong ({error}). Reload the page."))
            raise error

    async def start(self) -> None:
        """Bring the page to life, the quickest things first."""
        self.dispatch(SettingsChanged(settings=replace(self.state.settings, other=read_other(remembered(OTHER_KEY)))))
        self._view.render(self.state)
        on_connection_change(self._connection_changed)
        self._connection_changed()
        on_darkness_change(self.set_theme)
        self._loader.load_first()
        self.own(self._archivist.open())
        # The map takes longest, on its own; what the page needs besides comes meanwhile.
        places = fetch_json(absolute("data/places.json"))
        _, region, read = await asyncio.gather(self._open_map(), self._fetch_practice(), places)
        self._places = read_places(read)
        if region is not None:
            self._show_practice(region)
        self.own(self._layers.open())
        await self._regions.load()
        self._view.show_ready()
        self._open_link()
        self.own(self._offline_view.keep(self._loader.settled))

    async def _open_map(self) -> None:
        try:
            self._map = await MapView.create(
                "map",
                theme=self._map_theme(),
                on_click=self.analyse_at,
                on_move=self._view.show_view,
                on_pointer=self._pointed,
                on_site=self.select_site,
            )
        except MapError as error:
            self.dispatch(NoticeGiven(text=f"There is no map: {error}. Search for a coordinate instead."))

    def _pointed(self, lon: float, lat: float) -> None:
        self._view.show_cursor(lon, lat)
        self._loader.expect_question()

    async def _fetch_practice(self) -> Any:  # noqa: ANN401 - any JSON
        try:
            return await fetch_json(absolute("practice/region.json"))
        except CatalogueError as error:
            self.dispatch(NoticeGiven(text=f"The practice region is missing ({error}). Run “make start” again."))
            return None

    def _show_practice(self, region: Any) -> None:  # noqa: ANN401 - any JSON
        self._view.show_practice(region)
        if self._map is not None:
            self._map.show_practice(region)

    def _connection_changed(self) -> None:
        self.dispatch(ConnectionChanged(online=is_online()))

    def _open_link(self) -> None:
        try:
            link = read_link(fragment(), self.state.settings, utc_now().date())
        except CoordinateError as error:
            self.dispatch(NoticeGiven(text=f"The link names no place that can be read: {error}"))
            return
        if link is None:
            return
        self.dispatch(SettingsChanged(settings=link.settings))
        self._fly(link.point)
        if link.settings.catalogue.discloses:
            self.dispatch(
                NoticeGiven(
                    text="This link leads to imagery on the network: "
                    f"{link.settings.catalogue.discloses}. Click the map to look there.",
                ),
            )
        else:
            self._analyse(link.point, day=link.day, median=link.median)

    # What the person does

    def suggest(self, text: str) -> None:
        """Offer places for what has been typed so far."""
        self._loader.expect_question()
        found = find_places(self._places, text)
        self._view.show_suggestions([(place.name, place.detail, *place.point) for place in found])

    def search(self, text: str) -> None:
        """Go to a typed coordinate and look there, or to a named place."""
        try:
            point = parse_coordinate(text)
        except CoordinateError as error:
            found = find_places(self._places, text)
            if found:
                self.dispatch(NoticeGiven(text=""))
                self._fly(found[0].point)
            else:
                self.dispatch(NoticeGiven(text=f"No place of this name, and {error}"))
            return
        self._fly(point)
        self.analyse_at(*point)

    def _fly(self, point: Point) -> None:
        if self._map is not None:
            self._map.set_covered(bottom_px=min(self._view.covered_px, MAX_COVERED_PX))
            self._map.fly_to(point.lon, point.lat, CLOSE_ZOOM)

    def analyse_at(self, lon: float, lat: float) -> None:
        """Start a run at a place; a run under way is cancelled. An open own image goes before all catalogues."""
        point = Point(float(lon), float(lat))
        if self.state.own is not None:
            try:
                self.analyse_own_chip(self.state.own.chip_at(point))
            except ImageFileError as error:
                text = f"{str(error)[:1].upper()}{str(error)[1:]}. Close the file to look at other imagery."
                self.dispatch(NoticeGiven(text=text))
            return
        self._analyse(point)

    def _analyse(
        self, point: Point, *, day: date | None = None, median: bool = False, offered: tuple[Day, ...] = ()
    ) -> None:
        settings = self.state.settings
        request = Request(
            point=point,
            catalogue=settings.catalogue,
            period=settings.period,
            sensitivity=settings.sensitivity,
            day=day,
            median=median,
            offered=offered,
        )
        self._begin(request)
        replace_fragment(write_link(point, settings, day=day, median=median))

    def analyse_own_chip(self, chip: OwnChip) -> None:
        """Start a run over a chip of the open image; a run under way is cancelled."""
        settings = self.state.settings
        self._begin(
            Request(
                point=chip.point,
                catalogue=stand_in_catalogue(chip.image),
                period=settings.period,
                sensitivity=settings.sensitivity,
                own=chip,
            ),
        )
        replace_fragment("")  # no link can open a file

    def change_own(self, source: OwnSource | None) -> None:
        """Take over the open image: opened, adjusted, or closed with None."""
        before = self.state.own
        if source is None and self._run_task is not None and self.state.run and self.state.run.request.own:
            self.cancel()
        self.dispatch(OwnChanged(own=source))
        if self._map is not None:
            ring = () if source is None else source.ring
            self._map.show_footprint(ring or None)
            if ring and before is None:
                lons, lats = zip(*ring, strict=True)
                self._map.fit(min(lons), min(lats), max(lons), max(lats))

    def _begin(self, request: Request) -> None:
        for task in (self._run_task, self._survey_task):
            if task is not None:
                task.cancel()
        run_id = self.new_run_id()
        if self._map is not None:
            self._map.clear_result()
            if self.state.own is not None and self.state.own.ring:
                self._map.show_footprint(self.state.own.ring)
            if request.point is not None:
                self._bring_into_view(request.point)
        self._archivist.show(open_id="")
        self.dispatch(RunStarted(run_id=run_id, request=request, started=utc_now()))
        self._loader.expect_question()  # its imagery is read first
        self._run_task = self.own(self._run(run_id, request))

    def _bring_into_view(self, point: Point) -> None:
        """Fly to a place whose chip would be too small to see, or out of sight."""
        if self._map is None:
            return
        lon, lat, zoom = self._map.view()
        if zoom < CHIP_VISIBLE_ZOOM or max(abs(lon - point.lon), abs(lat - point.lat)) > IN_SIGHT_DEG:
            self._fly(point)

    def retry(self) -> None:
        """Run again at the same place with the settings of now."""
        if self.state.run is None:
            return
        request = self.state.run.request
        if request.own is not None:
            self.analyse_own_chip(request.own)
        elif request.point is None:
            self.dispatch(NoticeGiven(text="This finding is of a file of your own. Open the file to look at it again."))
        else:
            self._analyse(request.place, day=request.day, median=request.median)

    def pick_day(self, choice: str) -> None:
        """Run again at the same place on the day of the person's choice; the days on offer are known."""
        run = self.state.run
        if run is None or run.request.own is not None:
            return
        day = None if choice in {"best", "median"} else date.fromisoformat(choice)
        self._analyse(run.request.place, day=day, median=choice == "median", offered=run.days)

    def survey_days(self) -> None:
        """Look at the days on offer while nothing else is read, if their list is open."""
        run = self.state.run
        if run is None or not run.stage.ended or not run.days or not self._view.days_open:
            return
        if self._survey_task is None or self._survey_task.done():
            self._survey_task = self.own(self._survey(run.run_id, run.request.place, run.days[:SURVEY_DAYS]))

    def cancel(self) -> None:
        """End the run under way."""
        if self._run_task is not None and self.state.run is not None:
            self._run_task.cancel()
            self.dispatch(RunCancelled(run_id=self.state.run.run_id))

    def save(self) -> None:
        """Hand the present run to the person as a JSON file."""
        run = self.state.run
        if run is None:
            return
        point = run.request.point
        where = "own-file" if point is None else f"{point.lat:.5f}_{point.lon:.5f}"
        name = f"suspected-{where}-{run.started:%Y%m%dT%H%M%SZ}.json"
        self._view.offer_file(name, "application/json", json.dumps(run_record(run), indent=1, ensure_ascii=False))

    def choose_views(self, views: tuple[str, str]) -> None:
        """Remember in which views the pictures are shown, also in the link."""
        self.dispatch(SettingsChanged(settings=replace(self.state.settings, views=views)))
        run = self.state.run
        if run is not None and run.request.own is None:
            request = run.request
            link = write_link(request.place, self.state.settings, day=request.day, median=request.median)
            replace_fragment(link)

    def select_site(self, number: int | None) -> None:
        """Point at a site in the list, on the map and on both composites."""
        self.dispatch(SiteSelected(number=number))
        if self._map is not None:
            self._map.select_site(number)

    def change_settings(
        self, catalogue_key: str, period_key: str, sensitivity_key: str, *, backdrop: bool, use_fallback: bool
    ) -> None:
        """Take over the settings form."""
        other = self.state.settings.other
        known = CATALOGUES if other is None else (*CATALOGUES, other)
        settings = replace(
            self.state.settings,
            catalogue=next(catalogue for catalogue in known if catalogue.key == catalogue_key),
            use_fallback=use_fallback,
            period=period_from_key(period_key, utc_now().date()) or self.state.settings.period,
            sensitivity=next(known for known in SENSITIVITIES if known.key == sensitivity_key),
            backdrop=backdrop,
        )
        self.dispatch(SettingsChanged(settings=settings))
        self._show_backdrop()

    def _show_backdrop(self) -> None:
        if self._map is not None:
            shown = self.state.settings.backdrop and not self._privacy.locked
            self._map.set_backdrop(BACKDROP if shown else None)

    def describe_catalogue(self, url: str, collection: str, bands: str) -> str:
        """Take over the catalogue that the person entered and use it; returns what is wrong with it, or nothing."""
        try:
            other = other_catalogue(url, collection, bands=bands)
        except CatalogueError as error:
            return f"{str(error)[:1].upper()}{str(error)[1:]}."
        remember(OTHER_KEY, write_other(other))
        self.dispatch(SettingsChanged(settings=replace(self.state.settings, catalogue=other, other=other)))
        return ""

    def _map_theme(self) -> str:
        chosen = self._view.theme
        if chosen != "auto":
            return chosen
        return "dark" if prefers_dark() else "light"

    def set_theme(self, _name: object = None) -> None:
        """Let the map follow the page's theme, chosen or the device's."""
        if self._map is not None:
            self._map.set_theme(self._map_theme())

    def _storage_changed(self, storage: StorageState) -> None:
        self.dispatch(StorageChanged(storage=storage))

    # What happens over time

    async def _run(self, run_id: int, request: Request) -> None:
        def report(step: Step) -> None:
            self.dispatch(StepReported(run_id=run_id, step=step))
            self._show_on_map(run_id, step)
            if isinstance(step, SitesFound):
                self._keep(run_id)

        try:
            if request.own is None:
                await analyse(request, self._services, report)
            else:
                await analyse_own(request, read_bands, self._services, report)
        except EngineError as error:
            self._loader.note_loss(error)
            problem = str(error)
            self.dispatch(RunFailed(run_id=run_id, kind=type(error).__name__, problem=problem, cause=error.name))
        except GalamseyError as error:
            self.dispatch(RunFailed(run_id=run_id, kind=type(error).__name__, problem=str(error)))
        else:
            self.dispatch(RunEnded(run_id=run_id))
        self._show_on_map(run_id, None)
        self._keep(run_id)
        self.survey_days()

    def _ledger_changed(self, ledger: Ledger) -> None:
        before = self.state.ledger.open_reviews
        self.dispatch(LedgerChanged(ledger=ledger))
        if ledger.open_reviews != before:
            self._show_sites()

    def _layers_changed(self, layers: tuple[Layer, ...]) -> None:
        self.dispatch(LayersChanged(layers=layers))
        if self._map is not None:
            self._map.show_layers(to_geojson(layers))

    def _keep(self, run_id: int) -> None:
        """Write down what the present run has come to."""
        run = self.state.run
        if run is None or run.run_id != run_id:
            return

        async def keep() -> None:
            finding_id = await self._archivist.keep(run)
            if self.state.run is not None and self.state.run.run_id == run_id:
                self._archivist.show(open_id=finding_id)

        self._guard(keep())

    def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Start work on the findings, and tell of what goes wrong with it."""

        async def guarded() -> None:
            try:
                await work
            except FindingError as error:
                text = f"{str(error)[:1].upper()}{str(error)[1:]}."
                self._archivist.show(message=text)
                self.dispatch(NoticeGiven(text=text))

        self.own(guarded())

    async def _open_finding(self, finding_id: str) -> None:
        """Show a kept finding as it was at its end; nothing is asked of any host."""
        finding = self._archivist.get(finding_id)
        pixels = await self._archivist.pixels(finding_id)
        for task in (self._run_task, self._survey_task):
            if task is not None:
                task.cancel()
        run = reopen(finding, pixels, self.new_run_id())
        if self._map is not None:
            self._map.clear_result()
            if finding.point is not None:
                self._bring_into_view(finding.point)
        self.dispatch(RunReopened(run=run))
        self._archivist.show(open_id=finding_id)
        self._show_on_map(run.run_id, run.composed)

    async def _backup(self, ids: Sequence[str] = ()) -> None:
        """Hand findings to the person as one file: these, else the chosen ones, else all that are shown."""
        ledger = self.state.ledger
        listed = [entry.id for entry in shown(ledger)]
        chosen = list(ids) or [one for one in listed if one in ledger.chosen] or listed
        name = f"suspected-mining-backup-{utc_now():%Y%m%dT%H%M%SZ}.zip"
        offer_bytes(name, "application/zip", await self._archivist.backup(chosen))

    async def _take_in(self, file: Any) -> None:  # noqa: ANN401 - a File
        """Add the findings of a backup."""
        self._archivist.show(message="")
        self._archivist.show(message=await self._archivist.take_in(await read_file(file)))

    async def _find_scenes(self, catalogue: Catalogue, query: SceneQuery) -> list[Scene]:
        lons, lats = zip(*query.outline[:-1], strict=True)
        middle = Point(sum(lons) / len(lons), sum(lats) / len(lats))
        kept = kept_scenes(self._regions.regions, middle, query, catalogue.key)
        if kept is not None:
            return kept
        fallback = next((known for known in CATALOGUES if known.key == catalogue.fallback), None)
        scenes = await search(catalogue, query, fallback if self.state.settings.use_fallback else None)
        self._privacy.learn_hosts(scenes, own=catalogue == self.state.settings.other)
        return scenes

    async def _survey(self, run_id: int, point: Point, days: Sequence[Day]) -> None:
        def tell(day: Day) -> None:
            self.dispatch(DaySurveyed(run_id=run_id, day=day))

        try:
            await survey(days, point, self._services, read_preview, tell)
        except (LockdownError, UnreachableError) as error:
            self.dispatch(NoticeGiven(text=f"The other dates could not be looked at: {error}"))

    def _show_on_map(self, run_id: int, step: Step | None) -> None:
        run = self.state.run
        if self._map is None or run is None or run.run_id != run_id:
            return
        if run.ring:
            self._map.show_chip(list(run.ring), working=not run.stage.ended)
        if isinstance(step, ChipComposed) and run.ring:
            self._map.show_composite(step.rgb.pixels, list(run.ring)[:4])
        if run.found is not None and run.found.refined is not None and run.grid is not None and run.grid.placed:
            self._map.show_disturbed([rings_lonlat(one, run.grid) for one in run.found.refined.sites])
        if isinstance(step, SitesFound) or run.sites:
            self._show_sites()

    def _show_sites(self) -> None:
        """Outline on the map what the model found and what reviewers drew."""
        if self._map is None or self.state.run is None:
            return
        drawn = self.state.drawn
        found = [(site, "new") for site in self.state.run.sites] + [(one.site, "drawn") for one in drawn]
        self._map.show_sites(
            [
                {"number": site.number, "ring": list(site.ring), "label": site.label, "change": change}
                for site, change in found
                if site.ring
            ],
        )


app = App()
await app.start()  # noqa: F704, PLE1142 - PyScript runs a script as a coroutine
