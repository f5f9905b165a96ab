"""Write the generated part of NOTICES: what vendor/ holds, under which licences, and their texts.

python -m tools.notices           rewrite it from vendor.lock.json and the installed packages
python -m tools.notices --check   say whether the committed file is the generated one
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from tools.console import SetupError, exit_status, say
from tools.vendor_lock import LOCK_NAME, NpmFile, parse_source, read_lock

NOTICES_NAME = "NOTICES"
MARKER = "== Generated from vendor.lock.json by `python -m tools.notices`: change nothing below this line =="
RULE = "-" * 78

NOT_IN_BROWSER_BUNDLES = {"sharp", "onnxruntime-node", "ws"}
"""Dependencies that serve Node.js only. Everything else a bundled package depends on is taken to be in its bundle."""
TYPES_SCOPE = "@types/"

_APACHE = "third_party/licences/Apache-2.0.txt"
_ONNXRUNTIME = "third_party/licences/onnxruntime-MIT.txt"
TEXTS = {
    # Packages that carry no licence text of their own, and where this repository keeps it.
    "pyodide": ("third_party/licences/MPL-2.0.txt", "third_party/licences/CPython-PSF-2.0.txt"),
    "onnxruntime-web": (_ONNXRUNTIME,),
    "onnxruntime-common": (_ONNXRUNTIME,),
    "lerc": (_APACHE,),
    "@cornerstonejs/codec-openjpeg": (
        "third_party/licences/cornerstone-codecs-MIT.txt",
        "third_party/licences/openjpeg-BSD-2-Clause.txt",
    ),
}
_TEXT_NAME = re.compile(r"(licen[cs]e|copying|notice)([-.].*)?", re.IGNORECASE)


@dataclass(kw_only=True)
class Component:
    """One package of others that ends up in vendor/."""

    name: str
    version: str
    licence: str
    """SPDX expression."""
    files: list[str] = field(default_factory=list)
    """Below vendor/; empty for a package that is inside another's bundle."""
    inside: str = ""
    """The package whose bundle holds it."""
    texts: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


def components(root: Path) -> list[Component]:
    """Return every package that vendor/ holds, those inside bundles after those that bundle them.

    Raises `SetupError` for a package without a licence text.
    """
    found: dict[str, Component] = {}
    for target, locked in read_lock(root).items():
        source = parse_source(locked.sources[0])
        path = PurePosixPath(target)
        if path.suffix == ".whl":
            name, version = path.name.split("-")[:2]
            texts = _wheel_texts(root / "vendor" / target)
        elif isinstance(source, NpmFile):
            name, version = source.package, source.version
            texts = _npm_texts(root, f"node_modules/{name}", name)
        else:
            continue  # written here
        component = found.setdefault(name, Component(name=name, version=version, licence=locked.licence, texts=texts))
        component.files.append(target)
        component.licence = " AND ".join(dict.fromkeys(f"{component.licence} AND {locked.licence}".split(" AND ")))
    inner = _bundled(root, [component.name for component in found.values()])
    every = [*sorted(found.values(), key=lambda c: c.name), *inner]
    for component in every:
        if not component.texts:
            raise SetupError(
                f"no licence text for {component.title} ({component.licence}): put it into third_party/licences/ and "
                "name it in TEXTS of tools/notices.py"
            )
    return every


def _bundled(root: Path, outer: list[str]) -> list[Component]:
    """Return the packages that the vendored npm packages depend on, directly or not."""
    installed = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    inner: dict[str, Component] = {}
    for name in outer:
        if name == "pyodide" or f"node_modules/{name}" not in installed:
            continue  # Pyodide's JavaScript is no bundle of npm packages, and wheels are no npm packages
        waiting = [f"node_modules/{name}"]
        while waiting:
            location = waiting.pop()
            for dependency in installed[location].get("dependencies", {}):
                where = _resolve(installed, location, dependency)
                skipped = dependency in NOT_IN_BROWSER_BUNDLES or dependency.startswith(TYPES_SCOPE)
                if skipped or where in inner or dependency in outer:
                    continue
                entry = installed[where]
                inner[where] = Component(
                    name=dependency,
                    version=entry["version"],
                    licence=entry["license"],
                    inside=name,
                    texts=_npm_texts(root, where, dependency),
                )
                waiting.append(where)
    return sorted(inner.values(), key=lambda c: (c.inside, c.name, c.version))


def _resolve(installed: dict[str, object], location: str, dependency: str) -> str:
    """Return where npm installed a dependency: in the package's own folder or in one further up."""
    while True:
        candidate = f"{location}/node_modules/{dependency}" if location else f"node_modules/{dependency}"
        if candidate in installed:
            return candidate
        if not location:
            raise SetupError(f"package-lock.json does not name {dependency}: run `npm install` and review the change")
        location = location.rpartition("/node_modules/")[0]


def _npm_texts(root: Path, location: str, name: str) -> list[str]:
    folder = root / location
    if not folder.is_dir():
        raise SetupError(f"{location} is missing: run `make setup`, which installs the npm packages")
    own = sorted(path for path in folder.iterdir() if path.is_file() and _TEXT_NAME.fullmatch(path.name))
    kept = [path.read_text(encoding="utf-8") for path in own]
    kept += [(root / text).read_text(encoding="utf-8") for text in TEXTS.get(name, ())]
    if not kept:
        about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        author = about.get("author", "")
        holder = author if isinstance(author, str) else author.get("name", "")
        terms = root / "third_party" / "licences" / f"{about.get('license')}-terms.txt"
        if holder and terms.is_file():  # the package names its author and licence, and leaves the text out
            kept.append(f"Copyright (c) {holder}\n\n{terms.read_text(encoding='utf-8')}")
    return [_tidy(text) for text in kept]


def _wheel_texts(wheel: Path) -> list[str]:
    if not wheel.is_file():
        raise SetupError(f"{wheel} is missing: run `python -m tools.vendor`")
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if ".dist-info/licenses/" in name)
        return [_tidy(archive.read(name).decode("utf-8", errors="replace")) for name in names]


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\ufeff\n").splitlines())


def generated_part(every: list[Component]) -> str:
    """Return the list of packages and, once each, the licence texts with the packages they belong to."""
    lines = ["", "Packages in vendor/", ""]
    for component in every:
        if not component.inside:
            folders = sorted({PurePosixPath(name).parent.as_posix() for name in component.files})
            where = ", ".join(f"vendor/{folder}/" for folder in folders)
            lines.append(f"  {component.title}: {component.licence} ({where})")
    lines += ["", "Packages inside their bundles", ""]
    lines += dict.fromkeys(f"  {c.title}: {c.licence} (in {c.inside})" for c in every if c.inside)
    owners: dict[str, list[str]] = {}
    for component in every:
        for text in dict.fromkeys(component.texts):
            owners.setdefault(text, []).append(component.title)
    for text, titles in owners.items():
        lines += ["", RULE, *dict.fromkeys(titles), RULE, "", text]
    return "\n".join(lines) + "\n"


def notices_text(root: Path) -> str:
    """Return the whole file: the part written by hand as it is, then the generated part."""
    path = root / NOTICES_NAME
    by_hand, marker, _ = path.read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        raise SetupError(f"{NOTICES_NAME}: the line {MARKER!r} is missing, so it is unclear what may be rewritten")
    return by_hand + MARKER + "\n" + generated_part(components(root))


def write(root: Path) -> None:
    """Rewrite the generated part."""
    (root / NOTICES_NAME).write_text(notices_text(root), encoding="utf-8")
    say(f"{NOTICES_NAME}: written")


def check(root: Path) -> None:
    """Raise `SetupError` when the file is not the generated one."""
    if (root / NOTICES_NAME).read_text(encoding="utf-8") != notices_text(root):
        raise SetupError(
            f"{NOTICES_NAME} does not follow from {LOCK_NAME}: run `python -m tools.notices` and commit it"
        )
    say(f"{NOTICES_NAME}: up to date")


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.notices", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is out of date")
    options = parser.parse_args(arguments)
    return exit_status(partial(check if options.check else write, Path(__file__).resolve().parents[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
