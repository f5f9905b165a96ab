"""Measure the engine against the pipeline of the model card, in a browser, in interleaved runs.

python -m bench.run --name NAME [--chromium PATH] [--flags "--one --two"] [--device webgpu] [--twin full]

Serves the repository, starts a Chromium of its own, waits for what the page hands back, writes
bench/results/NAME.json and prints a table. Needs numpy; chips are generated when no file of them is there, which needs
what the tests need.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.report import summary, table
from bench.twin import build_twin
from galamsey.drafts import DESCRIPTIONS, description, detection
from galamsey.models import SESSIONS
from galamsey.prompts import GROUNDING_HIGH_RECALL
from galamsey.protocol import generate_request
from tools.console import SetupError, exit_status, say
from tools.policy import ISOLATION
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
CACHE: Final = ROOT / ".cache" / "bench"
RESULTS: Final = ROOT / "bench" / "results"
DEMO: Final = ROOT / "models" / "demo"
FIRST_SEED: Final = 42_000_000
STEP_LENGTHS: Final = (1, 4, 8, 9, 12, 16, 24, 32, 48, 128, 250)
FIRST_BOX: Final = "]}"
"""Ends the first entry of an answer's list."""
BANDWIDTH_BYTES: Final = {"webgpu": 1 << 30, "wasm": 1 << 24}
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chips_file(count: int) -> Path:
    """Return a file of so many chips' pictures, generated if it is not there."""
    path = CACHE / f"chips-{count}.bin"
    if not path.exists():
        from tools.model.dataset import generate  # noqa: PLC0415 - needs scipy, which a carried file saves

        say(f"drawing {count} chips")
        CACHE.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generate(range(FIRST_SEED, FIRST_SEED + count)).pictures.tobytes())
    return path


def _questions() -> list[dict[str, Any]]:
    return list(generate_request("bench", (), (detection(GROUNDING_HIGH_RECALL), description()))["prompts"])


def _load(url: str, device: str, dtype: str, *, external: bool) -> dict[str, Any]:
    suffix = {"fp32": "", "fp16": "_fp16"}[dtype]
    files = [f"onnx/{session}{suffix}.onnx" for session in SESSIONS]
    if external:
        files += [f"{file}_data" for file in files]
    return {
        "model": {"id": "model", "base_url": url, "files": [{"path": path, "required": True} for path in files]},
        "device": {**dict.fromkeys(SESSIONS, device), "embed_tokens": "wasm"},
        "dtype": dict.fromkeys(SESSIONS, dtype),
        "processor": {"image_processor": {"do_resize": False, "max_num_patches": 256}},
    }


def _pass(*, name: str, url: str, options: argparse.Namespace, dtype: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    external = changes.pop("external", False)
    engine = {"request": _load(url, options.device, dtype, external=external), "choice": True}
    engine |= changes.pop("engine", {})
    return {
        "name": name,
        "chips": options.chips,
        "first_chip": 0,
        "rounds": 1,
        "seconds": options.seconds,
        "drafts": True,
        "prompts": _questions(),
        "engine": engine,
        "reference": {"baseUrl": url, "dtype": dtype, "device": options.device, "external": external},
        **changes,
    }


def _twin_passes(options: argparse.Namespace, twin: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the twin is to run: replays, one lever off at a time, first answers, single steps."""
    wanted = [twin(name="twin", rounds=options.rounds)]
    if options.variants:
        few = partial(twin, chips=min(3, options.replays), reference=None)
        wanted += [
            few(name="twin, one token per step", drafts=False),
            few(name="twin, logits brought back", engine={"choice": False}),
            few(name="twin, asyncify build", engine={"build": "asyncify"}),
            few(name="twin, prompts' beginning once", sharing=True),
            few(name="twin, prompts whole", sharing=False),
        ]
    if options.warm_up:
        nothing = ("[]", DESCRIPTIONS[0])
        wanted.append(twin(name="twin, warm-up", rounds=options.warm_up, warm_up_first=True, rehearsed=nothing))
    if options.steps:
        steps = {"lengths": STEP_LENGTHS, "held": 250, "rounds": 12}
        wanted += [
            twin(name="twin, steps", steps=steps),
            twin(name="twin, steps with logits left", steps=steps, engine={"choice": False}),
        ]
    return wanted


def passes(options: argparse.Namespace, site: str) -> list[dict[str, Any]]:
    """Return what the page is to run: true answers of the demo model, the twin's replays, comparisons of tokens."""
    demo = partial(_pass, url=f"{site}/models/demo/", options=options)
    wanted = [demo(name=f"demo-{dtype}", dtype=dtype) for dtype in options.dtypes.split(",") if dtype]
    if options.twin:
        if not wanted:
            raise SetupError("expected --dtypes with --twin: it replays answers that the demo model gave")
        twin = partial(
            _pass,
            url=f"{site}/{options.twin}-twin/",
            options=options,
            dtype="fp16",
            external=True,
            replay=wanted[0]["name"],
            chips=options.replays,
        )
        wanted += _twin_passes(options, twin)
    for count in map(int, filter(None, options.together.split(","))):
        ways = [demo(name=f"together-{count}", dtype="fp32", together=count, rounds=options.rounds)]
        if options.twin:
            ways.append(twin(name=f"twin, together {count}", together=count, rounds=options.rounds))
        if options.variants:
            ways += [{**way, "name": f"{way['name']}, one token per step", "drafts": False} for way in ways]
        wanted += ways
    if options.builds:
        one = demo(name="builds", dtype="fp32", rounds=options.rounds)
        builds = {build: one["engine"] | {"build": build} for build in ("jspi", "asyncify")}
        wanted.append(one | {"engines": builds})
    if options.warm_up and not options.twin:
        wanted.append(demo(name="warm-up", dtype="fp32", rounds=options.warm_up, warm_up_first=True))
    if options.compare:
        changes = {} if options.sharing is None else {"sharing": options.sharing == "always"}
        more = partial(demo, chips=options.compare, first_chip=options.chips, **changes)
        wanted += [more(name=f"tokens-{dtype}", dtype=dtype) for dtype in options.dtypes.split(",")]
    return wanted


class _Receiver(BaseHTTPRequestHandler):
    """Takes what the page hands back."""

    def __init__(self, *args: Any, got: queue.Queue[tuple[str, Any]]) -> None:  # noqa: ANN401
        self._got = got
        super().__init__(*args)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(HTTPStatus.NO_CONTENT)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self._got.put((self.path.strip("/"), json.loads(body)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing per request."""


@contextlib.contextmanager
def _receiver(got: queue.Queue[tuple[str, Any]]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Receiver, got=got))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()


@contextlib.contextmanager
def _chromium(options: argparse.Namespace, url: str) -> Iterator[subprocess.Popen[bytes]]:
    program = options.chromium or os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise SetupError("no Chromium found: name one with --chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, (CACHE / "chromium.log").open("wb") as log:
        command = [
            program, "--headless", "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-dev-shm-usage", f"--user-data-dir={profile}", *shlex.split(options.flags), url,
        ]  # fmt: skip
        # A group of its own, so that its helpers end with it.
        browser = subprocess.Popen(  # noqa: S603 - the program that the caller named
            command, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield browser
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                browser.wait(timeout=5)


def _collect(got: queue.Queue[tuple[str, Any]], browser: subprocess.Popen[bytes], patience_s: float) -> dict[str, Any]:
    """Gather the page's results until it ends; what came before a failure is kept."""
    result: dict[str, Any] = {"passes": [], "failures": []}
    until = time.monotonic() + patience_s
    while True:
        try:
            kind, body = got.get(timeout=1)
        except queue.Empty:
            if browser.poll() is not None:
                result["failures"].append({"name": "browser", "message": f"it ended: see {CACHE / 'chromium.log'}"})
                return result
            if time.monotonic() > until:
                result["failures"].append({"name": "page", "message": f"nothing more within {patience_s:.0f} s"})
                return result
            continue
        if kind == "end":
            return result
        if kind == "adapter":
            result["adapter"] = body
            say(f"adapter: {body['adapter']}, bandwidth {body['bandwidth']}")
        else:
            result["passes" if kind == "pass" else "failures"].append(body)
            say(f"{kind}: {body['name']} {body.get('message', '')}")


def bench(options: argparse.Namespace) -> None:
    """Run everything and write the results."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if options.twin:
        started = time.monotonic()
        build_twin(CACHE / f"{options.twin}-twin", DEMO, preset=options.twin)
        say(f"twin ready after {time.monotonic() - started:.0f} s")
    chips = options.chips_file or chips_file(options.chips + options.compare)
    got: queue.Queue[tuple[str, Any]] = queue.Queue()
    with tempfile.TemporaryDirectory() as folder, _receiver(got) as receiver:
        overlay = Path(folder)
        (overlay / "bench-chips.bin").write_bytes(chips.read_bytes())
        with Server(ROOT, overlays=(overlay, CACHE), headers=ISOLATION) as site:
            wanted = passes(options, site.url)
            config = {
                "receiver": receiver, "first_box": FIRST_BOX, "bandwidth_bytes": BANDWIDTH_BYTES[options.device],
                "passes": wanted,
            }  # fmt: skip
            (overlay / "bench-config.json").write_text(json.dumps(config), encoding="utf-8")
            with _chromium(options, f"{site.url}/bench/") as browser:
                raw = _collect(got, browser, options.patience)
    folders = {"demo": DEMO, "twin": CACHE / f"{options.twin}-twin"}
    result = summary(raw, folders)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{options.name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    print(path.relative_to(ROOT))
    if raw["failures"]:
        raise SetupError("; ".join(f"{failure['name']}: {failure['message']}" for failure in raw["failures"]))


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", default="local", help="of the results' file; default: %(default)s")
    parser.add_argument("--chromium", help="the browser to start; default: $CHROMIUM, else the first on the path")
    parser.add_argument("--flags", default="", help="more of its flags, in one argument")
    parser.add_argument("--device", choices=("webgpu", "wasm"), default="webgpu")
    parser.add_argument("--dtypes", default="fp32", help="of the demo model: fp32, fp16, both with a comma or none")
    parser.add_argument("--chips", type=int, default=24, help="for true answers; default: %(default)s")
    parser.add_argument("--chips-file", type=Path, help="pictures, as --draw-chips writes them")
    parser.add_argument("--draw-chips", action="store_true", help="only write the file of chips and say where")
    parser.add_argument("--twin", choices=("full", "tiny", "demo"), help="also replay answers on a twin of this size")
    parser.add_argument("--replays", type=int, default=6, help="chips that the twin replays; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=1, help="of the twin's replays; default: %(default)s")
    parser.add_argument("--variants", action="store_true", help="also measure the twin with one lever off at a time")
    parser.add_argument("--together", default="", help="also measure so many chips at once: 2, 4 or both with a comma")
    parser.add_argument("--builds", action="store_true", help="also compare the two builds of the runtime")
    parser.add_argument("--warm-up", type=int, default=0, help="fresh engines, each with and without a warm-up")
    parser.add_argument("--steps", action="store_true", help="also dissect steps of the twin by their length")
    parser.add_argument("--sharing", choices=("always", "never"), help="of prompts' beginnings; default: as it pays")
    parser.add_argument("--compare", type=int, default=0, help="more chips whose tokens are compared, at the end")
    parser.add_argument("--seconds", type=float, default=600, help="most for each pass; default: %(default)s")
    parser.add_argument("--patience", type=float, default=1800, help="seconds until it gives up; default: %(default)s")
    options = parser.parse_args(arguments)
    if options.draw_chips:
        print(chips_file(options.chips + options.compare))
        return 0
    return exit_status(partial(bench, options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
