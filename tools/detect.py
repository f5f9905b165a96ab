"""Do the page's main job once, without a window, and print the result as one line of JSON.

python -m tools.detect [--at "LAT, LON"] [--backend auto|wasm|swiftshader] [--screenshot FILE]

Opens the real page in Chromium, looks at a point of the practice region with the demo model, saves the result with the
page's own button and prints it: ``backend scene boxes sites box_area_ha description ms screenshot`` and the bytes read.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.chromium import chromium
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Page

ROOT: Final = Path(__file__).resolve().parent.parent
KEYS: Final = ("backend", "scene", "boxes", "sites", "box_area_ha", "description", "ms", "bytes_read", "least_bytes")
DESKTOP: Final = {"width": 1440, "height": 900}
START_LIMIT_MS: Final = 120_000
RUN_LIMIT_MS: Final = 600_000


def suggested_point() -> str:
    """Return the practice region's first suggestion, a mine, as ``lat,lon``."""
    region = json.loads((ROOT / "practice" / "region.json").read_text())
    mine = region["suggested"][0]
    return f"{mine['lat']},{mine['lon']}"


def run_record(page: Page, url: str, at: str) -> dict[str, Any]:
    """Open the page at a place, wait for the run's end and return what the page saves."""
    page.goto(f"{url}/#at={at.replace(' ', '')}&from=practice&dates=latest")
    page.locator("body[data-ready]").wait_for(timeout=START_LIMIT_MS)
    ended = page.locator(", ".join(f"#inspector[data-stage='{stage}']" for stage in ("done", "failed", "cancelled")))
    ended.wait_for(timeout=RUN_LIMIT_MS)
    with page.expect_download() as download:
        page.locator("#save").click()
    return json.loads(Path(download.value.path()).read_text())


def main(arguments: Sequence[str]) -> int:
    """Run the tool; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", help="latitude, longitude; the practice region's mine if left out")
    parser.add_argument("--backend", choices=("auto", "wasm", "swiftshader"), default="auto")
    parser.add_argument("--screenshot", type=Path, default=ROOT / ".cache" / "detect.png")
    options = parser.parse_args(arguments)
    options.screenshot.parent.mkdir(parents=True, exist_ok=True)
    with Server(ROOT) as server, chromium(options.backend) as browser:
        page = browser.new_page(viewport=DESKTOP)
        record = run_record(page, server.url, options.at or suggested_point())
        page.screenshot(path=options.screenshot)
    result = {key: record[key] for key in KEYS}
    result["scene"] = record["scene"]["id"] if record["scene"] else None
    print(json.dumps({**result, "verdict": record["verdict"]["line"], "screenshot": str(options.screenshot)}))
    return 0 if record["stage"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
