"""Ask hosts through one small queue: a few requests at once, time limits, and retries with growing pauses."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from galamsey.errors import CatalogueError, PassingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

T = TypeVar("T")

AT_ONCE: Final = 6
"""Requests under way together: what browsers allow to one host over HTTP/1.1."""

ATTEMPTS: Final = 4
FIRST_PAUSE_S: Final = 1.0
"""Doubled after each attempt: 1, 2 and 4 s."""

LONGEST_PAUSE_S: Final = 60.0
"""A host that asks for a longer wait is given up at once: nobody looks at a spinner for minutes."""

JSON_LIMIT_S: Final = 20.0
RASTER_LIMIT_S: Final = 60.0
"""For one attempt. A window of the real archive is up to 2 MB, which a phone's network may take a while for."""

PASSING_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that a later attempt may not get; Earth Search has been seen to answer 500 and 502 now and then."""

OK: Final = 200


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A host's answer."""

    status: int
    reason: str
    text: str
    media_type: str = ""
    """``Content-Type``; empty where it says nothing."""
    retry_after: str = ""
    """``Retry-After``: seconds or a date (RFC 9110, 10.2.3); browsers hide it where the host does not expose it."""
    date: str = ""
    """``Date``: the host's own clock."""


class RequestQueue:
    """Runs attempts, few at a time, and again where they fail in passing."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]], *, at_once: int = AT_ONCE) -> None:
        self._sleep = sleep
        self._slots = asyncio.Semaphore(at_once)

    async def run(self, attempt: Callable[[], Awaitable[T]], *, limit_s: float) -> T:
        """Return what an attempt gives.

        A place in the queue is held only while an attempt runs, not during the pause after it. Cancelling stops the
        attempt or the pause. Raises PassingError once the last attempt has failed; any other error ends it at once.
        """
        pause_s = FIRST_PAUSE_S
        for number in range(1, ATTEMPTS + 1):
            problem = PassingError(f"did not answer within {limit_s:g} s")
            try:
                async with self._slots, asyncio.timeout(limit_s):
                    return await attempt()
            except PassingError as error:
                problem = error
            except TimeoutError:
                pass
            if number == ATTEMPTS:
                raise PassingError(f"{problem}, {ATTEMPTS} times in a row") from problem
            wait_s = max(pause_s, problem.retry_after_s or 0.0)
            if wait_s > LONGEST_PAUSE_S:
                raise PassingError(f"{problem} and asks to come back in {wait_s:.0f} s") from problem
            await self._sleep(wait_s)
            pause_s *= 2
        raise AssertionError("unreachable")


def retry_after_s(text: str, host_date: str = "") -> float | None:
    """Read a ``Retry-After``. A date counts from the host's own clock: the device's may be wrong."""
    if text.strip().isdecimal():
        return float(text)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(host_date)
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())


def read_json(reply: Reply) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON of a reply.

    Raises PassingError for what gateways answer in trouble (server errors, pages of HTML, nothing at all) and
    CatalogueError for a refusal.
    """
    if reply.status in PASSING_STATUSES:
        raise PassingError(f"answered {reply.status}", retry_after_s(reply.retry_after, reply.date))
    if reply.status != OK:
        raise CatalogueError(f"answered {reply.status} {reply.reason}".strip())
    if not reply.text.strip():
        raise PassingError("answered nothing where JSON was expected")
    try:
        return json.loads(reply.text)
    except (ValueError, RecursionError) as error:
        what = "a page of HTML" if _is_html(reply) else repr(reply.text[:60])
        raise PassingError(f"answered {what} where JSON was expected") from error


def _is_html(reply: Reply) -> bool:
    start = reply.text.lstrip()[:14].lower()
    return "html" in reply.media_type.lower() or start.startswith(("<!doctype html", "<html"))


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await several at once and return their results in order; when one fails, stop the others before raising."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
