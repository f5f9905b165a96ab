"""Damage done to good input, the same way each time: what test_fuzz.py and test_fuzz_imports.py try.

The seed is fixed, so that a failure comes again. FUZZ_CASES and FUZZ_SEED ask for more and for others (`make fuzz`).
"""

from __future__ import annotations

import math
import os
import random
from typing import Any

CASES = int(os.environ.get("FUZZ_CASES", "1500"))
SEED = int(os.environ.get("FUZZ_SEED", "20250103"))

PIECES = (
    "[", "]", "{", "}", ",", ":", '"', "\\", "NaN", "Infinity", "-1e999", "1e-400", "null", "true", "\ud800", "\0",
    '"bbox"', '"label"', "9" * 5000, "[" * 3000, "\u202e", "<img src=x onerror=alert(1)>", "'", "0.5", "-",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 1e308, math.nan, math.inf, "", "x" * 10_000, "\0", [], {}, [[]], {"href": 1},
    {"href": "javascript:alert(1)"}, "file:///etc/passwd", "9999-99-99T99:99:99Z", [[[1e300, 1e300]]], "__proto__",
)  # fmt: skip


def cases(name: str) -> list[random.Random]:
    return [random.Random(f"{SEED} {name} {number}") for number in range(CASES)]


def mangle_text(chance: random.Random, text: str) -> str:
    for _ in range(chance.randint(1, 6)):
        start, end = sorted(chance.randint(0, len(text)) for _ in range(2))
        match chance.randint(0, 3):
            case 0:
                text = text[:start] + chance.choice(PIECES) + text[start:]
            case 1:
                text = text[:start] + text[end:]
            case 2:
                text = text[:end] + text[start:end] + text[end:]
            case _:
                text = text[:start]
    return text


def mangle_bytes(chance: random.Random, data: bytes, *, head: int = 1 << 30) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(max(1, min(head, len(changed))))
        match chance.randint(0, 3):
            case 0 if changed:
                changed[at % len(changed)] = chance.randint(0, 255)
            case 1:
                changed[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
            case 2:
                del changed[at : at + chance.randint(1, 64)]
            case _:
                changed[at:at] = chance.randbytes(chance.randint(1, 16))
    return bytes(changed)


def mangle_json(chance: random.Random, value: Any) -> Any:
    """Replace, remove or repeat something, somewhere."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(sorted(value))
        rest = {name: held for name, held in value.items() if name != key}
        match chance.randint(0, 5):
            case 0:
                return rest
            case 1:
                return rest | {key: chance.choice(ODD_VALUES)}
            case _:
                return rest | {key: mangle_json(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], mangle_json(chance, value[at]), *value[at + 1 :]]
    return chance.choice(ODD_VALUES)
