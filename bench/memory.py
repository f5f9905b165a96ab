"""Peak memory while a kept model is loaded, against the bytes of its weights.

python -m bench.memory [--model demo|cut|full] [--dtype fp32|fp16] [--device wasm|webgpu] [--software]
                       [--rounds 3] [--out FILE]

A first visit stores the model in IndexedDB, on disk. Each round then starts a fresh browser, loads the smallest model
there is, so that the runtime itself no longer counts, and loads the kept model. The kernel tells the highest resident
size of the renderer, which holds page and workers; the other processes of the browser are sampled. Prints one line of
JSON. Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import sync_playwright

from bench.twin import build_twin
from galamsey.models import CONFIG_FILES, PROCESSOR, SESSIONS
from tools.chromium import arguments, find_executable
from tools.console import say
from tools.model.export import export_model, preset_architecture
from tools.model.weights import RandomWeights
from tools.policy import ISOLATION
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Page

ROOT: Final = Path(__file__).resolve().parents[1]
CACHE: Final = ROOT / ".cache" / "bench"
PAGES: Final = ROOT / "tests/fixtures/pages"
DEMO: Final = ROOT / "models/demo"
SUFFIX: Final = {"fp32": "", "fp16": "_fp16"}
LEDGER: Final = ROOT / "tests/browser/ledger.js"
"""Tells how large the WebAssembly memory is, which never shrinks."""
LOAD_MS: Final = 600_000
PAUSE_S: Final = 0.02
SETTLE_S: Final = 2.0
CORS: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


def kilobytes(pid: int, field: str) -> int:
    """Return one of the sizes that the kernel tells of a process; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def processes(profile: Path) -> dict[int, str]:
    """Return the processes of the browser that uses a profile: their ids and kinds."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            commands[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it has just ended
    ours = {pid for pid, command in commands.items() if f"--user-data-dir={profile}" in command}
    while more := {pid for pid, parent in parents.items() if parent in ours and pid not in ours}:
        ours |= more
    kinds = {}
    for pid in ours:
        _, _, after = commands[pid].partition("--type=")
        kinds[pid] = after.split(" ", 1)[0] or "browser"
    return kinds


class Watch:
    """The highest resident sizes of a browser's processes since it began, less those at its beginning."""

    def __init__(self, profile: Path) -> None:
        self._kinds = processes(profile)
        self._before = {pid: kilobytes(pid, "VmRSS") for pid in self._kinds}
        for pid, kind in self._kinds.items():
            if kind == "renderer":
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # forgets the highest size so far
        self._most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(PAUSE_S):
            now = {pid: kilobytes(pid, "VmRSS") for pid in self._kinds}
            self._most = max(self._most, sum(now.values()))

    def end(self) -> dict[str, float]:
        """Return megabytes more than at the beginning: of the renderer at most and now, of all processes at most."""
        self._stop.set()
        self._thread.join()
        renderers = [pid for pid, kind in self._kinds.items() if kind == "renderer"]
        # The page's own renderer is the one that grew; a spare one may wait beside it.
        peaks = {pid: kilobytes(pid, "VmHWM") - self._before[pid] for pid in renderers}
        page = max(peaks, key=lambda pid: peaks[pid])
        return {
            "renderer_before_mb": self._before[page] / 1000,
            "renderer_peak_mb": peaks[page] / 1000,
            "renderer_left_mb": (kilobytes(page, "VmRSS") - self._before[page]) / 1000,
            "all_peak_mb": (self._most - sum(self._before.values())) / 1000,
        }


@contextmanager
def opened(profile: Path, url: str, backend: Any) -> Iterator[Page]:  # noqa: ANN401 - one of the tools' backends
    """Start a browser whose storage lies on disk and open the page that drives the engine."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=find_executable(), args=arguments(backend), headless=True
        )
        page = context.new_page()
        page.set_default_timeout(LOAD_MS)
        page.goto(f"{url}/bench.html")
        page.locator("body[data-ready]").wait_for()
        try:
            yield page
        finally:
            context.close()


def load(page: Page, folder: str, paths: Sequence[str], device: str, dtype: str, *, cache: bool) -> dict[str, Any]:
    """Load a model as the app does and return the engine's last answer."""
    request = {
        "type": "load",
        "id": f"load-{time.monotonic_ns()}",
        "timeout_ms": LOAD_MS,
        "model": {
            "id": "model",
            "base_url": folder,
            "files": [{"path": path, "required": True} for path in paths],
            "cache": cache,
        },
        "device": {**dict.fromkeys(SESSIONS, device), "embed_tokens": "wasm"},
        "dtype": dict.fromkeys(SESSIONS, dtype),
        "processor": {"image_processor": dict(PROCESSOR)},
    }
    (answer,) = page.evaluate("async (request) => (await bench.ask(request)).slice(-1)", request)
    if answer["type"] != "loaded":
        raise RuntimeError(f"expected a loaded model, got {answer}")
    return dict(answer)


def model_folder(name: str, dtype: str) -> Path:
    """Return the folder of a model, built if it is not there."""
    if name == "demo":
        return DEMO
    folder = CACHE / f"{name}-twin-{dtype}"
    say(f"building {folder.name}")
    build_twin(folder, DEMO, preset=name, precision=dtype)
    return folder


def measure(name: str, dtype: str, device: str, rounds: int, *, software: bool = False) -> dict[str, object]:
    """Return each round's figures and the medians' ratios to the weights."""
    folder = model_folder(name, dtype)
    graphs = [f"onnx/{session}{SUFFIX[dtype]}.onnx" for session in SESSIONS]
    data = [f"{graph}_data" for graph in graphs if (folder / f"{graph}_data").exists()]
    weights_mb = sum((folder / path).stat().st_size for path in (*graphs, *data)) / 1e6
    backend = "wasm" if device == "wasm" else "swiftshader" if software else "auto"
    found = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        overlay = Path(place) / "overlay"
        (overlay / "js").mkdir(parents=True)
        (overlay / "js/worker.js").write_text(LEDGER.read_text() + (ROOT / "js/worker.js").read_text())
        tiny = overlay / "models/tiny"
        architecture = preset_architecture("tiny")
        export_model(tiny, architecture, RandomWeights(architecture, 7))
        profile = Path(place) / "profile"
        with (
            Server(ROOT, overlays=(overlay, PAGES), headers=ISOLATION) as site,
            Server(folder.parent, headers=CORS) as host,
        ):
            paths = [*CONFIG_FILES, *graphs, *data]
            for turn in range(-1, rounds):
                with opened(profile, site.url, backend) as page:
                    load(page, f"{site.url}/models/tiny/", [*CONFIG_FILES, *(f"onnx/{s}.onnx" for s in SESSIONS)],
                         device, "fp32", cache=False)  # fmt: skip
                    time.sleep(SETTLE_S)
                    watch = Watch(profile)
                    before = len(host.log)
                    answer = load(page, f"{host.url}/{folder.name}/", paths, device, dtype, cache=True)
                    figures = watch.end()
                    if turn < 0:
                        continue
                    if len(host.log) > before:
                        raise RuntimeError("expected a model that is kept, but its host was asked")
                    wasm = page.workers[0].evaluate("() => ledger().wasm_bytes")
                    found.append(figures | {"wasm_mb": wasm / 1e6, "load_ms": answer["ms"]})
                    say(str(found[-1]))
    peaks = {key: statistics.median(one[key] for one in found) for key in found[0]}
    return {
        "model": name,
        "dtype": dtype,
        "device": device,
        "weights_mb": round(weights_mb, 1),
        "renderer_ratio": round(peaks["renderer_peak_mb"] / weights_mb, 3),
        "all_ratio": round(peaks["all_peak_mb"] / weights_mb, 3),
        "wasm_ratio": round(peaks["wasm_mb"] / weights_mb, 3),
        "left_ratio": round(peaks["renderer_left_mb"] / weights_mb, 3),
        "rounds": [{key: round(value, 1) for key, value in one.items()} for one in found],
    }


def main(arguments_given: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=("demo", "cut", "full"), default="demo")
    parser.add_argument("--dtype", choices=("fp32", "fp16"), default="fp32")
    parser.add_argument("--device", choices=("wasm", "webgpu"), default="wasm")
    parser.add_argument("--software", action="store_true", help="WebGPU computed in software")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the result there too")
    options = parser.parse_args(arguments_given)
    way = (options.model, options.dtype, options.device, options.rounds)
    result = json.dumps(measure(*way, software=options.software))
    print(result)
    if options.out:
        options.out.write_text(result + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
