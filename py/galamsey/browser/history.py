"""Show the kept findings: filter, open, choose, delete with undo, backup out and in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import js
from pyodide.ffi import to_js

from galamsey.browser.page import (
    clone,
    element,
    fill,
    listen,
    on_click,
    on_click_within,
    open_dialog,
    part,
    set_text,
    show,
    write,
)
from galamsey.ledger import STATUSES, Filter, shown
from galamsey.wording_findings import (
    chosen_words,
    entry_status,
    entry_when,
    none_words,
    undo_words,
    unsaved_words,
    usage_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from galamsey.ledger import Entry, Ledger
    from galamsey.state import AppState


@dataclass(frozen=True, kw_only=True)
class HistoryHandlers:
    """What the list of findings tells whoever owns the state."""

    filter: Callable[[Filter], None]
    choose: Callable[[frozenset[str]], None]
    open: Callable[[str], None]
    delete: Callable[[tuple[str, ...], bool], None]
    """Delete these findings, or with False restore them."""
    undo: Callable[[], None]
    backup: Callable[[], None]
    backup_unsaved: Callable[[], None]
    """Hand out what is in memory only."""
    save_again: Callable[[], None]
    """Try once more to keep what is in memory only."""
    take_in: Callable[[Any], None]
    """Add the findings of a file."""


class HistoryDialog:
    """The dialog. Drawing the same state twice changes nothing."""

    def __init__(self, handlers: HistoryHandlers) -> None:
        self._handlers = handlers
        self._ledger: Ledger | None = None
        fill("history-status", [_option(key, name) for key, name in STATUSES.items()])
        on_click("open-history", self.open)
        on_click_within("history", "[data-close]", lambda _row: element("history").close())
        on_click_within("history-rows", "[data-open]", lambda row: self._open_row(_id(row)))
        on_click_within("history-rows", "[data-delete]", lambda row: self._delete_row(_id(row)))
        listen(element("history-rows"), "change", lambda event: self._choose_row(event.target))
        listen(element("history-filter"), "input", lambda _event: self._filter())
        listen(element("history-filter"), "submit", lambda event: event.preventDefault())
        listen(element("history-all"), "change", lambda event: self._choose_all(all_of_them=bool(event.target.checked)))
        on_click("history-undo-button", handlers.undo)
        on_click("history-delete", self._delete_chosen)
        on_click("history-backup", handlers.backup)
        on_click("history-import", lambda: element("history-input").click())
        listen(element("history-input"), "change", lambda _event: self._file_chosen())
        on_click("unsaved-backup", handlers.backup_unsaved)
        on_click("unsaved-again", handlers.save_again)
        listen(js.window, "beforeunload", self._leaving)
        listen(js.document, "keydown", self._key_pressed)

    def open(self) -> None:
        """Show the list."""
        open_dialog("history")
        self._draw()

    def render(self, state: AppState) -> None:
        """Show what is kept, while the dialog is open, and always what is not."""
        if state.ledger is self._ledger:
            return
        self._ledger = state.ledger
        title, words = unsaved_words(state.ledger)
        write("unsaved-title", title)
        write("unsaved-words", words)
        show("unsaved", shown=bool(title))
        show("unsaved-again", shown=state.ledger.persistent)
        if element("history").open:
            self._draw()

    def _draw(self) -> None:
        ledger = self._ledger
        if ledger is None:
            return
        entries = shown(ledger)
        focused = js.document.activeElement
        focus = (_id(focused), _kind(focused)) if focused and focused.closest("#history-rows") else None
        fill("history-rows", [_row(entry, ledger) for entry in entries])
        if focus is not None:
            again = element("history-rows").querySelector(f'[data-id="{focus[0]}"] [{focus[1]}]')
            if again:
                again.focus()
        write("history-none", none_words(ledger))
        show("history-none", shown=not entries)
        write("history-usage", usage_words(ledger))
        write("history-message", ledger.message)
        show("history-message", shown=bool(ledger.message))
        write("history-undo-text", undo_words(ledger))
        show("history-undo", shown=bool(ledger.undoable))
        chosen = ledger.chosen & {entry.id for entry in entries}
        write("history-count", chosen_words(len(chosen), len(entries)))
        every = element("history-all")
        every.checked = bool(entries) and len(chosen) == len(entries)
        every.indeterminate = 0 < len(chosen) < len(entries)
        every.disabled = not entries
        element("history-delete").disabled = not chosen
        element("history-backup").disabled = not entries
        restoring = ledger.filter.status == "deleted"
        write("history-delete-word", "Restore" if restoring else "Delete")

    def _filter(self) -> None:
        self._handlers.filter(
            Filter(
                text=str(element("history-text").value),
                status=str(element("history-status").value),
                since=str(element("history-since").value),
                until=str(element("history-until").value),
            ),
        )

    def _open_row(self, finding_id: str) -> None:
        element("history").close()
        self._handlers.open(finding_id)

    def _delete_row(self, finding_id: str) -> None:
        ledger = self._ledger
        if ledger is not None:
            entry = next(one for one in ledger.entries if one.id == finding_id)
            self._handlers.delete((finding_id,), not entry.deleted)

    def _choose_row(self, box: Any) -> None:  # noqa: ANN401 - a DOM element
        ledger = self._ledger
        if ledger is not None:
            one = {_id(box)}
            self._handlers.choose(ledger.chosen | one if box.checked else ledger.chosen - one)

    def _choose_all(self, *, all_of_them: bool) -> None:
        ledger = self._ledger
        if ledger is not None:
            self._handlers.choose(frozenset(entry.id for entry in shown(ledger)) if all_of_them else frozenset())

    def _delete_chosen(self) -> None:
        ledger = self._ledger
        if ledger is not None:
            ids = tuple(entry.id for entry in shown(ledger) if entry.id in ledger.chosen)
            self._handlers.delete(ids, ledger.filter.status != "deleted")

    def _file_chosen(self) -> None:
        files = element("history-input").files
        if files.length:
            self._handlers.take_in(files.item(0))
            element("history-input").value = ""

    def _leaving(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        """Let the browser ask before a page closes with which findings would be lost."""
        if self._ledger is not None and self._ledger.unsaved:
            event.preventDefault()

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.ctrlKey or event.metaKey or event.altKey or event.key != "h":
            return
        if not js.document.querySelector("dialog[open]") and not event.target.closest("input, select, textarea"):
            event.preventDefault()
            self.open()


def offer_bytes(name: str, media_type: str, body: bytes) -> None:
    """Hand a file to the person."""
    blob = js.Blob.new(js.Array.of(to_js(body)), type=media_type)
    link = js.document.createElement("a")
    link.href, link.download = js.URL.createObjectURL(blob), name
    link.click()
    js.URL.revokeObjectURL(link.href)


async def read_file(file: Any) -> bytes:  # noqa: ANN401 - a File
    """Return a picked file's bytes."""
    return bytes((await file.arrayBuffer()).to_bytes())


def _id(target: Any) -> str:  # noqa: ANN401 - a DOM element
    row = target.closest("[data-id]")
    return str(row.dataset.id) if row else ""


def _kind(target: Any) -> str:  # noqa: ANN401 - a DOM element
    return next(name for name in ("data-choose", "data-open", "data-delete") if target.hasAttribute(name))


def _option(key: str, name: str) -> Any:  # noqa: ANN401 - a DOM element
    option = clone("period-row")
    option.value = key
    set_text(option, name)
    return option


def _row(entry: Entry, ledger: Ledger) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("history-row")
    row.dataset.id = entry.id
    box = part(row, "choose")
    box.checked = entry.id in ledger.chosen
    box.ariaLabel = f"Choose: {entry.line}, {entry.place}"
    part(row, "open").ariaCurrent = str(entry.id == ledger.open_id).lower()
    picture = part(row, "thumb")
    picture.hidden = not entry.thumbnail
    part(row, "blank").hidden = bool(entry.thumbnail)
    if entry.thumbnail:
        picture.src = f"data:image/png;base64,{entry.thumbnail}"
    set_text(part(row, "line"), entry.line)
    set_text(part(row, "place"), entry.place)
    set_text(part(row, "when"), entry_when(entry))
    status = part(row, "status")
    status.dataset.status = entry.status
    set_text(status, entry_status(entry))
    status.hidden = not entry_status(entry)
    button = part(row, "delete")
    button.title = "Restore" if entry.deleted else "Delete"
    button.ariaLabel = f"{button.title}: {entry.line}, {entry.place}"
    button.firstElementChild.classList.add("icon-undo-2" if entry.deleted else "icon-trash-2")
    return row
