"""Measure reading and computing of imagery; prints one line of JSON.

python -m bench.imagery

Reading: chips a second from a local server, bytes a chip against the least that could cross (the tiles under it and the
headers). Computing: the same functions over the same numbers in Pyodide and in native numpy on this machine, in one
run, as milliseconds and as their ratio.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.imagery_page.imagery_bench import compute
from tools.chromium import chromium
from tools.policy import ISOLATION
from tools.serve import Server

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MS = 300_000


def measure() -> dict[str, object]:
    """Measure here and in a browser."""
    native = compute()
    with (
        Server(ROOT, overlays=(ROOT / "bench/imagery_page",), headers=ISOLATION) as server,
        chromium("wasm") as browser,
    ):
        page = browser.new_page()
        page.on("pageerror", lambda error: print(error, file=sys.stderr))
        page.goto(f"{server.url}/imagery-bench.html")
        result = page.locator("#result:not(:empty)")
        result.wait_for(timeout=LIMIT_MS, state="attached")
        in_page = json.loads(result.inner_text())
    reading = in_page["reading"]
    reading["bytes_over_least"] = reading["bytes_per_chip"] / reading["least_bytes_per_chip"]
    return {
        "reading": reading,
        "computing": {
            name: {
                "pyodide_ms": round(ms, 3),
                "native_ms": round(native[name], 3),
                "ratio": round(ms / native[name], 2),
            }
            for name, ms in in_page["ms"].items()
        },
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
