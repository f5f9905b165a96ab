"""The model engine on WebGPU, computed in software: right for primitive operators, and slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.engine_bench import ask, generate_request, ids, load_demo

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tools.serve import Server

pytestmark = pytest.mark.browser


def test_webgpu_gives_the_tokens_of_wasm(
    webgpu_browser: Browser, open_bench: Callable[[Browser], Page], site: Server
) -> None:
    page = open_bench(webgpu_browser)
    probed = ask(page, {"type": "probe", "id": "probe-1"})[-1]
    assert probed["webgpu"], probed
    answers = {}
    for device in ("wasm", "webgpu"):
        load_demo(page, site, device=device, request_id=f"load-{device}")
        answers[device] = ids(ask(page, generate_request(f"g-{device}", max_new_tokens=12), (1, 2)))
    assert answers["webgpu"] == answers["wasm"]
