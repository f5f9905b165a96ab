"""The import law: data goes forward only, and the browser stays at the edge."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "py"
PACKAGE = SOURCE / "galamsey"
EDGE = PACKAGE / "browser"

ORDER = (
    "errors", "strict", "archives", "transport", "geo", "coordinates", "places", "scenes", "search", "chips", "mosaic",
    "composites", "indices", "dates", "median", "imagery", "choice", "survey", "areas", "regions", "imagefile",
    "resample", "product", "wizard", "cautions", "prose", "picturefile", "safe", "ownimage", "prompts", "drafts",
    "rehearsal", "models", "planner", "detections", "sites", "doubt", "refine", "context", "protocol", "storage",
    "pipeline", "reviews", "drawings", "ledger", "state", "links", "privacy", "ownwords", "wording_engine", "wording",
    "wording_storage", "wording_privacy", "wording_regions", "records", "offline", "findings", "backup",
    "wording_findings", "evidence", "geopackage", "sheet", "stac", "report", "bundle", "series", "change",
    "wording_change", "change_record", "training",
)  # fmt: skip
"""The data flow. A module imports only what stands before it."""

BROWSER_MODULES = frozenset({"js", "pyodide", "pyodide_js", "pyscript"})


def imported_modules(source: str) -> set[str]:
    """Return the dotted names that a module imports anywhere, in functions and for type checking too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(level=0, module=str(module), names=aliases):
                names |= {module, *(f"{module}.{alias.name}" for alias in aliases)}
            case ast.ImportFrom(level=level):
                raise AssertionError(f"expected absolute imports, got one of level {level}")
    return names


def imports_of(path: Path) -> set[str]:
    return imported_modules(path.read_text(encoding="utf-8"))


def reaches_browser(names: set[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] in BROWSER_MODULES}


def reaches_edge(names: set[str]) -> set[str]:
    return {name for name in names if name == "galamsey.browser" or name.startswith("galamsey.browser.")}


PURE_MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def test_the_walk_sees_every_way_to_import():
    source = "import js.x\nfrom pyodide import ffi\nfrom galamsey import geo\ndef f():\n    import pyscript\n"

    assert imported_modules(source) == {"js.x", "pyodide", "pyodide.ffi", "galamsey", "galamsey.geo", "pyscript"}


def test_every_module_has_its_place_in_the_data_flow():
    assert set(PURE_MODULES) == set(ORDER)


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_module_imports_only_modules_before_it(module):
    siblings = {name.split(".")[1] for name in imports_of(PACKAGE / f"{module}.py") if name.startswith("galamsey.")}

    assert siblings <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("module", [*PURE_MODULES, "__init__"])
def test_the_pure_package_knows_no_browser(module):
    names = imports_of(PACKAGE / f"{module}.py")

    assert not reaches_browser(names)
    assert not reaches_edge(names)


def test_only_the_edge_knows_the_browser():
    knowing = {path for path in SOURCE.rglob("*.py") if reaches_browser(imports_of(path))}

    assert any(EDGE in path.parents for path in knowing)
    assert {path for path in knowing if EDGE not in path.parents} == set()


def test_only_the_composition_root_imports_the_edge():
    outside = [path for path in SOURCE.rglob("*.py") if EDGE not in path.parents]

    assert {path for path in outside if reaches_edge(imports_of(path))} == {SOURCE / "main.py"}


def test_the_source_root_is_no_package():
    assert not (SOURCE / "__init__.py").exists()
