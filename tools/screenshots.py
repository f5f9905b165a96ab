"""Take the two screenshots that the README shows: docs/desktop.png and docs/phone.png.

python -m tools.screenshots [--backend auto|wasm|swiftshader] [--out FOLDER] [--all]

``--all`` takes each state of the page in both themes and both sizes, for looking at it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from tools.chromium import chromium
from tools.detect import ROOT, START_LIMIT_MS, run_record, suggested_point
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Browser, Page, ViewportSize

Scheme = Literal["light", "dark"]

SIZES: Final[dict[str, ViewportSize]] = {
    "desktop": {"width": 1440, "height": 900},
    "phone": {"width": 390, "height": 844},
}
SETTLE_MS: Final = 1500
"""The map's tiles and labels fade in."""


def _page(browser: Browser, size: str, scheme: Scheme) -> Page:
    return browser.new_page(viewport=SIZES[size], color_scheme=scheme)


def _shoot(page: Page, path: Path) -> None:
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    print(path)


def take_result(browser: Browser, url: str, path: Path, size: str, scheme: Scheme) -> None:
    """Run once at the suggested mine and take the result."""
    page = _page(browser, size, scheme)
    run_record(page, url, suggested_point())
    page.locator("#inspector-body").evaluate("(body) => body.scrollTo(0, 0)")  # saving has scrolled it
    _shoot(page, path)
    page.close()


def take_all(browser: Browser, url: str, out: Path) -> None:
    """Take starting, first visit, settings, model, help and result, light and dark, both sizes."""
    for size in SIZES:
        for scheme in ("light", "dark"):
            page = _page(browser, size, scheme)
            page.goto(url)
            _shoot(page, out / f"{size}-{scheme}-starting.png")
            page.locator("body[data-ready]").wait_for(timeout=START_LIMIT_MS)
            _shoot(page, out / f"{size}-{scheme}-first-visit.png")
            for dialog in ("settings", "model", "help"):
                page.locator(f"#open-{dialog}").click()
                _shoot(page, out / f"{size}-{scheme}-{dialog}.png")
                page.keyboard.press("Escape")
            page.close()
            take_result(browser, url, out / f"{size}-{scheme}-result.png", size, scheme)


def main(arguments: Sequence[str]) -> int:
    """Run the tool; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("auto", "wasm", "swiftshader"), default="wasm")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with Server(ROOT) as server, chromium(options.backend) as browser:
        if options.all:
            take_all(browser, server.url, options.out)
        else:
            for size in SIZES:
                take_result(browser, server.url, options.out / f"{size}.png", size, "light")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
