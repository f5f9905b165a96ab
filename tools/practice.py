"""Make the practice region: `python -m tools.practice [--out practice] [--force]`.

A stamp of the generator's source and of the libraries it runs on tells whether the folder is up to date; then nothing
is done. Files are written beside the folder and moved into place when all are there.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

_GENERATOR = Path(__file__).resolve().parent / "landscape"
_STAMP = "stamp.json"
_MAX_MB = 25


def _generator_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_GENERATOR.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for library in ("numpy", "scipy", "rasterio"):
        digest.update(f"{library}=={version(library)}".encode())
    return digest.hexdigest()


def _sizes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _STAMP
    }


def is_current(folder: Path) -> bool:
    """Return whether a folder holds what this generator makes, with every file of its full size."""
    stamp = folder / _STAMP
    if not stamp.is_file():
        return False
    try:
        made = json.loads(stamp.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False
    return made == {"generator": _generator_digest(), "files": _sizes(folder)}


def make(folder: Path) -> None:
    """Generate the practice region and put it in place of the folder."""
    # Imported here because loading rasterio would triple the time of a run that has nothing to do.
    from tools.landscape.publication import publish  # noqa: PLC0415

    started = time.monotonic()
    fresh = folder.with_name(folder.name + ".making")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(parents=True)
    publish(fresh, lambda line: print(f"practice: {line}", flush=True))
    files = _sizes(fresh)
    total_mb = sum(files.values()) / 1e6
    if total_mb > _MAX_MB:
        raise RuntimeError(f"the practice region may take {_MAX_MB} MB, it takes {total_mb:.1f} MB")
    stamp = {"generator": _generator_digest(), "files": files}
    (fresh / _STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)
    print(f"practice: {len(files)} files, {total_mb:.1f} MB in {time.monotonic() - started:.0f} s: {folder}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description="Make the generated practice region.")
    parser.add_argument("--out", type=Path, default=Path("practice"), help="folder to write (default: practice)")
    parser.add_argument("--force", action="store_true", help="make it again even if it is up to date")
    options = parser.parse_args(arguments)
    folder: Path = options.out
    if folder.exists() and any(folder.iterdir()) and not (folder / _STAMP).is_file():
        print(f"practice: {folder} holds other files; give an empty folder or one made by this tool", file=sys.stderr)
        return 2
    if not options.force and is_current(folder):
        print(f"practice: up to date in {folder}")
        return 0
    make(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
