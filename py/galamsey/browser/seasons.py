"""Draw the dry seasons as bars, with the range of each, one button a season."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import js

from galamsey.browser.page import clone, element, fill, on_click_within, part, set_text
from galamsey.wording_change import season_figure, season_label, season_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from galamsey.series import Moment, Season, Series


class SeasonBars:
    """The bars. Drawing them again keeps the focus where it is."""

    def __init__(self, press: Callable[[int], None]) -> None:
        on_click_within("seasons", "[data-year]", lambda row: press(int(row.dataset.year)))

    def draw(self, series: Series, chosen: tuple[str, str], working: Season | None) -> None:
        """Show what is known of each season, which two are compared and which is being looked at."""
        focused = js.document.activeElement
        pressed = focused.closest("[data-year]") if focused else None
        year = str(pressed.dataset.year) if pressed else ""
        rows = []
        for season, moment in series.columns:
            side = (
                ""
                if moment is None or moment.finding_id not in chosen
                else ("before", "after")[chosen.index(moment.finding_id)]
            )
            rows.append(_row(season, moment, side, series.tallest_ha or 1.0, working=season == working))
        fill("seasons", rows)
        if year and (again := element("seasons").querySelector(f'[data-year="{year}"]')):
            again.focus()

    def show_newest(self) -> None:
        """Bring the newest into sight, where not all are."""
        element("seasons").scrollLeft = element("seasons").scrollWidth


def _row(season: Season, moment: Moment | None, side: str, tallest_ha: float, *, working: bool) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("season-row")
    button = row.firstElementChild
    button.dataset.year, button.dataset.side = str(season.year), side
    button.dataset.state = season_state(moment, working=working)
    button.title = season_label(season, moment, side)
    set_text(part(row, "figure"), season_figure(moment))
    set_text(part(row, "name"), season.name)
    set_text(part(row, "words"), f" {button.title}")  # what is in sight stays the beginning of the button's name
    if moment is not None and moment.usable:
        button.style.setProperty("--bar", f"{moment.height_ha / tallest_ha:.4f}")
        if moment.disturbed_ha is not None:
            _, low_ha, high_ha = moment.disturbed_ha
            button.style.setProperty("--low", f"{low_ha / tallest_ha:.4f}")
            button.style.setProperty("--high", f"{high_ha / tallest_ha:.4f}")
            button.dataset.range = ""
    return row
