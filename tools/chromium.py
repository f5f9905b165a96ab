"""Find the browser that the tests and the command-line tools drive, and install one when there is none.

python -m tools.chromium             print the path of the browser
python -m tools.chromium --install   the same, installing one first if need be
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from tools.console import SetupError, exit_status, say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OVERRIDE = "CHROMIUM"
"""Environment variable that names a browser to take before all others."""
GPU_FLAGS = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
"""WebGPU on a machine without a graphics card: computed in software, slow, for tests."""


def find() -> Path | None:
    """Return the browser's executable, or None when there is none.

    Raises `SetupError` when the override names a file that is not there.
    """
    if named := os.environ.get(OVERRIDE):
        path = shutil.which(named)
        if path is None:
            raise SetupError(f"{OVERRIDE}={named} is no executable file: correct the variable or unset it")
        return Path(path)
    for name in NAMES:
        if path := shutil.which(name):
            return Path(path)
    return _playwrights_own()


def flags() -> list[str]:
    """Return the command-line flags that every run needs: quiet, and without a sandbox where root starts it."""
    needed = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        needed.append("--no-sandbox")  # Chromium refuses to start as root otherwise
    return needed


def _playwrights_own() -> Path | None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (the other ways need no test requirements)

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.is_file() else None


def install() -> Path:
    """Return the browser's executable, installing one if there is none: Debian's where apt and root are there."""
    if path := find():
        return path
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        say("No browser found: installing Debian's chromium, about 100 MB")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run(["apt-get", "-qq", "update"], environment)
        _run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", "chromium"], environment)
    else:
        say("No browser found: installing Playwright's Chromium, about 150 MB")
        _run([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ))
    if path := find():
        return path
    raise SetupError(f"the browser was installed but is not found: name it with {OVERRIDE}=/path/to/chromium")


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(
            f"`{' '.join(command)}` failed ({lines[-1] if lines else f'status {done.returncode}'}): install Chromium "
            f"or Chrome yourself, or name one with {OVERRIDE}=/path/to/chromium"
        )


def _print(*, may_install: bool) -> None:
    path = install() if may_install else find()
    if path is None:
        raise SetupError("no Chromium or Chrome found: run `python -m tools.chromium --install`")
    say(f"browser: {path}")


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.chromium", description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="install a browser if there is none")
    options = parser.parse_args(arguments)
    return exit_status(partial(_print, may_install=options.install))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
