"""What can go wrong with a model that is stored: row 19 of the fault matrix, with the real model worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.engine_bench import ask, generate_request, ids, load_request
from tests.hub import Hub, export_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch

pytestmark = pytest.mark.browser

DECODER = "onnx/decoder_model_merged.onnx"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small valid model whose weights lie beside its graphs, as those of large models do."""
    return export_tiny(tmp_path_factory.mktemp("tiny"), external=True)


@pytest.fixture
def tiny_hub(tiny: dict[str, bytes], watch: Watch) -> Iterator[Hub]:
    with Hub(dict(tiny)) as running:
        watch.origins += [running.url, running.network]
        yield running


@pytest.fixture
def bench(wasm_browser: Browser, open_bench: Callable[[Browser], Page]) -> Page:
    return open_bench(wasm_browser)


def load(page: Page, hub: Hub, request_id: str = "load-1") -> list[dict[str, Any]]:
    source = hub.source()
    return ask(page, {**load_request(str(source["base_url"]), request_id=request_id), "model": source})


def open_files(page: Page) -> Page:
    """A second page of the same origin, with access to the storage."""
    other = page.context.new_page()
    other.goto(page.url.replace("bench.html", "files.html"))
    other.locator("body[data-ready]").wait_for()
    return other


def test_a_model_with_weights_beside_its_graphs_answers_as_one_with_weights_inside(
    bench: Page, tiny_hub: Hub, overlay: Path
) -> None:
    assert load(bench, tiny_hub)[-1]["type"] == "loaded"
    beside = ids(ask(bench, generate_request("g-1"), (1, 2)))
    export_tiny(overlay / "models/whole", external=False)
    whole = load_request(bench.url.replace("bench.html", "models/whole/"), request_id="load-2")
    assert ask(bench, whole)[-1]["type"] == "loaded"
    assert ids(ask(bench, generate_request("g-2"), (1, 2))) == beside


def test_row_19_a_chunk_damaged_on_disk_is_found_at_load_and_repaired(bench: Page, tiny_hub: Hub) -> None:
    assert load(bench, tiny_hub)[-1]["type"] == "loaded"
    before = ids(ask(bench, generate_request("g-1"), (1, 2)))
    url = f"{tiny_hub.source()['base_url']}{DECODER}_data"
    files = open_files(bench)
    whole = files.evaluate("(url) => files.stored(url)", url)
    files.evaluate("(url) => files.corrupt(url, 0)", url)
    assert files.evaluate("(url) => files.stored(url)", url)["sha256"] != whole["sha256"]
    tiny_hub.asked.clear()
    assert load(bench, tiny_hub, "load-2")[-1]["type"] == "loaded"
    size = len(tiny_hub.files[f"{DECODER}_data"])
    assert [(asked.path, asked.range) for asked, _, _ in tiny_hub.asked] == [(f"{DECODER}_data", f"bytes=0-{size - 1}")]
    assert files.evaluate("(url) => files.stored(url)", url) == whole
    assert ids(ask(bench, generate_request("g-2"), (1, 2))) == before


def test_row_19_a_damaged_chunk_that_cannot_be_had_again_is_told_and_never_run(
    bench: Page, tiny_hub: Hub, watch: Watch
) -> None:
    watch.expected.append("404")
    assert load(bench, tiny_hub)[-1]["type"] == "loaded"
    source = tiny_hub.source()
    files = open_files(bench)
    files.evaluate("(url) => files.corrupt(url, 0)", f"{source['base_url']}{DECODER}_data")
    gone = tiny_hub.files.pop(f"{DECODER}_data")
    request = {**load_request(str(source["base_url"]), request_id="load-2"), "model": source}
    end = ask(bench, request)[-1]
    assert (end["type"], end["name"]) == ("failed", "MissingFile"), end
    assert f"{DECODER}_data" in end["message"]
    tiny_hub.files[f"{DECODER}_data"] = gone
    assert load(bench, tiny_hub, "load-3")[-1]["type"] == "loaded"


def test_weights_that_the_configuration_promises_and_the_host_lacks_do_not_hang_the_load(
    bench: Page, tiny_hub: Hub
) -> None:
    del tiny_hub.files[f"{DECODER}_data"]
    answers = load(bench, tiny_hub)
    assert (answers[-1]["type"], answers[-1]["name"]) == ("failed", "EngineError"), answers[-1]
