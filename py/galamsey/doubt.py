"""Tell answers of which the model was not sure: which to look at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galamsey.detections import ParsedAnswer
    from galamsey.sites import Site

LOW_SCORE: Final = 0.6
HIGH_SCORE: Final = 0.85
"""Bounds of the words for a token score: a way of reading it, not a calibration."""

NARROW_MARGIN: Final = 0.2
"""Six to four. A margin below it is flagged: a way of reading it, not a calibration."""


def is_narrow(parsed: ParsedAnswer) -> bool:
    """Say whether the model nearly decided otherwise on whether there is anything at all."""
    return parsed.margin is not None and parsed.margin < NARROW_MARGIN


def margin_words(margin: float) -> str:
    """Write a margin between two token probabilities."""
    return f"{100 * margin:.0f} percentage points"


def decision_note(parsed: ParsedAnswer) -> str:
    """Say that whether there is anything at all was decided narrowly; empty where it was not, or is not known."""
    if parsed.margin is None or not is_narrow(parsed):
        return ""
    other = "no mining at all" if parsed.detections else "mining"
    return (
        f"Doubtful: the model came within {margin_words(parsed.margin)} of answering {other}. Look at the pictures "
        "yourself, or at another date."
    )


def unsure_note(sites: Sequence[Site]) -> str:
    """Name the sites with a low token score, the lowest first; empty where there are none."""
    scored = [(site.token_score, site.number) for site in sites if site.token_score is not None]
    low = [number for score, number in sorted(scored) if score < LOW_SCORE]
    if not low:
        return ""
    numbers = ", ".join(str(number) for number in low)
    return f"Low token score: site{'' if len(low) == 1 else 's'} {numbers}. Check these first."


def doubt_rank(parsed: ParsedAnswer) -> float:
    """Return how much an answer wants a second look, 0-1: by its decision, else by its least sure box."""
    if parsed.margin is not None:
        return 1 - parsed.margin
    scores = [one.token_score for one in parsed.detections if one.token_score is not None]
    return 1 - min(scores, default=1.0)
