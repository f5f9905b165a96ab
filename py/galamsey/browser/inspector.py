"""Show one run: where and when, pictures, verdict, sites, the model's words, provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js
from pyodide.ffi import create_proxy

from galamsey.browser.days import DaysPanel
from galamsey.browser.page import clone, element, fill, part, set_text, show, write
from galamsey.browser.pictures import Pictures
from galamsey.context import near_words
from galamsey.state import Stage
from galamsey.wording import (
    description_note,
    format_seconds,
    method_words,
    place_title,
    provenance,
    score_text,
    site_areas,
    site_place,
    verdict,
    when_and_cloud,
    why_this_image,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galamsey.browser.handlers import Handlers
    from galamsey.context import Near
    from galamsey.refine import Refined
    from galamsey.sites import Site
    from galamsey.state import AppState, Run

STAGE_TIMINGS: Final = {
    Stage.SEARCHING: "search",
    Stage.CHOOSING: "choose",
    Stage.READING: "bands",
    Stage.DETECTING: "detect",
    Stage.DESCRIBING: "describe",
}
"""The name under which the pipeline reports how long each stage took."""

CLOCK_MS: Final = 250


class Inspector:
    """The part of the page that shows a run. Drawing the same state twice changes nothing."""

    def __init__(self, handlers: Handlers) -> None:
        self._root = element("inspector")
        self._pictures = Pictures(handlers.choose_views)
        self._days = DaysPanel(handlers)
        self._run: Run | None = None
        self._sites: object = None
        self._rows: list[tuple[str, str]] = []
        self._clock: int | None = None
        self._tick = create_proxy(self._show_elapsed)
        fill("stages", [_stage_row(stage) for stage in STAGE_TIMINGS])

    def render(self, state: AppState) -> None:
        """Show the present run, or make room for the first visit."""
        run = state.run
        show("result", shown=run is not None)
        if run is None:
            return
        if self._run is None or run.run_id != self._run.run_id:
            self._begin(run)
        self._run = run
        self._show_head(run)
        self._show_verdict(run)
        self._show_stages(run)
        self._pictures.show_views(state.settings.views)
        self._pictures.render(
            run.composed,
            run.sites,
            state.selected_site,
            provisional=run.found is None and bool(run.sites),
            drawn=state.drawn,
        )
        self._pictures.outline(run.found.refined if run.found else None, run.grid)
        show("composites", shown=run.composed is not None)
        self._days.render(run)
        self._show_sites(run.sites, state.selected_site, run.found.refined if run.found else None, run.context)
        self._show_description(run)
        self._show_provenance(run)
        show("actions", shown=run.stage.ended)

    @property
    def days_open(self) -> bool:
        """Whether the list of days is open."""
        return self._days.is_open

    def _begin(self, run: Run) -> None:
        self._root.dataset.run = str(run.run_id)
        element("inspector-body").scrollTop = 0
        if self._root.dataset.rest == "line":
            self._root.dataset.rest = "half"

    def _show_head(self, run: Run) -> None:
        self._root.dataset.stage = run.stage.name.lower()
        place, place_utm = place_title(run)
        write("place", place)
        write("place-utm", place_utm)
        write("when", when_and_cloud(run))
        write("why", why_this_image(run))
        show("generated", shown=run.scene is not None and run.scene.scene.generated)

    def _show_verdict(self, run: Run) -> None:
        said = verdict(run)
        element("verdict-box").dataset.tone = said.tone
        write("verdict", said.line)
        write("verdict-detail", said.detail)
        write("sheet-line", said.line)
        write("status", said.line if run.stage.ended else run.stage.value)

    def _show_stages(self, run: Run) -> None:
        show("working", shown=not run.stage.ended)
        timed = {name for name, _ in run.timings_ms}
        for row, (stage, timing) in zip(element("stages").children, STAGE_TIMINGS.items(), strict=True):
            row.hidden = run.request.own is not None and stage in (Stage.SEARCHING, Stage.CHOOSING)
            row.dataset.state = "done" if timing in timed else "working" if stage is run.stage else "waiting"
        self._show_elapsed()
        self._run_clock(running=not run.stage.ended)

    def _show_elapsed(self) -> None:
        run = self._run
        if run is None:
            return
        took = dict(run.timings_ms)
        since_start_ms = js.Date.now() - 1000 * run.started.timestamp()
        running_ms = max(0.0, since_start_ms - sum(took.values()))
        for row, (stage, timing) in zip(element("stages").children, STAGE_TIMINGS.items(), strict=True):
            elapsed_ms = took.get(timing, running_ms if stage is run.stage else None)
            set_text(part(row, "elapsed"), "" if elapsed_ms is None else format_seconds(elapsed_ms / 1000))

    def _run_clock(self, *, running: bool) -> None:
        if running and self._clock is None:
            self._clock = js.setInterval(self._tick, CLOCK_MS)
        elif not running and self._clock is not None:
            js.clearInterval(self._clock)
            self._clock = None

    def _show_sites(
        self,
        sites: Sequence[Site],
        selected: int | None,
        refined: Refined | None,
        context: tuple[tuple[Near, ...], ...],
    ) -> None:
        show("sites-section", shown=bool(sites))
        show("method-section", shown=refined is not None)
        if (tuple(sites), refined, context) != self._sites:
            self._sites = (tuple(sites), refined, context)
            rows = [_site_row(site, refined) for site in sites]
            for row, nears in zip(rows, context, strict=False):
                set_text(part(row, "near"), "; ".join(near_words(near) for near in nears))
            fill("sites", rows)
            write("method", "" if refined is None else method_words(refined))
        for button in element("sites").querySelectorAll("button"):
            pressed = button.dataset.site == str(selected)
            if pressed and button.ariaPressed != "true":
                button.scrollIntoView(block="nearest")
            button.ariaPressed = str(pressed).lower()

    def _show_description(self, run: Run) -> None:
        show("description-section", shown=bool(run.description))
        write("description", run.description)
        note = description_note(run)
        show("description-note", shown=bool(note))
        write("description-note", note)

    def _show_provenance(self, run: Run) -> None:
        rows = provenance(run)
        if rows != self._rows:
            self._rows = rows
            fill("provenance", [_provenance_row(name, value) for name, value in rows])


def _stage_row(stage: Stage) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("stage-row")
    set_text(part(row, "name"), stage.value)
    return row


def _site_row(site: Site, refined: Refined | None) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("site-row")
    button = row.firstElementChild
    button.dataset.site = str(site.number)
    set_text(part(row, "number"), str(site.number))
    area, kind = site_areas(site, refined)
    set_text(part(row, "area"), area)
    set_text(part(row, "area-kind"), kind)
    set_text(part(row, "place"), site_place(site))
    if site.token_score is None:
        part(row, "score").hidden = True
    else:
        part(row, "meter").value = site.token_score
        set_text(part(row, "word"), score_text(site.token_score))
    return row


def _provenance_row(name: str, value: str) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("provenance-row")
    set_text(part(row, "name"), name)
    set_text(part(row, "value"), value)
    return row
