"""Read JSON that anyone may have made, as its standard has it: numbers are finite and nesting has an end."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def read_json(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value; raises ValueError for everything that other programs could not read again."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"expected a number, got {name}")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"expected a number of up to 1.8e308, got {digits[:20]}")
    return number
