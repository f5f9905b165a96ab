"""The dialog of kept regions: outline ground, choose dates, see the size, fetch, carry, delete."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import uuid4

from pyodide.ffi import create_proxy
from pyscript.js_modules import map_draw, region_store

from galamsey.areas import read_box, read_geojson, read_ring
from galamsey.browser import keeper
from galamsey.browser.http import items_of
from galamsey.browser.page import (
    clone,
    element,
    fill,
    listen,
    on_click,
    on_click_within,
    open_dialog,
    part,
    set_text,
    show,
    write,
)
from galamsey.browser.region_transfer import RegionTransfer, TransferHandlers
from galamsey.errors import GalamseyError, RegionError
from galamsey.regions import offers, preselected, region_of, region_query
from galamsey.scenes import format_date
from galamsey.state import utc_now
from galamsey.wording import format_bytes
from galamsey.wording_regions import area_line, no_room, offer_detail, region_detail, size_line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine
    from datetime import date

    from galamsey.areas import Area
    from galamsey.browser.map import MapView
    from galamsey.regions import File, Offer, Region
    from galamsey.scenes import Catalogue
    from galamsey.state import Settings

MAX_GEOJSON_BYTES: Final = 5_000_000
MAX_OFFERS: Final = 40
"""Dates listed; the settings narrow the period where that is not enough."""


class Host(Protocol):
    """The page around the dialog."""

    @property
    def settings(self) -> Settings:
        """What the person chose."""

    @property
    def chart(self) -> MapView | None:
        """The map."""

    def own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task and watch its end."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """A region that is being planned."""

    area: Area
    catalogue: Catalogue
    """Which is asked; its address becomes absolute with the answer."""
    offers: tuple[Offer, ...] = ()
    chosen: frozenset[date] = frozenset()
    refreshes: Region | None = None
    """The region that it takes the place of."""


class RegionsPanel:
    """Owns the kept regions, the draft and the one transfer."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.regions: list[Region] = []
        self._draft: Draft | None = None
        self._plans: dict[date, tuple[File, ...]] = {}
        self._offer_rows: dict[date, Any] = {}
        self._free: int | None = None
        self._planning: asyncio.Task[None] | None = None
        self._transfer = RegionTransfer(
            TransferHandlers(
                own=host.own,
                changed=self._changed,
                complete=self._complete,
                failed=self._failed,
                ended=self._render,
            ),
        )
        self._done, self._corner = create_proxy(self._drawn), create_proxy(self._corner_set)
        self._wire()

    def _wire(self) -> None:
        for kind in ("rectangle", "polygon"):
            on_click(f"region-{kind}", lambda kind=kind: self._draw(kind))
        listen(element("region-box-form"), "submit", self._box_typed)
        on_click("region-geojson", lambda: element("region-geojson-input").click())
        listen(element("region-geojson-input"), "change", lambda _event: self._picked("region-geojson-input"))
        on_click("region-import", lambda: element("region-import-input").click())
        listen(element("region-import-input"), "change", lambda _event: self._picked("region-import-input"))
        on_click("draw-finish", self._finish_drawing)
        on_click("draw-cancel", self._cancel_drawing)
        on_click("region-discard", self._discard)
        on_click("region-start", self._start)
        on_click("region-pause", self._transfer.pause)
        on_click("region-cancel", self._cancel)
        on_click("open-transfer", self.open)
        listen(element("region-dates"), "change", self._dates_changed)
        on_click_within("kept-regions", "[data-action]", self._act)

    @property
    def busy(self) -> bool:
        """Say whether imagery is being fetched."""
        return self._transfer.moving is not None

    # What is kept

    async def load(self) -> None:
        """Read what earlier visits kept."""
        try:
            self.regions = await keeper.kept_regions()
            await self._end_refreshes()
        except RegionError as error:
            self._say(f"Nothing can be kept: {error}.", problem=True)
        self._transfer.resume(self.regions)
        self._render()

    async def _end_refreshes(self) -> None:
        """Remove what a whole refresh has taken the place of, where the page ended before that."""
        replaced = {region.replaces for region in self.regions if region.complete and region.replaces}
        for region in [one for one in self.regions if one.id in replaced]:
            await keeper.remove(region.id)
            self.regions.remove(region)

    def open(self) -> None:
        """Show the dialog."""
        self._render()
        open_dialog("regions")

    def _say(self, text: str, *, problem: bool = False) -> None:
        write("region-message", text)
        element("region-message").classList.toggle("callout", problem)

    def _render(self) -> None:
        fill("kept-regions", [_region_row(region, moving=self._transfer.moving) for region in self.regions])
        show("kept-none", shown=not self.regions)
        self._render_draft()
        self._transfer.render()
        if self._host.chart is not None:
            areas = [(region.area.geojson, region.name) for region in self.regions]
            self._host.chart.show_kept(areas, None if self._draft is None else self._draft.area.geojson)

    def _act(self, button: Any) -> None:  # noqa: ANN401 - a DOM element
        action = str(button.dataset.action)
        region = next(one for one in self.regions if one.id == button.closest("li").dataset.region)
        if action == "show":
            element("regions").close()
            element("inspector").dataset.rest = "line"  # on narrow screens it would cover the region
            if self._host.chart is not None:
                self._host.chart.fit(*region.area.bounds)
        elif action == "resume":
            self._fetch(region)
        elif action == "refresh":
            self._begin(region.area, refreshes=region)
        elif action == "export":
            self._host.own(self._export(region))
        else:
            self._host.own(self._delete(region))

    async def _delete(self, region: Region) -> None:
        moving = self._transfer.moving
        if moving is not None and moving.id == region.id:
            await self._transfer.stop()
        await keeper.remove(region.id)
        self.regions = [one for one in self.regions if one.id != region.id]
        if any(one.id == region.replaces for one in self.regions):
            self._say(f"The refresh of {region.name} was given up; what was kept before stays.")
        else:
            self._say(f"{region.name} was deleted.")
        self._render()

    async def _export(self, region: Region) -> None:
        self._say(f"Writing {region.name} to a file …")
        try:
            archive = await keeper.pack(region)
        except RegionError as error:
            self._say(f"{region.name} could not be written: {error}.", problem=True)
            return
        name = "".join(letter if letter.isalnum() else "-" for letter in region.name.lower()).strip("-") or "region"
        region_store.offer(archive, f"{name}.zip")
        self._say(
            f"{region.name} was written to {name}.zip, {format_bytes(int(archive.size))}. Import it on another device."
        )

    # Outlining

    def _draw(self, kind: str) -> None:
        if self._host.chart is None:
            self._say("There is no map to draw on: type a box, or take a GeoJSON file.")
            return
        element("regions").close()
        element("inspector").dataset.rest = "line"
        words = "Pull a rectangle open" if kind == "rectangle" else "Set three corners or more"
        write("draw-words", words)
        show("draw-finish", shown=kind == "polygon")
        element("draw-finish").disabled = True
        show("draw-bar", shown=True)
        self._host.chart.draw(kind, self._done, self._corner)

    def _finish_drawing(self) -> None:
        map_draw.finish()

    def _cancel_drawing(self) -> None:
        map_draw.cancel()

    def _corner_set(self, corners: int) -> None:
        element("draw-finish").disabled = corners < 3  # noqa: PLR2004 - a triangle is the least

    def _drawn(self, ring: str | None) -> None:
        show("draw-bar", shown=False)
        if ring:
            self._take(lambda: read_ring(json.loads(ring)))
        open_dialog("regions")

    def _box_typed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        event.preventDefault()
        self._take(lambda: read_box(str(element("region-box").value)))

    def _picked(self, input_id: str) -> None:
        field = element(input_id)
        file = field.files.item(0)
        if not file:
            return
        work = self._import(file) if input_id == "region-import-input" else self._read_geojson(file)
        self._host.own(work)
        field.value = ""  # the same file may be chosen again

    async def _read_geojson(self, file: Any) -> None:  # noqa: ANN401 - a File
        if file.size > MAX_GEOJSON_BYTES:
            self._problem(
                f"{file.name}: expected at most {format_bytes(MAX_GEOJSON_BYTES)}, got {format_bytes(int(file.size))}"
            )
            return
        text = str(await file.text())
        self._take(lambda: read_geojson(text))

    def _take(self, read: Callable[[], Area]) -> None:
        try:
            area = read()
        except RegionError as error:
            self._problem(str(error))
            return
        self._begin(area)

    def _problem(self, text: str) -> None:
        write("region-problem", f"{text[:1].upper()}{text[1:]}." if text else "")
        show("region-problem", shown=bool(text))

    # Choosing

    def _begin(self, area: Area, *, refreshes: Region | None = None) -> None:
        self._problem("")
        self._plans.clear()
        self._offer_rows.clear()
        fill("region-dates", ())
        catalogue = self._host.settings.catalogue if refreshes is None else refreshes.catalogue
        self._draft = Draft(area=area, catalogue=catalogue, refreshes=refreshes)
        write("region-draft-title", "New region" if refreshes is None else f"Refresh {refreshes.name}")
        show("region-replaces", shown=refreshes is not None)
        element("region-name").value = "" if refreshes is None else refreshes.name
        self._plan_anew(self._look_up)
        self._render()
        element("region-draft").scrollIntoView(block="nearest")

    def _discard(self) -> None:
        if self._planning is not None:
            self._planning.cancel()
        self._draft = None
        self._problem("")
        self._render()

    def _plan_anew(self, work: Callable[[], Awaitable[None]]) -> None:
        if self._planning is not None:
            self._planning.cancel()

        async def guarded() -> None:
            try:
                await work()
            except GalamseyError as error:
                self._problem(str(error))
                write("region-size", "")

        self._planning = self._host.own(guarded())

    async def _look_up(self) -> None:
        if self._draft is None:
            return
        catalogue, period = self._draft.catalogue, self._host.settings.period
        write("region-size", f"Asking {catalogue.name} for dates …")
        found, url = await items_of(catalogue, region_query(self._draft.area, period))
        catalogue = replace(catalogue, url=url)
        listed = offers(found.items, self._draft.area, catalogue, period)
        if not listed:
            raise RegionError(f"{catalogue.name} has no image of this area from {period}")
        listed = listed[:MAX_OFFERS]
        chosen = preselected(listed, self._draft.refreshes)
        self._draft = replace(self._draft, catalogue=catalogue, offers=listed, chosen=chosen)
        self._problem(found.words)
        self._render()
        element("region-draft").scrollIntoView(block="start")  # its dates are what is to be chosen now
        await self._measure()

    def _dates_changed(self, _event: Any) -> None:  # noqa: ANN401 - a DOM event
        if self._draft is None:
            return
        ticked = {str(box.value) for box in element("region-dates").querySelectorAll(":checked")}
        chosen = frozenset(offer.when for offer in self._draft.offers if offer.when.isoformat() in ticked)
        self._draft = replace(self._draft, chosen=chosen)
        element("region-start").disabled = True  # until it is known what these dates need
        self._plan_anew(self._measure)

    async def _measure(self) -> None:
        """Find out what the chosen dates need, from the files' headers."""
        draft = self._draft
        if draft is None:
            return
        self._problem("")
        for offer in draft.offers:
            if offer.when in draft.chosen and offer.when not in self._plans:
                write("region-size", f"Reading how large {format_date(offer.when)} is …")
                self._plans[offer.when] = await keeper.plan(offer, draft.area)
        self._free = await keeper.free_bytes()
        self._render()

    @property
    def _files(self) -> tuple[File, ...]:
        chosen = self._draft.chosen if self._draft is not None else frozenset()
        return tuple(file for when in sorted(chosen) for file in self._plans.get(when, ()))

    def _render_draft(self) -> None:
        draft = self._draft
        show("region-draft", shown=draft is not None)
        if draft is None:
            return
        write("region-area", area_line(draft.area))
        self._render_offers(draft)
        if not draft.offers:
            element("region-start").disabled = True
            return
        wanted = sum(piece.length for file in self._files for piece in file.pieces)
        short = self._free is not None and wanted > self._free
        if short and self._free is not None:
            self._problem(no_room(wanted, self._free).rstrip("."))
        write("region-size", size_line(wanted, self._free) if wanted else "Choose a date or more.")
        measured = draft.chosen <= self._plans.keys()
        busy = self._transfer.moving is not None
        element("region-start").disabled = not (wanted and measured) or short or busy

    def _render_offers(self, draft: Draft) -> None:
        """Show the dates. Their rows are kept: a box that is ticked stays in focus while its date's size is read."""
        listed = [offer.when for offer in draft.offers]
        if list(self._offer_rows) != listed:
            self._offer_rows = {offer.when: _offer_row(offer) for offer in draft.offers}
            fill("region-dates", self._offer_rows.values())
        for when, row in self._offer_rows.items():
            row.querySelector("input").checked = when in draft.chosen
            size = sum(piece.length for file in self._plans.get(when, ()) for piece in file.pieces)
            set_text(part(row, "size"), format_bytes(size) if size else "")

    # Fetching

    def _start(self) -> None:
        draft = self._draft
        if draft is None or self._transfer.moving is not None or not draft.chosen <= self._plans.keys():
            return
        chosen = [offer for offer in draft.offers if offer.when in draft.chosen]
        region = region_of(
            chosen,
            self._files,
            name=str(element("region-name").value),
            area=draft.area,
            catalogue=draft.catalogue,
            new_id=str(uuid4()),
            today=utc_now().date(),
            replaces="" if draft.refreshes is None else draft.refreshes.id,
        )
        self._draft = None
        self.regions.append(region)
        self._fetch(region)

    def _fetch(self, region: Region) -> None:
        started = self._transfer.start(region)
        self._say("" if started else "Wait until the present transfer has ended, or pause it.")
        self._render()

    def _changed(self, region: Region) -> None:
        self.regions = [region if one.id == region.id else one for one in self.regions]

    async def _complete(self, region: Region) -> None:
        self._changed(region)
        if region.replaces:
            await keeper.remove(region.replaces)
            self.regions = [one for one in self.regions if one.id != region.replaces]
        self._say(f"{region.name} is complete: clicks inside it need no network.")

    async def _failed(self, region: Region, error: GalamseyError) -> None:
        words = f"{region.name} is unfinished: {error}. What is here stays; resume when the cause is gone."
        self._say(words, problem=True)
        with suppress(RegionError):  # a storage that fails has just been told of
            self.regions = await keeper.kept_regions()  # another tab may have changed them

    def _cancel(self) -> None:
        if self._transfer.moving is not None:
            self._host.own(self._delete(self._transfer.moving))

    async def _import(self, file: Any) -> None:  # noqa: ANN401 - a File
        self._say(f"Checking {file.name} …")
        try:
            region = await keeper.unpack(
                file, lambda here, of: self._say(f"Checking {file.name}: {here} of {of} parts")
            )
        except RegionError as error:
            self._say(f"{file.name} was not taken, and nothing has changed: {error}.", problem=True)
            return
        self.regions.append(region)
        self._say(f"{region.name} was taken from {file.name}: clicks inside it need no network.")
        self._render()


def _offer_row(offer: Offer) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("offer-row")
    row.querySelector("input").value = offer.when.isoformat()
    set_text(part(row, "name"), format_date(offer.when))
    set_text(part(row, "detail"), offer_detail(offer))
    return row


def _region_row(region: Region, *, moving: Region | None) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("region-row")
    row.dataset.region, row.dataset.complete = region.id, str(region.complete).lower()
    set_text(part(row, "name"), region.name)
    busy = moving is not None and moving.id == region.id
    set_text(part(row, "detail"), region_detail(region, moving=busy))
    row.querySelector("[data-action='resume']").hidden = region.complete or busy
    for action in ("refresh", "export"):
        row.querySelector(f"[data-action='{action}']").hidden = not region.complete
    return row
