"""Assemble vendor/ from vendor.lock.json: the libraries, the interpreter and the wheels that the site serves itself.

python -m tools.vendor                 assemble, or verify what is there
python -m tools.vendor --offline       the same without touching the network
python -m tools.vendor --check         does the lock say what vendor.toml and package-lock.json say?
python -m tools.vendor --update-lock   rewrite the lock after a change of vendor.toml or of a version
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import zipfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tools import downloads
from tools.console import KIB, SetupError, exit_status, say, size_text
from tools.vendor_lock import (
    LOCK_NAME,
    LockedFile,
    NpmFile,
    RepositoryFile,
    Source,
    Url,
    Wheel,
    WheelMember,
    parse_source,
    read_lock,
    sha256_of,
)

COMPRESSIBLE = {".css", ".js", ".json", ".mjs", ".wasm"}
COMPRESS_FROM_BYTES = 32 * KIB
BROTLI_QUALITY = 5
"""ONNX runtime's 27 MB take about a second; quality 9 takes five times as long for 4 % less."""
COMPRESSED_SUFFIX = ".br"
DECLARATION_SUFFIXES = (".d.ts", ".d.mts")
"""Types for the editor and `make check`, beside the library they describe; never part of a built site."""


@dataclass
class Supply:
    """Gives the bytes of a locked file from the first of its sources that has them."""

    root: Path
    offline: bool = False
    _carriers: dict[tuple[str, str], Path] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        """Downloads that are worth keeping: what cannot be had from node_modules or the repository."""
        return self.root / ".cache" / "downloads"

    def get(self, target: str, locked: LockedFile) -> bytes:
        """Return the file's bytes, verified.

        Raises `SetupError` when no source has the file or when one gives other bytes than the lock expects.
        """
        sources = [parse_source(text) for text in locked.sources]
        cached = self.cache / f"{locked.sha256[:16]}-{Path(target).name}"
        if cached.is_file():
            content = cached.read_bytes()
            if is_intact(content, locked):
                return content
            cached.unlink()
        if self.offline and all(isinstance(source, Url | Wheel | WheelMember) for source in sources):
            raise SetupError(
                f"vendor/{target} ({size_text(locked.bytes)}) must be downloaded once, and this is an offline run: "
                "run `make setup` with a network first"
            )
        for source, text in zip(sources, locked.sources, strict=True):
            answer = self._read(source, locked.bytes)
            if isinstance(source, Url) and (answer is None or not is_intact(answer, locked)):
                # Not fatal while another source is left: a portal's login page also answers with status 200.
                say(f"  {'no answer' if answer is None else 'not the expected bytes'} from {text}")
                continue
            verified = verify(answer, locked, target=target, source=text)
            if not isinstance(source, NpmFile | RepositoryFile):
                self.cache.mkdir(parents=True, exist_ok=True)
                cached.write_bytes(verified)
            return verified
        raise SetupError(
            f"vendor/{target} could not be had from {' or '.join(locked.sources)}: check the network and run it again"
        )

    def first_answer(self, sources: tuple[str, ...], limit_bytes: int) -> bytes:
        """Return what the first reachable source gives, not yet verified: for writing a lock."""
        for text in sources:
            content = self._read(parse_source(text), limit_bytes)
            if content is not None:
                return content
        raise SetupError(f"no answer from {' or '.join(sources)}: check the network and run it again")

    def close(self) -> None:
        """Delete the big wheels that were only unpacked."""
        for package, version in self._carriers:
            shutil.rmtree(self._folder(package, version), ignore_errors=True)
        self._carriers.clear()

    def _read(self, source: Source, limit_bytes: int) -> bytes | None:
        match source:
            case NpmFile():
                return self._from_npm(source)
            case RepositoryFile(path=path):
                return self._from_repository(path)
            case Url(url=url):
                return downloads.fetch_url(url, limit_bytes)
            case Wheel(package=package, version=version):
                return self.wheel(package, version).read_bytes()
            case WheelMember(package=package, version=version, member=member):
                with zipfile.ZipFile(self.wheel(package, version)) as archive:
                    return archive.read(member)

    def _from_npm(self, source: NpmFile) -> bytes:
        folder = self.root / "node_modules" / source.package
        try:
            installed = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
            content = (folder / source.path).read_bytes()
        except FileNotFoundError as error:
            raise SetupError(
                f"{error.filename} is missing: run `make setup`, which installs the npm packages"
            ) from error
        if installed != source.version:
            raise SetupError(
                f"node_modules has {source.package} {installed}, {LOCK_NAME} expects {source.version}: run `npm ci "
                "--ignore-scripts`; after a wanted change of version run `python -m tools.vendor --update-lock`"
            )
        return content

    def _from_repository(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError as error:
            raise SetupError(f"{path} is missing: restore it with `git checkout -- {path}`") from error

    def wheel(self, package: str, version: str) -> Path:
        """Return a wheel of PyPI, downloaded for this run only."""
        key = (package, version)
        if key not in self._carriers:
            folder = self._folder(package, version)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._carriers[key] = downloads.fetch_wheel(package, version, folder)
        return self._carriers[key]

    def _folder(self, package: str, version: str) -> Path:
        return self.cache / f"{package}-{version}"


def is_intact(content: bytes, locked: LockedFile) -> bool:
    """Whether the bytes are the locked ones."""
    return len(content) == locked.bytes and hashlib.sha256(content).hexdigest() == locked.sha256


def verify(content: bytes | None, locked: LockedFile, *, target: str, source: str) -> bytes:
    """Return the bytes if they are the locked ones, and raise `SetupError` otherwise."""
    if content is not None and is_intact(content, locked):
        return content
    found = "nothing" if content is None else f"{len(content)} bytes with sha256 {hashlib.sha256(content).hexdigest()}"
    raise SetupError(
        f"vendor/{target}: {source} gave {found}, expected {locked.bytes} bytes with {locked.sha256}. Nothing was "
        "written. A damaged download or node_modules: run `make clean` and try again. A wanted change of version: run "
        "`python -m tools.vendor --update-lock` and review the difference."
    )


def assemble(root: Path, *, offline: bool = False) -> list[str]:
    """Make vendor/ hold exactly the locked files (plus compressed copies) and return the paths that were written.

    A file whose size and time are those of the last verified run is trusted; any other is hashed. Files the lock does
    not name are removed.
    """
    files = read_lock(root)
    vendor = root / "vendor"
    seen = _VerifiedFiles(root / ".cache" / "vendor-verified.json")
    todo = [target for target, locked in files.items() if not seen.holds(vendor / target, locked)]
    supply = Supply(root, offline=offline)
    if todo:
        say(f"vendor/: {len(todo)} of {len(files)} files, {size_text(sum(files[t].bytes for t in todo))}")
    try:
        for target in todo:
            content = supply.get(target, files[target])
            path = vendor / target
            path.parent.mkdir(parents=True, exist_ok=True)
            partial_path = path.with_name(path.name + ".part")
            partial_path.write_bytes(content)
            partial_path.replace(path)
            _compressed(path).unlink(missing_ok=True)
            seen.add(path, files[target])
            if len(content) >= 256 * KIB:
                say(f"  {size_text(len(content)):>9}  {target}")
    finally:
        supply.close()
        seen.save()
    _remove_strangers(vendor, files)
    _compress(vendor, files)
    return todo


class _VerifiedFiles:
    """Remembers size and time of the files whose hash was right, so that a second run need not read 70 MB."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._known: dict[str, list[object]] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # a cache: without it everything is hashed once more
            self._known = {}

    def holds(self, path: Path, locked: LockedFile) -> bool:
        try:
            state = path.stat()
        except FileNotFoundError:
            return False
        if state.st_size != locked.bytes:
            return False
        if self._known.get(str(path)) == [state.st_mtime_ns, locked.sha256]:
            return True
        if sha256_of(path) != locked.sha256:
            return False
        self.add(path, locked)
        return True

    def add(self, path: Path, locked: LockedFile) -> None:
        self._known[str(path)] = [path.stat().st_mtime_ns, locked.sha256]

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._known), encoding="utf-8")


def _compressed(path: Path) -> Path:
    return path.with_name(path.name + COMPRESSED_SUFFIX)


def _remove_strangers(vendor: Path, files: dict[str, LockedFile]) -> None:
    wanted = {vendor / target for target in files}
    wanted |= {_compressed(path) for path in wanted}
    for path in sorted(vendor.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted:
            path.unlink()
            say(f"  removed vendor/{path.relative_to(vendor).as_posix()}, which the lock does not name")


def is_compressible(target: str, size_bytes: int) -> bool:
    """Whether a compressed copy is worth its place: text or wasm, and not small."""
    return size_bytes >= COMPRESS_FROM_BYTES and Path(target).suffix in COMPRESSIBLE


def _compress(vendor: Path, files: dict[str, LockedFile]) -> None:
    """Write brotli copies beside the big files, for visitors whose link is slower than the disk."""
    todo = [
        vendor / target
        for target, locked in files.items()
        if is_compressible(target, locked.bytes) and not _compressed(vendor / target).is_file()
    ]
    if not todo:
        return
    import brotli  # noqa: PLC0415 (only this step needs it: --check runs on a bare Python)

    before = after = 0
    for path in todo:
        content = path.read_bytes()
        packed = brotli.compress(content, quality=BROTLI_QUALITY)
        partial_path = path.with_name(path.name + ".part")
        partial_path.write_bytes(packed)
        partial_path.replace(_compressed(path))
        before += len(content)
        after += len(packed)
    say(f"  compressed copies of {len(todo)} files: {size_text(before)} -> {size_text(after)}")


def _assemble_and_report(root: Path, *, offline: bool) -> None:
    written = assemble(root, offline=offline)
    files = read_lock(root)
    total = size_text(sum(locked.bytes for locked in files.values()))
    say(f"vendor/: {len(files)} files, {total}, {'complete' if written else 'unchanged'}")


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.vendor", description=__doc__.splitlines()[0])
    parser.add_argument("--offline", action="store_true", help="never touch the network")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare the lock with vendor.toml and package-lock.json")
    mode.add_argument("--update-lock", action="store_true", help="rewrite the lock from what is installed")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parents[1]
    if options.check or options.update_lock:
        from tools import vendor_update  # noqa: PLC0415 (a start of the site needs none of it)

        step = partial(vendor_update.check if options.check else vendor_update.update, root)
    else:
        step = partial(_assemble_and_report, root, offline=options.offline)
    return exit_status(step)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
