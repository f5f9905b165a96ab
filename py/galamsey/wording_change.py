"""Put change over the years into words."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from galamsey.change import KINDS
from galamsey.scenes import format_date
from galamsey.wording import count_sites, format_ha, site_place

if TYPE_CHECKING:
    from galamsey.change import Change, Comparison, Kind
    from galamsey.scenes import Catalogue
    from galamsey.series import Moment, Season, Series

KIND_NAMES: Final[dict[Kind, str]] = {
    "new": "New",
    "persistent": "Persistent",
    "gone": "Gone",
    "hidden-before": "Hidden earlier",
    "hidden-after": "Hidden later",
}

METHOD: Final = (
    "Sites of two dates are one site where their boxes share an IoU of 0.3 or more, paired so that all pairs together "
    "share the most. New means: marked on the later date and not on the earlier one. The model can miss a mine on "
    "either date, and floods or fresh green can hide one: look at both pictures. Each dry season stands for one image "
    "on one day."
)
"""For the person: stands where the numbers are shown."""


def day_text(day: str) -> str:
    """Write an ISO day as officers do."""
    return format_date(date.fromisoformat(day))


def season_state(moment: Moment | None, *, working: bool) -> str:
    """Name how a season is drawn: ``waiting``, ``working``, ``suspected``, ``clean``, ``unreadable``, ``no-image``."""
    if working:
        return "working"
    return "waiting" if moment is None else moment.outcome


def season_figure(moment: Moment | None) -> str:
    """Write what stands over a season's bar."""
    if moment is None:
        return ""
    if moment.outcome == "suspected":
        return f"{moment.height_ha:.1f}" if moment.height_ha >= 1 else f"{moment.height_ha:.2f}"
    return {"clean": "0", "unreadable": "?", "no-image": "no image"}[moment.outcome]


def season_label(season: Season, moment: Moment | None, side: str = "") -> str:
    """Describe a season for a screen reader and a tooltip; ``side`` of the comparison is ``before`` or ``after``."""
    compared = {"before": "; the earlier date", "after": "; the later date"}.get(side, "")
    return f"{_season_words(season, moment)}{compared}"


def _season_words(season: Season, moment: Moment | None) -> str:
    name = f"Dry season {season.name}"
    if moment is None:
        return f"{name}: not looked at yet"
    if not moment.usable:
        return f"{name}: {moment.line}. This says nothing about mining then"
    area = ""
    if moment.disturbed_ha is not None:
        best, low, high = moment.disturbed_ha
        digits = 1 if best >= 1 else 2
        area = f", {format_ha(best)} disturbed ({low:.{digits}f}-{high:.{digits}f})"
    elif moment.sites:
        area = f", {format_ha(moment.box_area_ha)} in boxes"
    found = count_sites(moment.sites) if moment.sites else "no mining found by this model"
    return f"{name}, image of {day_text(moment.day)}: {found}{area}"


def moment_name(moment: Moment) -> str:
    """Name a date in a list of dates."""
    sites = "none found" if not moment.sites else "1 site" if moment.sites == 1 else f"{moment.sites} sites"
    return f"{day_text(moment.day)}, {sites}"


def series_line(series: Series, *, catalogue: Catalogue, working: Season | None, left: int) -> str:
    """Say how far the years were looked at, and whom looking at the others tells."""
    if working is not None:
        more = f", {left} more to look at" if left else ""
        return f"Looking at {working.name}{more}. You can close this and go on working."
    missing = len(series.missing)
    if not missing:
        return "Every dry season was looked at."
    learns = f" {catalogue.discloses}." if catalogue.discloses else " Nothing leaves this device."
    return f"{missing} dry season{'' if missing == 1 else 's'} not looked at yet, in {catalogue.name}.{learns}"


def other_model(asked: str, loaded: str) -> str:
    """Say that another model is loaded than the one whose findings are compared."""
    return (
        f"this finding is by {asked}, and {loaded} is loaded: load that model, or run again with this one and compare"
    )


def series_problem(problem: str) -> str:
    """Say why looking at the seasons stopped; empty where it did not."""
    return (
        problem and f"{problem[:1].upper()}{problem[1:].rstrip('.')}. What was found is kept: look at the others again."
    )


def change_line(comparison: Comparison) -> str:
    """Say in one line what changed."""
    new, same, gone = (comparison.totals[kind] for kind in KINDS[:3])
    parts = (
        f"{new.count} new ({format_ha(new.after_ha)})" if new.count else "none new",
        f"{same.count} persistent ({format_ha(same.before_ha)} to {format_ha(same.after_ha)})"
        if same.count
        else "none persistent",
        f"{gone.count} gone ({format_ha(gone.before_ha)})" if gone.count else "none gone",
    )
    return f"Suspected sites: {', '.join(parts)}"


def change_notes(comparison: Comparison) -> str:
    """Say what must be known of the figures."""
    notes = ["Hectares are disturbed ground inside boxes." if comparison.disturbed else "Hectares are those of boxes."]
    hidden = comparison.totals["hidden-before"].count + comparison.totals["hidden-after"].count
    if hidden:
        whose = "1 site lies" if hidden == 1 else f"{hidden} sites lie"
        notes.append(f"{whose} where the other date does not show the ground: neither new nor gone can be said.")
    return " ".join(notes)


def change_words(change: Change) -> str:
    """Say of one site what its hectares did."""
    before, after = change.before_ha, change.after_ha
    if before is not None and after is not None:
        return f"{format_ha(before)} to {format_ha(after)}"
    if after is not None:
        hidden = ", the ground is hidden on the earlier date" if change.kind == "hidden-before" else ""
        return f"{format_ha(after)}{hidden}"
    hidden = ", the ground is hidden on the later date" if change.kind == "hidden-after" else " on the earlier date"
    return f"{format_ha(before)}{hidden}"


def change_label(change: Change) -> str:
    """Describe one change for a screen reader and for its marker."""
    return f"{KIND_NAMES[change.kind]}, {change_words(change)}, at {site_place(change.site)}"
