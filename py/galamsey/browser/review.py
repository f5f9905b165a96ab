"""Let a person confirm, reject and redraw suspected sites and add missed ones, with the keyboard if they like."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import js

from galamsey.browser.drawing import DrawingDialog
from galamsey.browser.page import clone, element, fill, listen, on_click, on_click_within, part, set_text, show, write
from galamsey.browser.window import remember, remembered
from galamsey.drawings import confirmed_sites, measure, numbers_of, total_ha
from galamsey.ledger import shown
from galamsey.reviews import ADDED_FROM, MAX_TEXT, REASONS, WHOLE, Decision, Review, latest, merge_reviews
from galamsey.state import utc_now
from galamsey.wording_findings import drawn_areas, drawn_by, drawn_saved, review_words, site_words, total_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from galamsey.browser.archivist import Archivist
    from galamsey.drawings import Drawn
    from galamsey.reviews import Box
    from galamsey.state import AppState

NAME_KEY: Final = "reviewer"
"""Under which the reviewer's name is kept in this browser."""
KEYS: Final[dict[str, Decision]] = {"y": "confirm", "n": "reject", "u": "withdraw"}


class ReviewPanel:
    """The panel below the sites. Drawing the same state twice changes nothing."""

    def __init__(
        self,
        archivist: Archivist,
        guard: Callable[[Any], None],
        open_finding: Callable[[str], None],
        select_site: Callable[[int | None], None],
    ) -> None:
        self._archivist = archivist
        self._guard = guard
        self._open_finding = open_finding
        self._select_site = select_site
        self._state: AppState | None = None
        self._drawing = DrawingDialog()
        self._undoable: tuple[str, Review] | None = None
        self._drawn: object = None
        element("review-name").value = remembered(NAME_KEY)
        fill("review-reason", [_option(key, name) for key, name in REASONS.items()])
        for key, decision in (("confirm", "confirm"), ("reject", "reject"), ("withdraw", "withdraw")):
            on_click(f"review-{key}", lambda decision=decision: self._decide(decision))
        on_click("review-next", self._next)
        on_click("review-redraw", self._redraw)
        on_click("review-add", self._add)
        on_click("drawn-undo-button", self._undo)
        on_click_within("drawn", "[data-site]", lambda row: self._select(int(row.dataset.site)))
        listen(element("review-name"), "change", lambda event: remember(NAME_KEY, str(event.target.value).strip()))
        listen(js.document, "keydown", self._key_pressed)

    def render(self, state: AppState) -> None:
        """Show what has been said of the selected site."""
        self._state = state
        shown_run = state.run is not None and state.run.stage.ended and state.run.found is not None
        show("review", shown=shown_run and bool(state.ledger.open_id))
        site = self._site
        numbers = self._numbers
        write("review-which", site_words(state.ledger.open_reviews, site, numbers))
        words = [review_words(review, numbers) for review in reversed(state.ledger.open_reviews)]
        rows = element("review-words")
        if [row.textContent for row in rows.children] != words:
            fill("review-words", [_word(text) for text in words])
        element("review-withdraw").disabled = not words
        seen = state.run is not None and state.run.composed is not None
        element("review-redraw").disabled = site == WHOLE or not seen
        element("review-add").disabled = not seen
        self._show_drawn(state)
        waiting = self._waiting()
        element("review-next").disabled = not waiting
        write("review-next-word", f"Next of {len(waiting)} not reviewed" if waiting else "Nothing else to review")

    def _show_drawn(self, state: AppState) -> None:
        """List the boxes that reviewers drew, and what is confirmed by now."""
        drawn = state.drawn
        for legend in js.document.querySelectorAll("[data-box-legend]"):
            legend.hidden = not drawn
        show("drawn", shown=bool(drawn))
        undo = self._undoable
        show("drawn-undo", shown=undo is not None and undo[0] == state.ledger.open_id)
        told = (state.run and state.run.run_id, state.ledger.open_reviews, bool(drawn))
        if told != self._drawn:
            self._drawn = told
            fill("drawn", [_drawn_row(one) for one in drawn])
            run = state.run
            confirmed = ()
            if run is not None and run.found is not None and state.ledger.open_id:
                confirmed = confirmed_sites(run.sites, run.grid, state.ledger.open_reviews, run.found.refined)
            show("review-total", shown=bool(confirmed))
            write("review-total", total_words(len(confirmed), *total_ha(confirmed)) if confirmed else "")
        for row in element("drawn").querySelectorAll("[data-site]"):
            row.ariaPressed = str(row.dataset.site == str(state.selected_site)).lower()

    @property
    def _numbers(self) -> dict[int, int]:
        """The number that people read for each key of a site."""
        state = self._state
        if state is None or state.run is None:
            return {}
        return numbers_of([site.number for site in state.run.sites], state.ledger.open_reviews)

    @property
    def _site(self) -> int:
        """Key of the site that is spoken of: the selected one, or the only one, else the whole chip."""
        state = self._state
        if state is None or state.run is None:
            return WHOLE
        shown_keys = [site.number for site in state.run.sites] + [one.key for one in state.drawn if one.missed]
        if state.selected_site is None:
            return shown_keys[0] if len(shown_keys) == 1 else WHOLE
        return next((key for key, number in self._numbers.items() if number == state.selected_site), WHOLE)

    def _select(self, number: int) -> None:
        self._select_site(None if self._state and self._state.selected_site == number else number)

    def _waiting(self) -> list[str]:
        state = self._state
        if state is None:
            return []
        everything = replace(
            state.ledger, filter=replace(state.ledger.filter, status="open", text="", since="", until="")
        )
        return [entry.id for entry in shown(everything) if entry.id != state.ledger.open_id]

    def _next(self) -> None:
        if waiting := self._waiting():
            self._open_finding(waiting[-1])  # the oldest first

    def _named(self) -> str:
        """Return the reviewer's name; asks for it where it is missing."""
        name = str(element("review-name").value).strip()[:MAX_TEXT]
        show("review-problem", shown=not name)
        if name:
            remember(NAME_KEY, name)
        else:
            element("review-name").focus()
        return name

    @property
    def _at_work(self) -> bool:
        """Whether there is something to review."""
        return bool(self._state and self._state.ledger.open_id) and not element("review").hidden

    def _decide(self, decision: Decision) -> None:
        state = self._state
        if state is None or not self._at_work or not (name := self._named()):
            return
        site = self._site
        self._say(
            Review(
                id=uuid.uuid4().hex,
                at=utc_now().isoformat(timespec="milliseconds"),
                reviewer=name,
                site=site,
                decision=decision,
                reason=str(element("review-reason").value) if decision == "reject" else "",
                note=self._note(),
            )
        )
        keys = list(dict.fromkeys([one.number for one in state.run.sites] if state.run else []))
        if decision != "withdraw" and site in keys[:-1]:
            self._select_site(keys[keys.index(site) + 1])

    def _note(self) -> str:
        """Return what stands in the field for a note, and empty it."""
        note = str(element("review-note").value).strip()[:MAX_TEXT]
        element("review-note").value = ""
        return note

    def _say(self, review: Review) -> None:
        """Add a review to the finding that is shown."""
        self._undoable = None
        self._guard(
            self._archivist.change(
                self._state.ledger.open_id if self._state else "",
                lambda finding: replace(finding, reviews=merge_reviews(finding.reviews, (review,))),
            ),
        )

    # Drawing

    def _redraw(self) -> None:
        """Let the person draw the selected site's box anew, beginning with the one that stands."""
        state, key = self._state, self._site
        if state is None or key == WHOLE or not self._at_work or not (name := self._named()):
            return
        own = latest(state.ledger.open_reviews, key).get(name)
        standing = [one.site.box for one in state.drawn if one.key == key]
        model = [site.box for site in (state.run.sites if state.run else ()) if site.number == key]
        boxes = [*model, *standing, *([own.box] if own is not None and own.box is not None else [])]
        start = boxes[-1] if boxes else None
        self._draw(f"Redraw site {self._numbers[key]}", "redraw", key, start, name)

    def _add(self) -> None:
        """Let the person draw a site that the model missed."""
        if self._at_work and (name := self._named()):
            key = ADDED_FROM + uuid.uuid4().int % 2**31
            self._draw("Add a site that the model missed", "add", key, None, name)

    def _draw(self, title: str, decision: Decision, key: int, start: Box | None, name: str) -> None:
        state = self._state
        if state is None or state.run is None or state.run.composed is None:
            return
        finding_id = state.ledger.open_id

        chip = state.run.composed.chip

        def done(box: Box) -> None:
            if self._state is None or self._state.ledger.open_id != finding_id:
                return  # another finding was opened meanwhile
            before = latest(self._state.ledger.open_reviews, key).get(name)
            review = Review(
                id=uuid.uuid4().hex,
                at=utc_now().isoformat(timespec="milliseconds"),
                reviewer=name,
                site=key,
                decision=decision,
                note=self._note(),
                box=box,
                disturbed=measure(box, chip, key),
            )
            self._say(review)
            withdrawn = replace(review, decision="withdraw", note="", box=None, disturbed=None)
            self._undoable = (finding_id, before or withdrawn)
            write("drawn-undo-text", drawn_saved(review))

        self._drawing.open(title, state.run.composed, start=start, sites=state.run.sites, drawn=state.drawn, done=done)

    def _undo(self) -> None:
        """Go back to what the reviewer had said before the last drawing."""
        if self._undoable is not None:
            _, before = self._undoable
            now = utc_now().isoformat(timespec="milliseconds")
            self._say(replace(before, id=uuid.uuid4().hex, at=now))

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.ctrlKey or event.metaKey or event.altKey or js.document.querySelector("dialog[open]"):
            return
        if event.target.closest("input, select, textarea"):
            return
        if str(event.key) in KEYS:
            event.preventDefault()
            self._decide(KEYS[str(event.key)])
        elif event.key in {"r", "a"} and self._at_work:
            event.preventDefault()
            self._redraw() if event.key == "r" else self._add()
        elif event.key == ".":
            event.preventDefault()
            self._next()


def _option(key: str, name: str) -> Any:  # noqa: ANN401 - a DOM element
    option = clone("period-row")
    option.value = key
    set_text(option, name)
    return option


def _word(text: str) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("review-row")
    set_text(row, text)
    return row


def _drawn_row(drawn: Drawn) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("drawn-row")
    row.firstElementChild.dataset.site = str(drawn.site.number)
    set_text(part(row, "number"), str(drawn.site.number))
    set_text(part(row, "area"), drawn_areas(drawn.site.box_area_ha, drawn.disturbed))
    set_text(part(row, "who"), drawn_by(drawn))
    return row
