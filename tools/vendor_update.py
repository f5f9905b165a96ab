"""Write vendor.lock.json from vendor.toml and the installed packages, and tell when it is out of date."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

from tools.console import SetupError, say
from tools.vendor import Supply, verify
from tools.vendor_lock import LOCK_NAME, LockedFile, Wheel, lock_text, parse_source, read_lock

LIST_NAME = "vendor.toml"
PYODIDE_LOCK = "third_party/pyodide/pyodide-lock.json"
"""The packages the interpreter may load. Browsers enforce its sha256, so it must name our own shapely."""


def update(root: Path) -> None:
    """Rewrite the lock and the interpreter's own list of packages from what is installed now."""
    wanted = tomllib.loads((root / LIST_NAME).read_text(encoding="utf-8"))
    supply = Supply(root)
    files: dict[str, LockedFile] = {}
    try:
        for table in wanted["npm"]:
            files |= _npm_files(root, table)
        wheels = {wheel["name"]: _wheel(root, wheel, wanted["pyodide_wheels"], supply) for wheel in wanted["wheel"]}
    finally:
        supply.close()
    for target, locked in wheels.values():
        files[target] = locked
    interpreter_list = root / PYODIDE_LOCK
    interpreter_list.parent.mkdir(parents=True, exist_ok=True)
    interpreter_list.write_text(_interpreter_lock(root, wanted["wheel"], wheels), encoding="utf-8")
    for table in wanted["repository"]:
        files |= _repository_files(root, table)
    (root / LOCK_NAME).write_text(lock_text(files), encoding="utf-8")
    say(f"{LOCK_NAME}: {len(files)} files")


def check(root: Path) -> None:
    """Raise `SetupError` when the lock does not follow from vendor.toml, package-lock.json and the repository.

    Needs no network and no installed package: versions come from package-lock.json, hashes of downloads are taken as
    locked and are verified when vendor/ is assembled.
    """
    wanted = tomllib.loads((root / LIST_NAME).read_text(encoding="utf-8"))
    files = read_lock(root)
    installed = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    expected: list[tuple[str, str, str]] = []  # folder, beginning of the source, licence
    for table in wanted["npm"]:
        version = installed[f"node_modules/{table['package']}"]["version"]
        expected += [
            (f"{table['folder']}/{PurePosixPath(name).name}", f"npm:{table['package']}@{version}/", table["licence"])
            for name in table["files"]
        ]
    for table in wanted["repository"]:
        expected += [
            (f"{table['folder']}/{PurePosixPath(name).name}", f"repo:{name}", table["licence"])
            for name in table["files"]
        ]
    expected += [(f"pyodide/{wheel['name']}-*.whl", "", wheel["licence"]) for wheel in wanted["wheel"]]
    unclaimed = dict(files)
    for pattern, source, licence in expected:
        found = [target for target in unclaimed if PurePosixPath(target).match(pattern)]
        if len(found) != 1:
            raise _out_of_date(f"expected one file like {pattern}, found {found}")
        locked = unclaimed.pop(found[0])
        if not locked.sources[0].startswith(source) or locked.licence != licence:
            raise _out_of_date(f"{found[0]}: expected a source {source}... and licence {licence}, got {locked}")
    if unclaimed:
        raise _out_of_date(f"{LIST_NAME} does not name {sorted(unclaimed)}")
    for target, locked in files.items():
        if locked.sources[0].startswith("repo:"):
            path = root / locked.sources[0].removeprefix("repo:")
            if hashlib.sha256(path.read_bytes()).hexdigest() != locked.sha256:
                raise _out_of_date(f"{target}: {path.name} has changed")
    say(f"{LOCK_NAME}: {len(files)} files, as {LIST_NAME} and package-lock.json say")


def _out_of_date(reason: str) -> SetupError:
    return SetupError(f"{LOCK_NAME} is out of date ({reason}): run `python -m tools.vendor --update-lock`")


def _npm_files(root: Path, table: dict[str, Any]) -> dict[str, LockedFile]:
    package = root / "node_modules" / table["package"]
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    files = {}
    for pattern in table["files"]:
        found = sorted(path for path in package.glob(pattern) if path.suffix != ".map")
        if len(found) != 1:
            names = [path.name for path in found]
            raise SetupError(f"{LIST_NAME}: expected one file like {pattern} in {table['package']}, found {names}")
        source = f"npm:{table['package']}@{version}/{found[0].relative_to(package).as_posix()}"
        files[f"{table['folder']}/{found[0].name}"] = _locked(found[0].read_bytes(), table["licence"], source)
    return files


def _repository_files(root: Path, table: dict[str, Any]) -> dict[str, LockedFile]:
    return {
        f"{table['folder']}/{PurePosixPath(name).name}": _locked(
            (root / name).read_bytes(), table["licence"], f"repo:{name}"
        )
        for name in table["files"]
    }


def _wheel(root: Path, wheel: dict[str, Any], published: dict[str, Any], supply: Supply) -> tuple[str, LockedFile]:
    """Return a wheel's path below vendor/ and its lock entry."""
    match wheel["origin"]:
        case "pyodide":
            return _published_wheel(root, wheel, published, supply)
        case "repository":
            path = root / wheel["path"]
            return f"pyodide/{path.name}", _locked(path.read_bytes(), wheel["licence"], f"repo:{wheel['path']}")
        case "pypi":
            source = f"pypi:{wheel['name']}@{wheel['version']}/{wheel['file']}"
            if not isinstance(parse_source(source), Wheel):
                raise SetupError(f"{LIST_NAME}: {source} does not name a wheel")
            content = supply.wheel(wheel["name"], wheel["version"]).read_bytes()
            return f"pyodide/{wheel['file']}", _locked(content, wheel["licence"], source)
        case other:
            raise SetupError(f"{LIST_NAME}: expected origin pyodide, repository or pypi, got {other!r}")


def _published_wheel(
    root: Path, wheel: dict[str, Any], published: dict[str, Any], supply: Supply
) -> tuple[str, LockedFile]:
    """Lock a wheel that Pyodide publishes: its sha256 stands in the lock file of the installed npm package."""
    folder = root / "node_modules" / "pyodide"
    version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    listed = _published_lock(root)["packages"][wheel["name"]]
    names = {"version": version, "file": listed["file_name"]}
    sources = (
        published["url"].format(**names),
        f"pypi:{published['carrier']}@{published['carrier_version']}!{published['carrier_member'].format(**names)}",
    )
    target = f"pyodide/{listed['file_name']}"
    content = supply.first_answer(sources, published["limit_bytes"])
    locked = _locked(content, wheel["licence"], *sources)
    if locked.sha256 != listed["sha256"]:
        verify(content, LockedFile(**{**vars(locked), "sha256": listed["sha256"]}), target=target, source="download")
    return target, locked


def _published_lock(root: Path) -> dict[str, Any]:
    lock: dict[str, Any] = json.loads(
        (root / "node_modules" / "pyodide" / "pyodide-lock.json").read_text(encoding="utf-8")
    )
    return lock


def _interpreter_lock(root: Path, wanted: list[dict[str, Any]], wheels: dict[str, tuple[str, LockedFile]]) -> str:
    """Return Pyodide's lock file cut down to our packages, with the sha256 of the wheels we serve."""
    published = _published_lock(root)
    packages = {}
    for wheel in wanted:
        target, locked = wheels[wheel["name"]]
        file_name = PurePosixPath(target).name
        entry = published["packages"].get(wheel["name"]) if wheel["origin"] == "pyodide" else None
        packages[wheel["name"]] = {
            "name": wheel["name"],
            "version": file_name.split("-")[1],
            "file_name": file_name,
            "sha256": locked.sha256,
            "install_dir": "site",
            "package_type": "package",
            "depends": entry["depends"] if entry else wheel["depends"],
            "imports": entry["imports"] if entry else wheel["imports"],
            "unvendored_tests": False,
        }
    document = {"info": published["info"], "packages": packages}
    return json.dumps(document, indent=2) + "\n"


def _locked(content: bytes, licence: str, *sources: str) -> LockedFile:
    return LockedFile(bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), licence=licence, sources=sources)
