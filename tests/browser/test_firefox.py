"""The second engine: the built site in Firefox, on the processor, with the same finding as in Chromium."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.firefox import Firefox, find_firefox
from tools import site
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
RUN_S = 300.0

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_firefox() is None, reason="no Firefox here: Debian has it as firefox-esr"),
]


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    (tmp_path / "profile").mkdir()
    with Firefox(find_firefox() or "", tmp_path / "profile") as running:
        yield running


def test_a_first_visit_ends_in_a_result_and_a_second_one_needs_no_server(firefox: Firefox, tmp_path: Path) -> None:
    mine, _, forest = json.loads((ROOT / "practice/region.json").read_text())["suggested"]
    site.build(ROOT, tmp_path / "dist")
    with Server(tmp_path / "dist") as server:
        url = server.url
        firefox.open(f"{url}/#at={mine['lat']},{mine['lon']}&from=practice&dates=latest")
        firefox.wait_for("document.querySelector('#inspector').dataset.stage === 'done'", START_S + RUN_S)
        verdict = firefox.evaluate("document.querySelector('#verdict').textContent.trim()")
        assert "suspected mining site" in verdict
        assert "wasm" in firefox.evaluate("document.querySelector('#model-status').textContent")
        assert firefox.evaluate("crossOriginIsolated") is True
        kept = "document.querySelector('#offline-line').textContent.startsWith('Works without')"
        firefox.wait_for(kept, RUN_S)
        if folder := os.environ.get("SHOTS"):
            firefox.screenshot(Path(folder) / "firefox.png")
        firefox.open("about:blank")
        server.log.clear()
        firefox.open(f"{url}/?again#at={forest['lat']},{forest['lon']}&from=practice&dates=latest")
        firefox.wait_for("document.querySelector('#inspector').dataset.stage === 'done'", START_S + RUN_S)
        assert "No mining found" in firefox.evaluate("document.querySelector('#verdict').textContent")
        asked = [exchange.path for exchange in server.log if exchange.path != "/sw.js"]
    assert asked == []
