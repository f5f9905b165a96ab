import asyncio

import pytest

from galamsey.errors import CatalogueError, PassingError
from galamsey.transport import (
    AT_ONCE,
    ATTEMPTS,
    LONGEST_PAUSE_S,
    Reply,
    RequestQueue,
    read_json,
    retry_after_s,
    together,
)


def reply(status=200, text="{}", **others):
    return Reply(status=status, reason="", text=text, **others)


class Host:
    """Fails as told, then answers; keeps the pauses that were made."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.asked = 0
        self.pauses = []

    async def sleep(self, seconds):
        self.pauses.append(seconds)

    async def attempt(self):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"

    def run(self, limit_s=5.0):
        async def once():
            return await RequestQueue(self.sleep).run(self.attempt, limit_s=limit_s)

        return asyncio.run(once())


def test_an_answer_is_returned_at_once():
    host = Host()

    assert host.run() == "answer"
    assert (host.asked, host.pauses) == (1, [])


def test_pauses_double_until_an_answer_comes():
    host = Host(*(PassingError("answered 502") for _ in range(3)))

    assert host.run() == "answer"
    assert host.pauses == [1.0, 2.0, 4.0]


def test_after_the_last_attempt_the_error_says_what_came_and_how_often():
    host = Host(*(PassingError("answered 502") for _ in range(9)))

    with pytest.raises(PassingError, match="answered 502, 4 times in a row"):
        host.run()
    assert host.asked == ATTEMPTS


def test_a_refusal_is_not_asked_again():
    host = Host(CatalogueError("answered 403"))

    with pytest.raises(CatalogueError, match="403"):
        host.run()
    assert host.asked == 1


def test_a_host_s_wish_to_wait_is_heeded_when_it_is_longer_than_the_pause():
    host = Host(PassingError("answered 429", 7.0), PassingError("answered 429", 0.5))

    host.run()

    assert host.pauses == [7.0, 2.0]


def test_a_host_that_wants_minutes_is_given_up_at_once():
    host = Host(PassingError("answered 503", LONGEST_PAUSE_S + 1))

    with pytest.raises(PassingError, match="asks to come back in 61 s"):
        host.run()
    assert (host.asked, host.pauses) == (1, [])


def test_an_attempt_that_hangs_is_stopped_and_counts_as_failed():
    stopped = []

    class Hanging(Host):
        async def attempt(self):
            self.asked += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stopped.append(self.asked)
                raise

    host = Hanging()
    with pytest.raises(PassingError, match=r"did not answer within 0.01 s, 4 times"):
        host.run(limit_s=0.01)
    assert stopped == [1, 2, 3, 4]


def test_no_more_than_a_few_attempts_run_at_once_and_a_pause_holds_no_place():
    async def scene():
        running = peak = 0
        pausing = asyncio.Event()

        async def sleep(_seconds):
            pausing.set()
            await asyncio.Event().wait()

        async def attempt():
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1
            return 1

        async def failing():
            raise PassingError("answered 500")

        queue = RequestQueue(sleep)
        waiting = asyncio.ensure_future(queue.run(failing, limit_s=5))
        await pausing.wait()
        results = await together(queue.run(attempt, limit_s=5) for _ in range(30))
        waiting.cancel()
        return peak, sum(results)

    assert asyncio.run(scene()) == (AT_ONCE, 30)


@pytest.mark.parametrize("where", ["attempt", "pause"])
def test_cancelling_stops_an_attempt_or_a_pause(where):
    async def scene():
        reached = asyncio.Event()

        async def sleep(_seconds):
            reached.set()
            await asyncio.Event().wait()

        async def attempt():
            if where == "pause":
                raise PassingError("answered 500")
            reached.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(RequestQueue(sleep).run(attempt, limit_s=60))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("text", "date", "wait"),
    [
        ("120", "", 120.0),
        ("0", "", 0.0),
        ("Wed, 25 Nov 2026 09:00:30 GMT", "Wed, 25 Nov 2026 09:00:00 GMT", 30.0),
        ("Wed, 25 Nov 2026 09:00:30 GMT", "Wed, 25 Nov 2026 09:01:00 GMT", 0.0),
        ("Wed, 25 Nov 2026 09:00:30 GMT", "", None),
        ("soon", "", None),
        ("", "", None),
    ],
)
def test_a_wish_to_wait_is_read_as_seconds_or_against_the_host_s_clock(text, date, wait):
    assert retry_after_s(text, date) == wait


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_statuses_of_trouble_pass(status):
    with pytest.raises(PassingError, match=f"answered {status}"):
        read_json(reply(status, "<html>"))


def test_a_refusal_says_its_status_and_reason():
    with pytest.raises(CatalogueError, match="answered 404 Not Found"):
        read_json(Reply(status=404, reason="Not Found", text=""))


@pytest.mark.parametrize(
    ("text", "media_type", "said"),
    [
        ("<html>maintenance</html>", "text/html", "a page of HTML"),
        ("<!DOCTYPE html><p>", "", "a page of HTML"),
        ("", "application/json", "nothing"),
        (" \n", "", "nothing"),
        ("[" * 100_000, "application/json", repr("[" * 60)),
        ('{"type": "Feat', "application/json", '\'{"type": "Feat\''),
    ],
)
def test_what_is_no_json_is_worth_another_attempt_and_told(text, media_type, said):
    with pytest.raises(PassingError) as caught:
        read_json(reply(text=text, media_type=media_type))

    assert f"answered {said} where JSON was expected" in str(caught.value)


def test_json_is_returned():
    assert read_json(reply(text='{"a": [1]}')) == {"a": [1]}


def test_when_one_of_several_fails_the_others_are_stopped_before_the_error_comes():
    async def scene():
        stopped = []

        async def waits():
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(True)

        async def fails():
            await asyncio.sleep(0)
            raise CatalogueError("no")

        with pytest.raises(CatalogueError):
            await together([waits(), fails(), waits()])
        return stopped

    assert asyncio.run(scene()) == [True, True]
