"""Start-up of later visits against a bare PyScript page with the same packages, in turns.

python -m bench.startup [--rounds 7] [--out FILE]

Both come from a local host of their own and were visited before: the site is kept by its service worker, the bare page
by the browser's HTTP cache. Prints one line of JSON: medians in seconds and their ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools import site
from tools.chromium import chromium
from tools.policy import ISOLATION
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import BrowserContext

ROOT: Final = Path(__file__).resolve().parents[1]
START_MS: Final = 120_000
NOTE: Final = """
addEventListener("py:ready", () => { window.pythonReadyMs ??= performance.now(); });
const watch = new MutationObserver(() => {
  if (document.body && "ready" in document.body.dataset) { window.usableMs ??= performance.now(); watch.disconnect(); }
});
watch.observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-ready"] });
"""


def visit(context: BrowserContext, url: str) -> dict[str, float]:
    """Open the page anew and return when Python was ready and when the page could be used, seconds."""
    page = context.new_page()
    page.goto(url)
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    times = page.evaluate("({ python: window.pythonReadyMs / 1000, usable: window.usableMs / 1000 })")
    page.close()
    return dict(times)


def prepare(context: BrowserContext, url: str) -> None:
    """Visit the site until it and its interpreter are kept."""
    page = context.new_page()
    page.goto(url)
    page.locator("#offline-line", has_text="Works without a network").wait_for(state="attached", timeout=300_000)
    page.goto(url)
    page.locator("html[data-interpreter-kept]").wait_for(timeout=START_MS)
    page.close()


def measure(rounds: int) -> dict[str, object]:
    """Return the medians, the ratios and every single time."""
    with tempfile.TemporaryDirectory() as folder:
        dist = Path(folder) / "dist"
        site.build(ROOT, dist)
        bare_pages = ROOT / "bench/startup_page"
        with (
            Server(dist) as ours,
            Server(dist, overlays=(bare_pages,), headers=ISOLATION) as bare,
            chromium("wasm") as browser,
        ):
            context = browser.new_context()
            context.add_init_script(NOTE)
            prepare(context, ours.url)
            visit(context, f"{bare.url}/bare.html")
            times: dict[str, list[dict[str, float]]] = {"site": [], "bare": []}
            for turn in range(rounds):
                order = [("site", ours.url), ("bare", f"{bare.url}/bare.html")]
                for name, url in order if turn % 2 == 0 else reversed(order):
                    times[name].append(visit(context, url))
    result: dict[str, object] = {"rounds": rounds}
    for what in ("python", "usable"):
        site_s, bare_s = (statistics.median(one[what] for one in times[name]) for name in ("site", "bare"))
        paired = statistics.median(a[what] / b[what] for a, b in zip(times["site"], times["bare"], strict=True))
        result[what] = {"site_s": round(site_s, 3), "bare_s": round(bare_s, 3), "paired_ratio": round(paired, 3)}
    return result | {"times": times}


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the result there too")
    options = parser.parse_args(arguments)
    result = json.dumps(measure(options.rounds))
    print(result)
    if options.out:
        options.out.write_text(result + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
