"""Build dist/: a folder that any static host can serve as it is.

    python -m tools.site [--out dist] [--compress]

The same tree gives the same bytes. `sw.js` keeps the site for use without a network. `site.manifest.json` names every
file with its length and sha256.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import shutil
import sys
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

from tools import offline, pyscript_config
from tools.console import SetupError, exit_status, say, size_text
from tools.policy import host_files
from tools.vendor import DECLARATION_SUFFIXES, is_compressible
from tools.vendor_lock import LOCK_NAME, read_lock, sha256_of

MANIFEST_NAME = "site.manifest.json"
PYTHON_ARCHIVE = "py/galamsey.zip"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest a zip can hold: file times of a checkout must not reach the bytes."""
BROTLI_QUALITY = 9

SINGLE_FILES = ("index.html", "style.css", "manifest.webmanifest", "py/main.py", "LICENSE", "NOTICES")
FOLDERS = {
    "js": "the JavaScript modules",
    "icons": "the icons of the installed page",
    "data": "the base map and the places",
    "models/demo": "the demo model",
    "practice": "the practice region: run `make practice`",
}
IGNORED_NAMES = {"__pycache__", "node_modules"}


def site_files(root: Path) -> dict[str, bytes | Path]:
    """Return what the site consists of: path in the site to content, or to the file that holds it.

    Raises `SetupError` when a part is missing or vendor/ is not what the lock says.
    """
    files: dict[str, bytes | Path] = {}
    for name in SINGLE_FILES:
        if not (root / name).is_file():
            raise SetupError(f"{name} is missing: is {root} a complete checkout?")
        files[name] = root / name
    for folder, meaning in FOLDERS.items():
        found = {
            path.relative_to(root).as_posix(): path
            for path in (root / folder).rglob("*")
            if path.is_file() and not _is_ignored(path.relative_to(root))
        }
        if not found:
            raise SetupError(f"{folder}/ is missing or empty ({meaning})")
        files |= found
    for target, locked in read_lock(root).items():
        if target.endswith(DECLARATION_SUFFIXES):
            continue
        path = root / "vendor" / target
        if not path.is_file() or sha256_of(path) != locked.sha256:
            raise SetupError(f"vendor/{target} is missing or not what {LOCK_NAME} says: run `python -m tools.vendor`")
        files[f"vendor/{target}"] = path
    modules = pyscript_config.source_files(root)
    files[PYTHON_ARCHIVE] = python_archive(root / "py", [target.removeprefix("./") for target in modules.values()])
    files[pyscript_config.CONFIG_NAME] = pyscript_config.config_text({f"./{PYTHON_ARCHIVE}": "./*"}).encode()
    source = _content(files.pop(offline.SOURCE)).decode()
    contents = {name: _content(file) for name, file in files.items()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    version = offline.version_of(hashes, source)
    page = offline.mark_version(contents["index.html"], version)
    files["index.html"] = contents["index.html"] = page
    hashes["index.html"] = hashlib.sha256(page).hexdigest()
    sizes = {name: len(content) for name, content in contents.items()}
    files[offline.TARGET] = offline.worker_text(source, version, hashes, sizes).encode()
    return files | host_files()


def _content(source: bytes | Path) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _is_ignored(path: Path) -> bool:
    return any(part.startswith(".") or part in IGNORED_NAMES for part in path.parts)


def python_archive(source_root: Path, names: list[str]) -> bytes:
    """Return a zip of these modules whose bytes depend on names and contents alone.

    Stored, not deflated: hosts compress what they send, and a deflated member would hang on the version of zlib.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(names):
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, (source_root / name).read_bytes())
    return buffer.getvalue()


def build(root: Path, out: Path, *, compress: bool = False) -> dict[str, dict[str, int | str]]:
    """Write the site into `out`, replacing what an earlier build left there, and return its manifest.

    Raises `SetupError` rather than replacing a folder that is not the result of a build.
    """
    files = site_files(root)
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST_NAME).is_file():
        raise SetupError(f"{out} holds something that is not a build of the site: name another folder with --out")
    making = out.with_name(out.name + ".making")
    shutil.rmtree(making, ignore_errors=True)
    manifest: dict[str, dict[str, int | str]] = {}
    for name in sorted(files):
        source = files[name]
        content = _content(source)
        path = making / PurePosixPath(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        manifest[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if compress and is_compressible(name, len(content)):
            _write_compressed(path, content)
    text = json.dumps({"files": manifest}, indent=1, sort_keys=True) + "\n"
    (making / MANIFEST_NAME).write_text(text, encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    making.replace(out)
    return manifest


def _write_compressed(path: Path, content: bytes) -> None:
    import brotli  # noqa: PLC0415 (only this option needs it)

    path.with_name(path.name + ".br").write_bytes(brotli.compress(content, quality=BROTLI_QUALITY))
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(content, 9, mtime=0))


def _build_and_report(root: Path, out: Path, *, compress: bool) -> None:
    manifest = build(root, out, compress=compress)
    total = sum(int(entry["bytes"]) for entry in manifest.values())
    say(f"{out}/: {len(manifest)} files, {size_text(total)}, listed in {MANIFEST_NAME}")


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder to write (default: %(default)s)")
    parser.add_argument("--compress", action="store_true", help="write .br and .gz copies of the big files too")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parents[1]
    return exit_status(partial(_build_and_report, root, options.out, compress=options.compress))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
