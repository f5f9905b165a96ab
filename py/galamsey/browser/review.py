"""Let a person confirm or reject suspected sites, with the keyboard if they like."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import js

from galamsey.browser.page import clone, element, fill, listen, on_click, set_text, show, write
from galamsey.browser.window import remember, remembered
from galamsey.ledger import shown
from galamsey.reviews import MAX_TEXT, REASONS, WHOLE, Decision, Review, merge_reviews
from galamsey.state import utc_now
from galamsey.wording_findings import review_words, site_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from galamsey.browser.archivist import Archivist
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
        element("review-name").value = remembered(NAME_KEY)
        fill("review-reason", [_option(key, name) for key, name in REASONS.items()])
        for key, decision in (("confirm", "confirm"), ("reject", "reject"), ("withdraw", "withdraw")):
            on_click(f"review-{key}", lambda decision=decision: self._decide(decision))
        on_click("review-next", self._next)
        listen(element("review-name"), "change", lambda event: remember(NAME_KEY, str(event.target.value).strip()))
        listen(js.document, "keydown", self._key_pressed)

    def render(self, state: AppState) -> None:
        """Show what has been said of the selected site."""
        self._state = state
        shown_run = state.run is not None and state.run.stage.ended and state.run.found is not None
        show("review", shown=shown_run and bool(state.ledger.open_id))
        site = self._site
        write("review-which", site_words(state.ledger.open_reviews, site))
        words = [review_words(review) for review in reversed(state.ledger.open_reviews)]
        rows = element("review-words")
        if [row.textContent for row in rows.children] != words:
            fill("review-words", [_word(text) for text in words])
        element("review-withdraw").disabled = not words
        waiting = self._waiting()
        element("review-next").disabled = not waiting
        write("review-next-word", f"Next of {len(waiting)} not reviewed" if waiting else "Nothing else to review")

    @property
    def _site(self) -> int:
        """Number of the site that is spoken of: the selected one, or the only one, else the whole chip."""
        state = self._state
        if state is None or state.run is None:
            return WHOLE
        if state.selected_site is None and len(state.run.sites) == 1:
            return state.run.sites[0].number
        return WHOLE if state.selected_site is None else state.selected_site

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

    def _decide(self, decision: Decision) -> None:
        state = self._state
        if state is None or not state.ledger.open_id or element("review").hidden:
            return
        name = str(element("review-name").value).strip()[:MAX_TEXT]
        show("review-problem", shown=not name)
        if not name:
            element("review-name").focus()
            return
        remember(NAME_KEY, name)
        review = Review(
            id=uuid.uuid4().hex,
            at=utc_now().isoformat(timespec="milliseconds"),
            reviewer=name,
            site=self._site,
            decision=decision,
            reason=str(element("review-reason").value) if decision == "reject" else "",
            note=str(element("review-note").value).strip()[:MAX_TEXT],
        )
        element("review-note").value = ""
        self._guard(
            self._archivist.change(
                state.ledger.open_id,
                lambda finding: replace(finding, reviews=merge_reviews(finding.reviews, (review,))),
            ),
        )
        numbers = [site.number for site in state.run.sites] if state.run else []
        if decision != "withdraw" and review.site in numbers[:-1]:
            self._select_site(numbers[numbers.index(review.site) + 1])

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.ctrlKey or event.metaKey or event.altKey or js.document.querySelector("dialog[open]"):
            return
        if event.target.closest("input, select, textarea"):
            return
        if str(event.key) in KEYS:
            event.preventDefault()
            self._decide(KEYS[str(event.key)])
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
