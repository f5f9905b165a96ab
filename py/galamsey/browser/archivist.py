"""Own the kept findings: write each result down, change them safely beside other tabs, take backups out and in."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pyodide.ffi import JsException, create_proxy
from pyscript.js_modules import findings_store as bridge

from galamsey.backup import read_backup, write_backup
from galamsey.errors import FindingError
from galamsey.findings import (
    Finding,
    entry_of,
    finding_of,
    merge,
    outcome_of,
    pixels_of,
    read_finding,
    write_finding,
)
from galamsey.ledger import KEPT_DAYS, Ledger, expired
from galamsey.state import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galamsey.state import Run

DATABASE: Final = "findings"
MAX_TRIES: Final = 20
"""A write is tried anew each time another tab was quicker."""


class Archivist:
    """The findings of this browser, and what the page knows of them."""

    def __init__(self, change: Callable[[Ledger], None]) -> None:
        self._change = change
        self._ledger = Ledger()
        self._findings: dict[str, Finding] = {}
        self._unread = 0
        self._runs: dict[int, str] = {}
        self._store: Any = None
        self._opened = asyncio.Event()
        self._turn = asyncio.Lock()
        self._heard = create_proxy(self._changed_elsewhere)
        self._refreshing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the store and list what it holds."""
        self._store = await bridge.open(DATABASE, self._heard)
        self._opened.set()
        await self._read_all()
        before = (utc_now() - timedelta(days=KEPT_DAYS)).isoformat()
        if gone := expired(self._ledger.entries, before):
            await bridge.remove(self._store, json.dumps(gone))
            await self._read_all()

    def show(self, **changes: Any) -> None:  # noqa: ANN401 - fields of the ledger
        """Change what is shown: filter, selection, message."""
        ledger = replace(self._ledger, **changes)
        shown = self._findings.get(ledger.open_id)
        self._ledger = replace(ledger, open_reviews=shown.reviews if shown else ())
        self._change(self._ledger)

    async def keep(self, run: Run) -> str:
        """Write a run down, first when its boxes are known and again at its end; returns the finding's id.

        What says nothing is not kept, and has none.
        """
        if not outcome_of(run) or run.kept is not None:
            return ""
        await self._opened.wait()
        new = run.run_id not in self._runs
        finding_id = self._runs.setdefault(run.run_id, uuid.uuid4().hex)
        now = utc_now().isoformat(timespec="milliseconds")
        async with self._turn:
            fresh = finding_of(run, finding_id, now)
            before = self._findings.get(finding_id)
            if before is not None:
                fresh = replace(
                    before, outcome=fresh.outcome, words=fresh.words, run=fresh.run, thumbnail=fresh.thumbnail
                )
            await self._write(fresh, pixels_of(run) if new else "")
        if new:
            await bridge.persist()
        await self._publish()
        return finding_id

    async def change(self, finding_id: str, alter: Callable[[Finding], Finding]) -> None:
        """Change one finding, building on whatever another tab has made of it."""
        await self._opened.wait()
        async with self._turn:
            await self._write(alter(self._findings[finding_id]))
        await self._publish()

    async def delete(self, ids: Sequence[str], *, deleted: bool) -> None:
        """Delete findings so that they can be had back, or restore them."""
        now = utc_now().isoformat(timespec="milliseconds")
        for finding_id in ids:
            await self.change(finding_id, lambda finding: replace(finding, deleted=now if deleted else "", toggled=now))
        self.show(undoable=tuple(ids) if deleted else (), chosen=self._ledger.chosen - set(ids))

    async def save_again(self) -> None:
        """Try once more to keep what is in memory only."""
        await self._opened.wait()
        async with self._turn:
            for finding_id in json.loads(str(bridge.unsaved(self._store)))["ids"]:
                await self._write(self._findings[finding_id])
        await self._publish()

    async def undo(self) -> None:
        """Restore what was deleted last."""
        await self.delete(self._ledger.undoable, deleted=False)

    def get(self, finding_id: str) -> Finding:
        """Return a finding; raises FindingError where it is gone."""
        if finding_id not in self._findings:
            raise FindingError("this finding is no longer kept")
        return self._findings[finding_id]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that are kept, also deleted ones, in no order."""
        return tuple(self._findings.values())

    async def pixels(self, finding_id: str) -> str:
        """Return the pixels of a finding as they were written; empty for one without an image."""
        return str(await bridge.pixels(self._store, finding_id))

    async def backup(self, ids: Sequence[str]) -> bytes:
        """Return a backup of these findings."""
        found = [(self.get(one), await self.pixels(one)) for one in ids]
        return write_backup(found, utc_now().isoformat(timespec="seconds"))

    async def take_in(self, data: bytes) -> str:
        """Add a backup's findings to those that are here, joined by their ids; returns what came of it.

        Raises FindingError for a file that is no whole backup; then nothing has changed.
        """
        found = read_backup(data)
        added = 0
        for finding, pixels in found:
            async with self._turn:
                here = self._findings.get(finding.id)
                added += here is None
                await self._write(finding if here is None else merge(here, finding), pixels if here is None else "")
        await self._publish()
        joined = len(found) - added
        return f"Added {added} finding{'' if added == 1 else 's'}" + (
            f", joined {joined} with those here" if joined else ""
        )

    async def _write(self, finding: Finding, pixels: str = "") -> None:
        for _ in range(MAX_TRIES):
            try:
                newer = await bridge.put(self._store, finding.id, finding.revision, write_finding(finding), pixels)
            except JsException as error:
                raise FindingError(f"the finding could not be kept: {error}") from error
            if not newer:
                self._findings[finding.id] = replace(finding, revision=finding.revision + 1)
                return
            row = json.loads(str(newer))
            finding = merge(finding, read_finding(row["text"], row["revision"]))
        raise FindingError("the finding could not be kept: other tabs change it all the time")

    def _changed_elsewhere(self) -> None:
        task = asyncio.get_running_loop().create_task(self._read_all())
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)

    async def _read_all(self) -> None:
        async with self._turn:
            findings, unread = {}, 0
            for row in json.loads(str(await bridge.rows(self._store))):
                known = self._findings.get(row["id"])
                if known is not None and known.revision == row["revision"]:
                    findings[row["id"]] = known
                    continue
                try:
                    findings[row["id"]] = read_finding(row["text"], row["revision"])
                except FindingError:
                    unread += 1  # told below, and left as it is: a later version may have written it
            self._findings, self._unread = findings, unread
        await self._publish()

    async def _publish(self) -> None:
        usage = json.loads(str(await bridge.usage()))
        unsaved = json.loads(str(bridge.unsaved(self._store)))
        message = self._ledger.message
        if self._unread:
            message = f"{self._unread} of the kept findings cannot be read by this version. They were left as they are."
        self.show(
            entries=tuple(entry_of(finding) for finding in self._findings.values()),
            used_bytes=usage["used"],
            quota_bytes=usage["quota"],
            persistent=unsaved["persistent"],
            unsaved=frozenset(unsaved["ids"]),
            chosen=self._ledger.chosen & set(self._findings),
            message=message,
        )
