"""Write pyscript.toml: the interpreter, its packages, the bridge's modules, and every Python file of py/galamsey.

python -m tools.pyscript_config           write it
python -m tools.pyscript_config --check   say whether the committed file is the generated one
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools.console import SetupError, exit_status, say

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_NAME = "pyscript.toml"
PACKAGES = ("numpy", "pillow", "shapely", "utm")
"""Names in vendor/pyodide/pyodide-lock.json."""
LATER_PACKAGES = ("reportlab", "pyshp")
"""Also there, and loaded only when they are first needed."""
UNUSED_PLUGINS = ("codemirror", "deprecations-manager", "donkey", "py-editor", "py-game", "py-terminal")
"""Parts of PyScript that this page has no use for: switched off, they cost no start-up time."""
JS_MODULES = {
    "./js/engine.js": "engine",
    "./js/outside.js": "outside",
    "./js/region_store.js": "region_store",
    "./js/map_draw.js": "map_draw",
    "./js/raster.js": "raster",
    "./js/map.js": "map",
    "./js/model_store.js": "model_store",
    "./js/own_files.js": "own_files",
    "./js/offline.js": "offline",
    "./js/findings_store.js": "findings_store",
}
"""The bridge: JavaScript modules by the name under which Python imports them from `pyscript.js_modules`."""

_HEADER = """\
# Written by `python -m tools.pyscript_config`: change that, not this. PyScript's TOML reader is small, so is this file.

interpreter = "./js/interpreter.js"
packages = [{packages}]
# The names above are looked up in the interpreter's own lock file and nowhere else: no package index is asked.
packages_cache = "passthrough"
plugins = [{plugins}]
"""


def source_files(root: Path) -> dict[str, str]:
    """Return where each module of py/galamsey is served and where the interpreter finds it.

    main.py is not among them: the page's script tag names it.
    """
    package = root / "py" / "galamsey"
    found = sorted(path.relative_to(root / "py").as_posix() for path in package.rglob("*.py"))
    if not found:
        raise SetupError(f"{package} holds no Python file: is this the project's folder?")
    return {f"./py/{name}": f"./{name}" for name in found}


def config_text(files: Mapping[str, str]) -> str:
    """Return pyscript.toml for these files: URL, relative to the file, to path in the interpreter's file system."""
    header = _HEADER.format(
        packages=", ".join(f'"{name}"' for name in PACKAGES), plugins=", ".join(f'"!{name}"' for name in UNUSED_PLUGINS)
    )
    return f"{header}\n[files]\n{_table(files)}\n[js_modules.main]\n{_table(JS_MODULES)}"


def _table(entries: Mapping[str, str]) -> str:
    return "".join(f'"{key}" = "{value}"\n' for key, value in entries.items())


def write(root: Path) -> None:
    """Write the file if it is not yet what it should be: a build or an editor watches its time."""
    path = root / CONFIG_NAME
    text = config_text(source_files(root))
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.write_text(text, encoding="utf-8")
    say(f"{CONFIG_NAME}: written")


def check(root: Path) -> None:
    """Raise `SetupError` when the file is not the generated one."""
    path = root / CONFIG_NAME
    files = source_files(root)
    if not path.is_file() or path.read_text(encoding="utf-8") != config_text(files):
        raise SetupError(f"{CONFIG_NAME} is out of date: run `python -m tools.pyscript_config` and commit the result")
    say(f"{CONFIG_NAME}: {len(files)} modules, up to date")


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.pyscript_config", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is out of date")
    options = parser.parse_args(arguments)
    return exit_status(partial(check if options.check else write, Path(__file__).resolve().parents[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
