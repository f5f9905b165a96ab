"""The browsers, server and watch of the browser tests, and a hub that fails on demand."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import (  # noqa: F401 - fixtures
    lasting,
    open_bench,
    open_page,
    overlay,
    playwright,
    site,
    visited,
    wasm_browser,
    watch,
    webgpu_browser,
)
from tests.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch

CHUNK_BYTES = 65536
"""Of the tests' files worker."""


@pytest.fixture
def hub(watch: Watch) -> Iterator[Hub]:  # noqa: F811 - the fixture
    """A hub with one large file of eleven chunks and one small file."""
    weights = random.Random(7).randbytes(10 * CHUNK_BYTES + 1234)
    with Hub({"config.json": b'{"model_type": "m"}', "onnx/weights.onnx": weights}) as running:
        watch.origins += [running.url, running.network]
        yield running


@pytest.fixture
def files_page(wasm_browser: Browser, open_page: Callable[[Browser, str], Page]) -> Page:  # noqa: F811
    """The page from which tests drive the files worker."""
    page = open_page(wasm_browser, "files.html")
    page.locator("body[data-ready]").wait_for()
    return page
