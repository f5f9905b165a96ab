"""Find a Chromium and start it as the tools and tests need it."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Browser, Playwright

Backend = Literal["auto", "wasm", "swiftshader"]

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

QUIET: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
)

GRAPHICS: Final[dict[Backend, tuple[str, ...]]] = {
    # WebGPU where the machine has a graphics processor; MapLibre draws in software where it has none.
    "auto": (
        "--enable-unsafe-webgpu",
        "--ignore-gpu-blocklist",
        "--enable-features=Vulkan",
        "--enable-unsafe-swiftshader",
    ),
    # Only the map is drawn by a graphics processor that is computed; putting the page together in it costs far more.
    "wasm": (
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--disable-gpu-compositing",
        "--disable-features=WebGPU",
    ),
    "swiftshader": (
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--enable-features=Vulkan",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
    ),
}


def find_executable() -> str | None:
    """Return the browser to start: ``$CHROMIUM``, else one on the path; None leaves it to Playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def arguments(backend: Backend) -> list[str]:
    """Return the command line for one way of computing, and what ``$CHROMIUM_FLAGS`` adds for this machine."""
    own = shlex.split(os.environ.get("CHROMIUM_FLAGS", ""))
    as_root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    return [*QUIET, *as_root, *GRAPHICS[backend], *own]


def launch(playwright: Playwright, backend: Backend = "auto", more: Sequence[str] = ()) -> Browser:
    """Start a headless Chromium with ``more`` arguments; the caller closes it."""
    executable = find_executable()
    if executable is None and not Path(playwright.chromium.executable_path).exists():
        raise FileNotFoundError("no Chromium found: install one, name it in $CHROMIUM, or run `make test` once")
    return playwright.chromium.launch(executable_path=executable, args=[*arguments(backend), *more])


@contextmanager
def chromium(backend: Backend = "auto") -> Iterator[Browser]:
    """Start a headless Chromium and stop it in the end."""
    with sync_playwright() as playwright:
        browser = launch(playwright, backend)
        try:
            yield browser
        finally:
            browser.close()
