"""Say plainly what a set-up tool does, and what to do when it stops."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KIB = 1024
MIB = 1024 * KIB


class SetupError(Exception):
    """A set-up step cannot go on. The message says what is wrong and what to do, for someone who did not write this."""


def size_text(size_bytes: int) -> str:
    """Return a size as people read it: `812 B`, `5.3 KiB`, `17.1 MiB`."""
    if size_bytes < KIB:
        return f"{size_bytes} B"
    if size_bytes < MIB:
        return f"{size_bytes / KIB:.1f} KiB"
    return f"{size_bytes / MIB:.1f} MiB"


def say(line: str) -> None:
    """Print a line at once, also when the output is a pipe."""
    print(line, flush=True)


def exit_status(step: Callable[[], None]) -> int:
    """Run a tool's step; turn a `SetupError` into one line on stderr and status 1. Bugs keep their traceback."""
    try:
        step()
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        return 130
    return 0
