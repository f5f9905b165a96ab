"""Read the number of sites out of a description, to hold it against the boxes."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER: Final = rf"\d{{1,3}}|no|{'|'.join(_WORDS)}"
_THINGS: Final = r"(?:sites?|pits?|areas?|locations?|clusters?|patches|patch|features?)"

_COUNTED: Final = re.compile(
    # "3 suspected mining sites", "two small, scattered pits": at most four words between, and no sentence's end.
    rf"(?<![\w.,-])({_NUMBER})\s+(?:[a-z-]+,?\s+){{0,4}}?{_THINGS}\b",
    re.IGNORECASE,
)
_NOTHING: Final = re.compile(
    r"\bno\s+(?:[a-z-]+\s+){0,4}?mining\b(?!\s+(?:sites?|pits?)\b)"
    r"|\b(?:mining|mines|pits)\s+(?:is|are)\s+not\s+visible",
    re.IGNORECASE,
)


def counted_sites(text: str) -> int | None:
    """Return how many sites a description speaks of; None where it gives no number, or several that differ."""
    counts = {_value(match[1]) for match in _COUNTED.finditer(text)}
    if _NOTHING.search(text):
        counts.add(0)
    return counts.pop() if len(counts) == 1 else None


def _value(word: str) -> int:
    word = word.lower()
    if word == "no":
        return 0
    return int(word) if word.isdecimal() else _WORDS.index(word)
