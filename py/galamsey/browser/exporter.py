"""Offer findings as files: which ones, in which format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js
import pyodide_js
from pyodide.ffi import JsException

from galamsey.browser.history import offer_bytes
from galamsey.browser.http import absolute, fetch_json
from galamsey.browser.page import element, listen, on_click, on_click_within, open_dialog, show, write
from galamsey.bundle import FORMATS, sheets_of, write_bundle
from galamsey.errors import CatalogueError, FindingError
from galamsey.geopackage import to_geopackage
from galamsey.ledger import shown
from galamsey.state import utc_now
from galamsey.training import write_training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from galamsey.browser.archivist import Archivist
    from galamsey.findings import Finding
    from galamsey.ledger import Ledger
    from galamsey.state import AppState

REPORT_LIBRARY: Final = "reportlab"
SCOPES: Final = ("open", "chosen", "shown")


class ExportDialog:
    """The dialog in which evidence leaves the page."""

    def __init__(self, archivist: Archivist, guard: Callable[[Any], None]) -> None:
        self._archivist = archivist
        self._guard = guard
        self._ledger: Ledger | None = None
        for name in ("export", "history-export"):
            on_click(name, self.open)
        on_click_within("export-dialog", "[data-close]", lambda _row: element("export-dialog").close())
        on_click_within("export-dialog", "[data-format]", lambda row: guard(self._export(str(row.dataset.format))))
        listen(js.document, "keydown", self._key_pressed)

    def render(self, state: AppState) -> None:
        """Know what there is to export."""
        if state.ledger is self._ledger:
            return
        self._ledger = state.ledger
        element("export").disabled = not state.ledger.open_id
        if element("export-dialog").open:
            self._draw()

    def open(self) -> None:
        """Show the dialog; from the list it offers what was chosen there."""
        ledger = self._ledger
        if ledger is None or not ledger.entries:
            return
        from_list = bool(element("history").open)
        self._draw()
        first = "chosen" if from_list and ledger.chosen else "shown" if from_list else "open"
        scopes = [first, *(scope for scope in SCOPES if scope != first)]
        usable = next(scope for scope in scopes if self._ids(scope))
        element(f"export-{usable}").checked = True
        write("export-status", "")
        open_dialog("export-dialog")

    def _ids(self, scope: str) -> tuple[str, ...]:
        ledger = self._ledger
        if ledger is None:
            return ()
        here = {entry.id for entry in ledger.entries if not entry.deleted}
        match scope:
            case "open":
                return (ledger.open_id,) if ledger.open_id in here else ()
            case "chosen":
                return tuple(entry.id for entry in shown(ledger) if entry.id in ledger.chosen)
        return tuple(entry.id for entry in shown(ledger))

    def _draw(self) -> None:
        for scope in SCOPES:
            count = len(self._ids(scope))
            element(f"export-{scope}").disabled = not count
            if scope != "open":
                write(f"export-{scope}-count", f"{count} finding{'' if count == 1 else 's'}")

    async def _export(self, ending: str) -> None:
        scope = next(scope for scope in SCOPES if element(f"export-{scope}").checked)
        findings = [self._archivist.get(one) for one in self._ids(scope)]
        name = f"suspected-mining-{utc_now():%Y%m%dT%H%M%SZ}"
        write("export-status", "Writing")
        show("export-busy", shown=True)
        try:
            if ending in FORMATS:
                media_type, write_text = FORMATS[ending]
                body = write_text(findings).encode()
            elif ending == "gpkg":
                media_type, body = "application/geopackage+sqlite3", to_geopackage(findings)
            elif ending == "pdf":
                media_type, body = "application/pdf", await self._report(findings)
            elif ending == "training":
                media_type, body = "application/zip", write_training(await self._with_pixels(findings))
                name, ending = f"{name}-training", "zip"
            else:
                media_type, body = "application/zip", await self._bundle(findings)
            offer_bytes(f"{name}.{ending}", media_type, body)
            write("export-status", f"{name}.{ending} was written")
        except FindingError as error:
            write("export-status", f"{str(error)[:1].upper()}{str(error)[1:]}.")
        finally:
            show("export-busy", shown=False)

    async def _report(self, findings: Sequence[Finding]) -> bytes:
        write_pdf = await self._report_writer(findings)
        pictures = {one.id: sheets_of(one, await self._archivist.pixels(one.id)) for one in findings}
        return write_pdf(pictures, {})

    async def _bundle(self, findings: Sequence[Finding]) -> bytes:
        write_pdf = await self._report_writer(findings)
        return write_bundle(await self._with_pixels(findings), write_pdf)

    async def _with_pixels(self, findings: Sequence[Finding]) -> list[tuple[Finding, str]]:
        return [(one, await self._archivist.pixels(one.id)) for one in findings]

    async def _report_writer(
        self, findings: Sequence[Finding]
    ) -> Callable[[Mapping[str, Sequence[bytes]], Mapping[str, str]], bytes]:
        """Fetch what a report needs, once, and return what writes it."""
        try:
            await pyodide_js.loadPackage(REPORT_LIBRARY)
            land = await fetch_json(absolute("data/country.geojson"))
        except (JsException, CatalogueError) as error:
            raise FindingError(f"the library that writes reports could not be loaded: {error}") from error
        from galamsey.report import write_report  # noqa: PLC0415 - its library has only now been loaded

        outlines = [ring for feature in land["features"] for ring in _rings(feature) if _is_ghana(feature)]
        made = f"{utc_now():%Y-%m-%d %H:%M} UTC"
        return lambda pictures, sha256: write_report(
            findings, made=made, outlines=outlines, pictures=pictures, sha256=sha256
        )

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.ctrlKey or event.metaKey or event.altKey or event.key != "e":
            return
        if not js.document.querySelector("dialog[open]") and not event.target.closest("input, select, textarea"):
            event.preventDefault()
            self.open()


def _is_ghana(feature: Mapping[str, Any]) -> bool:
    return bool(feature["properties"].get("kind") == "country")


def _rings(feature: Mapping[str, Any]) -> list[Any]:
    geometry = feature["geometry"]
    if geometry["type"] == "Polygon":
        return [geometry["coordinates"][0]]
    return [polygon[0] for polygon in geometry["coordinates"]] if geometry["type"] == "MultiPolygon" else []
