"""Fetch files from PyPI and from plain URLs, with progress in bytes."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from tools.console import MIB, SetupError, say, size_text

if TYPE_CHECKING:
    from pathlib import Path

URL_TIMEOUT_S = 5.0
"""For a host that may not answer at all: there is a second way for everything that has a URL."""
PROGRESS_STEP_BYTES = 16 * MIB
POLL_S = 0.25
TARGET_PYTHON = "3.11"
"""pip judges wheels by a Python version; a file that is only unpacked needs one that its metadata admits."""


def fetch_url(url: str, limit_bytes: int) -> bytes | None:
    """Return the body behind a URL, or None when the host cannot be reached or says no.

    Reads at most `limit_bytes` + 1, so that a wrong answer cannot fill the memory.
    """
    try:
        with urllib.request.urlopen(url, timeout=URL_TIMEOUT_S) as response:  # noqa: S310 (the lock admits https only)
            return bytes(response.read(limit_bytes + 1))
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None


def fetch_wheel(package: str, version: str, folder: Path, expected_bytes: int | None = None) -> Path:
    """Download a wheel from PyPI (or the index that pip is set to use) into `folder` and return its path.

    Raises `SetupError` with pip's own last line when pip cannot get it.
    """
    requirement = f"{package}=={version}"
    scratch = folder / "pip"
    scratch.mkdir(parents=True, exist_ok=True)
    say(f"  pip: {requirement}" + (f", {size_text(expected_bytes)}" if expected_bytes else ""))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"]
    command += ["--python-version", TARGET_PYTHON, "--dest", str(scratch), requirement]
    log = folder / "pip.log"
    with log.open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(scratch)}
        )
        try:
            _watch(process, scratch)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode:
            output.seek(0)
            lines = [line for line in output.read().splitlines() if line.strip()]
            reason = lines[-1] if lines else f"pip ended with status {process.returncode}"
            raise SetupError(
                f"could not download {requirement} with pip ({reason}). "
                "Check the network and pip's index settings (`pip config list`), then run the same command again."
            )
    wheels = list(scratch.glob("*.whl"))
    if len(wheels) != 1:
        raise SetupError(f"expected pip to leave one wheel for {requirement}, found {[w.name for w in wheels]}")
    return wheels[0]


def _watch(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Report how much lies in `folder` while pip fills it: pip's own bar needs a terminal, this works in a log too."""
    told = 0
    while process.poll() is None:
        time.sleep(POLL_S)
        here = max((_length(path) for path in folder.rglob("*")), default=0)  # pip copies the file at the end
        if here - told >= PROGRESS_STEP_BYTES:
            told = here
            say(f"    {size_text(here)}")


def _length(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # pip moves its temporary files while we look
        return 0
