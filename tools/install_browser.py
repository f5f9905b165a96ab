"""Install a Chromium where there is none, and Firefox where that is easy: `python -m tools.install_browser`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools.chromium import find_executable
from tools.console import SetupError, exit_status, say


def find() -> str | None:
    """Return the browser that the tests would start, Playwright's own included, or None.

    Raises `SetupError` when $CHROMIUM names something that cannot be started.
    """
    if named := os.environ.get("CHROMIUM"):
        if found := shutil.which(named):
            return found
        raise SetupError(f"CHROMIUM={named} is no executable file: correct the variable or unset it")
    if found := find_executable():
        return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None


def install() -> None:
    """Do nothing if there is a browser; else install Debian's where apt and root are there, or Playwright's."""
    if found := find():
        say(f"browser: {found}")
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        say("No browser found: installing Debian's chromium, about 100 MB")
        _run("apt-get", "-qq", "update")
        _run("apt-get", "-qq", "install", "-y", "--no-install-recommends", "chromium")
    else:
        say("No browser found: installing Playwright's Chromium, about 150 MB")
        _run(sys.executable, "-m", "playwright", "install", "chromium")
    if (found := find()) is None:
        raise SetupError("a browser was installed but is not found: name it with CHROMIUM=/path/to/chromium")
    say(f"browser: {found}")


def install_firefox() -> None:
    """Install Debian's Firefox where apt and root are there; the one test that wants it is passed over elsewhere."""
    names = ("firefox-esr", "firefox")
    if any(shutil.which(name) for name in names):
        return
    if not (shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0):
        say("No Firefox found: its test is passed over")
        return
    say("No Firefox found: installing Debian's firefox-esr, about 70 MB")
    try:
        _run("apt-get", "-qq", "update")
        _run("apt-get", "-qq", "install", "-y", "--no-install-recommends", "firefox-esr")
    except SetupError as error:
        say(f"Firefox could not be installed, its test is passed over: {error}")


def install_all() -> None:
    """Install both."""
    install()
    install_firefox()


def _run(*command: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise SetupError(
            f"`{' '.join(command)}` failed ({lines[-1]}): install Chromium or Chrome yourself, or name one with "
            "CHROMIUM=/path/to/chromium"
        )


if __name__ == "__main__":
    sys.exit(exit_status(install_all))
