import json
import shutil
from pathlib import Path

import pytest

from tools.console import SetupError
from tools.notices import MARKER, check, components, notices_text, write
from tools.vendor_lock import LockedFile, lock_text

ROOT = Path(__file__).parents[2]
ANY_SHA256 = "0" * 64


def package(root, location, licence, text=None, **fields):
    folder = root / location
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"version": "1.0.0", "license": licence, **fields}))
    if text:
        (folder / "LICENSE.md").write_text(text)
    return {location: {"version": "1.0.0", "license": licence, "dependencies": fields.get("dependencies", {})}}


@pytest.fixture
def project(tmp_path):
    shutil.copytree(ROOT / "third_party" / "licences", tmp_path / "third_party" / "licences")
    packages = (
        package(tmp_path, "node_modules/map", "BSD-3-Clause", "map's terms", dependencies={"tiny": "*", "sharp": "*"})
        | package(tmp_path, "node_modules/tiny", "ISC", "shared terms", dependencies={"deep": "*"})
        | package(tmp_path, "node_modules/tiny/node_modules/deep", "ISC", "shared terms")
        | package(tmp_path, "node_modules/deep", "MIT", "not this one")
        | package(tmp_path, "node_modules/sharp", "LGPL-3.0", "serves Node.js only")
    )
    (tmp_path / "package-lock.json").write_text(json.dumps({"packages": packages}))
    entry = LockedFile(bytes=1, sha256=ANY_SHA256, licence="BSD-3-Clause", sources=("npm:map@1.0.0/map.js",))
    (tmp_path / "vendor.lock.json").write_text(lock_text({"map/map.js": entry}))
    (tmp_path / "NOTICES").write_text(f"By hand.\n\n{MARKER}\nstale\n")
    return tmp_path


def test_what_a_bundle_depends_on_is_taken_to_be_inside_it(project):
    assert [(c.name, c.licence, c.inside) for c in components(project)] == [
        ("map", "BSD-3-Clause", ""),
        ("deep", "ISC", "map"),
        ("tiny", "ISC", "map"),
    ]


def test_the_part_written_by_hand_stays_and_each_text_appears_once(project):
    write(project)
    text = (project / "NOTICES").read_text()
    assert text.startswith(f"By hand.\n\n{MARKER}\n")
    assert "stale" not in text
    assert text.count("shared terms") == 1
    assert text.count("map's terms") == 1
    check(project)


def test_a_changed_lock_makes_the_file_out_of_date(project):
    write(project)
    (project / "node_modules/map/LICENSE.md").write_text("other terms")
    with pytest.raises(SetupError, match=r"run `python -m tools\.notices`"):
        check(project)


def test_a_package_that_names_its_author_but_leaves_the_text_out_gets_the_usual_terms(project):
    (project / "node_modules/tiny/LICENSE.md").unlink()
    manifest = {"version": "1.0.0", "license": "ISC", "author": {"name": "A. Person"}}
    (project / "node_modules/tiny/package.json").write_text(json.dumps(manifest))
    assert "Copyright (c) A. Person\n\nPermission to use" in notices_text(project)


def test_a_package_without_any_text_stops_the_writing(project):
    (project / "node_modules/map/LICENSE.md").unlink()
    with pytest.raises(SetupError, match=r"no licence text for map 1\.0\.0 \(BSD-3-Clause\).*third_party/licences"):
        write(project)


def test_a_file_without_the_marker_is_not_rewritten(project):
    (project / "NOTICES").write_text("all by hand")
    with pytest.raises(SetupError, match=r"the line .* is missing"):
        write(project)
    assert (project / "NOTICES").read_text() == "all by hand"


def test_the_committed_file_is_the_generated_one():
    check(ROOT)
