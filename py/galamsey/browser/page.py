"""Reach the elements of ``index.html``: find, fill, clone and listen. No markup is written from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js
from pyodide.ffi import create_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_KEPT: Final[list[Any]] = []
"""Handlers live as long as the page does: their proxies are never destroyed."""


def element(element_id: str) -> Any:  # noqa: ANN401 - a DOM element
    """Return an element by id; raises LookupError when the page has none."""
    found = js.document.getElementById(element_id)
    if not found:
        raise LookupError(f"expected an element #{element_id} in the page")
    return found


def part(parent: Any, name: str) -> Any:  # noqa: ANN401 - a DOM element
    """Return the descendant that carries ``data-<name>``."""
    return parent.querySelector(f"[data-{name}]")


def set_text(target: Any, text: str) -> None:  # noqa: ANN401 - a DOM element
    """Write text where it differs, so that nothing unchanged is announced again."""
    if target.textContent != text:
        target.textContent = text


def write(element_id: str, text: str) -> None:
    """Write the text of an element."""
    set_text(element(element_id), text)


def show(element_id: str, *, shown: bool) -> None:
    """Show or hide an element."""
    element(element_id).hidden = not shown


def listen(target: Any, event: str, handler: Callable[[Any], None]) -> None:  # noqa: ANN401 - an event target
    """Call a handler on each event, for as long as the page lives."""
    proxy = create_proxy(handler)
    _KEPT.append(proxy)
    target.addEventListener(event, proxy)


def on_click(element_id: str, handler: Callable[[], None]) -> None:
    """Call a handler on each click."""
    listen(element(element_id), "click", lambda _event: handler())


def on_click_within(element_id: str, selector: str, handler: Callable[[Any], None]) -> None:
    """Call a handler with the row that was clicked: one listener for rows that come and go."""

    def clicked(event: Any) -> None:  # noqa: ANN401 - a DOM event
        row = event.target.closest(selector)
        if row:
            handler(row)

    listen(element(element_id), "click", clicked)


def clone(template_id: str) -> Any:  # noqa: ANN401 - a DOM element
    """Return a new copy of a template's one row."""
    return element(template_id).content.firstElementChild.cloneNode(True)


def fill(element_id: str, rows: Iterable[Any]) -> None:
    """Replace an element's rows."""
    element(element_id).replaceChildren(*rows)


def open_dialog(element_id: str) -> None:
    """Open a dialog above the page, unless it is open."""
    dialog = element(element_id)
    if not dialog.open:
        dialog.showModal()
