"""How a model is loaded where the graphics processor falls short: rows 4 and 6 of the fault matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from galamsey.models import FULL
from galamsey.planner import FAILED, UNMEASURED
from tests.faults.test_app_faults import (
    START_MS,
    ask_for_full,
    change_worker,
    expect_full,
    shoot,
    use_source,
    wait_ready,
)
from tests.hub import Hub, export_tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch

    Open = Callable[[Browser, str], Page]

pytestmark = pytest.mark.browser

NO_HALF_FLOATS = """
const features = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "features").get;
Object.defineProperty(GPUAdapter.prototype, "features", {
  get() { return new Set([...features.call(this)].filter((name) => name !== "shader-f16")); },
});
"""
SHORTAGE = (Path(__file__).parent / "shortage.js").read_text()


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """A tiny model in several builds; the one called q4 only bears its name."""
    files = {
        dtype: export_tiny(tmp_path_factory.mktemp(dtype), external=False, dtypes=(dtype,))
        for dtype in ("fp32", "fp16")
    }
    files["q4"] = {path.replace(".onnx", "_q4.onnx"): data for path, data in files["fp32"].items()}
    return files


def serve(builds: dict[str, dict[str, bytes]], *dtypes: str) -> Hub:
    """Return a hub, not yet running, that has these builds."""
    return Hub({path: data for dtype in dtypes for path, data in builds[dtype].items()}, repository=FULL.id)


def load_full(page: Page, hub: Hub, watch: Watch) -> None:
    watch.origins += [hub.url, hub.network]
    wait_ready(page)
    use_source(page, hub)
    ask_for_full(page)
    expect_full(page)


def test_row_4_out_of_graphics_memory_at_load_the_main_processor_takes_over_and_a_smaller_build_is_offered(
    webgpu_browser: Browser, open_page: Open, overlay: Path, watch: Watch, builds: dict[str, dict[str, bytes]]
) -> None:
    watch.expected.append("injected: Out of memory")  # the runtime logs it, and would go on
    with serve(builds, "fp32", "q4") as hub:
        page = open_page(webgpu_browser, "")
        wait_ready(page)
        change_worker(overlay, SHORTAGE)
        page.evaluate("localStorage.setItem('model', '')")
        page.reload()
        wait_ready(page)
        page.locator("#open-model").click()
        expect(page.locator("#model-detail")).to_contain_text(
            "on the main processor, slower: the graphics processor has"
        )
        expect(page.locator("#model-detail")).to_contain_text("too little memory for this build")
        expect(page.locator("#ways li")).to_contain_text(FAILED[1:])
        page.locator("#model [data-close]").first.click()
        page.evaluate("caches.delete('struck')")
        load_full(page, hub, watch)
        expect(page.locator("#model-detail")).to_contain_text("too little memory for this build")
        ways = page.locator("#ways li")
        rounded = ways.filter(has_text=UNMEASURED[1:]).filter(has_text="WebGPU (graphics processor), q4")
        expect(ways.filter(has_text="WebGPU (graphics processor), q4, pictures in fp32")).to_have_count(1)
        page.locator("#ways-section").scroll_into_view_if_needed()
        shoot(page, "shortage")
        rounded.locator("button").click()
        expect(page.locator("#model-status")).to_have_text("WebGPU (graphics processor), q4", timeout=START_MS)
        expect(page.locator("#model-detail")).to_contain_text("as you chose")
        expect(page.locator("#model-detail")).to_contain_text(UNMEASURED[1:])


def test_row_6_without_16_bit_floats_the_best_build_is_named_with_what_it_costs(
    webgpu_browser: Browser, open_page: Open, overlay: Path, watch: Watch, builds: dict[str, dict[str, bytes]]
) -> None:
    change_worker(overlay, NO_HALF_FLOATS)
    with serve(builds, "fp16", "fp32") as hub:
        page = open_page(webgpu_browser, "")
        load_full(page, hub, watch)
        expect(page.locator("#model-status")).to_have_text("WebGPU (graphics processor), fp32")
        detail = page.locator("#model-detail")
        expect(detail).to_contain_text("as fp32, because the graphics processor cannot compute in 16 bits")
        expect(detail).to_contain_text("Twice the download and the memory of fp16")
        shoot(page, "no-half-floats")
        assert not any("fp16" in asked.path and asked.method == "GET" for asked, _, _ in hub.asked)


def test_row_6_a_model_that_has_only_16_bits_computes_on_the_main_processor_and_says_so(
    webgpu_browser: Browser, open_page: Open, overlay: Path, watch: Watch, builds: dict[str, dict[str, bytes]]
) -> None:
    change_worker(overlay, NO_HALF_FLOATS)
    with serve(builds, "fp16") as hub:
        page = open_page(webgpu_browser, "")
        load_full(page, hub, watch)
        expect(page.locator("#model-status")).to_have_text("wasm (main processor), fp16")
        detail = page.locator("#model-detail")
        expect(detail).to_contain_text(
            "on the main processor, slower: the graphics processor cannot compute in 16 bits"
        )
        expect(detail).to_contain_text("Many times slower")
