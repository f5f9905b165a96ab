import hashlib
import io
import json
import os
import tomllib
import zipfile

import pytest

from tools.console import SetupError
from tools.offline import media_type
from tools.policy import host_files
from tools.site import build, site_files
from tools.vendor import assemble
from tools.vendor_lock import LockedFile, lock_text

BIG_SCRIPT = b"export const words = 'many';\n" * 4000


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    for name, content in {
        "index.html": b'<!doctype html><meta name="site-version" content="">',
        "manifest.webmanifest": b"{}",
        "icons/icon.svg": b"<svg/>",
        "js/service_worker.js": b'const SITE = "__SITE__";',
        "style.css": b"body{}",
        "LICENSE": b"MIT",
        "NOTICES": b"notices",
        "py/main.py": b"print('up')",
        "py/galamsey/geo.py": b"A = 1",
        "py/galamsey/browser/view.py": b"B = 2",
        "py/galamsey/__pycache__/geo.cpython.pyc": b"compiled",
        "js/map.js": BIG_SCRIPT,
        "js/.hidden": b"hidden",
        "data/base.geojson": b"{}",
        "models/demo/config.json": b"{}",
        "practice/catalogue.json": b"{}",
        "third_party/library.js": b"export {};",
        "third_party/library.d.ts": b"export {};",
        "secrets.txt": b"not for the site",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    entry = LockedFile(
        bytes=10,
        sha256=hashlib.sha256(b"export {};").hexdigest(),
        licence="MIT",
        sources=("repo:third_party/library.js",),
    )
    types = LockedFile(bytes=10, sha256=entry.sha256, licence="MIT", sources=("repo:third_party/library.d.ts",))
    (root / "vendor.lock.json").write_text(lock_text({"lib/library.js": entry, "lib/library.d.ts": types}))
    assemble(root)
    return root


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_site_holds_what_the_page_needs_and_nothing_else(project, tmp_path):
    build(project, tmp_path / "dist")
    assert set(tree(tmp_path / "dist")) == {
        "LICENSE", "NOTICES", "index.html", "style.css", "pyscript.toml", "py/main.py", "py/galamsey.zip", "js/map.js",
        "data/base.geojson", "models/demo/config.json", "practice/catalogue.json", "vendor/lib/library.js",
        "site.manifest.json", "manifest.webmanifest", "icons/icon.svg", "sw.js", *host_files(),
    }  # fmt: skip


def test_two_builds_are_the_same_to_the_byte_whatever_the_times(project, tmp_path):
    build(project, tmp_path / "one", compress=True)
    for path in project.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))
    build(project, tmp_path / "two", compress=True)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_the_manifest_names_every_file_with_length_and_hash(project, tmp_path):
    build(project, tmp_path / "dist")
    files = tree(tmp_path / "dist")
    manifest = json.loads(files.pop("site.manifest.json"))["files"]
    assert manifest == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }


def listed(dist):
    text = (dist / "sw.js").read_text()
    return json.loads(text.removeprefix("const SITE = ").removesuffix(";"))


def test_the_service_worker_lists_what_the_page_needs_with_hash_length_and_type(project, tmp_path):
    build(project, tmp_path / "dist")
    files = tree(tmp_path / "dist")
    site = listed(tmp_path / "dist")
    needed = set(files) - {"sw.js", "site.manifest.json", *host_files()}
    assert set(site["files"]) == needed
    for name in needed:
        digest, size, media = site["files"][name]
        assert (digest, size) == (hashlib.sha256(files[name]).hexdigest(), len(files[name]))
        assert media == media_type(name)
    assert site["files"]["js/map.js"][2].startswith("text/javascript")
    assert site["version"].encode() in files["index.html"]


def test_any_change_is_another_version(project, tmp_path):
    build(project, tmp_path / "dist")
    before = listed(tmp_path / "dist")["version"]
    (project / "practice/catalogue.json").write_bytes(b"{ }")
    build(project, tmp_path / "dist")
    assert listed(tmp_path / "dist")["version"] != before


def test_a_page_without_a_place_for_its_version_stops_the_build(project, tmp_path):
    (project / "index.html").write_bytes(b"<!doctype html>")
    with pytest.raises(SetupError, match=r"expected .*site-version.* once in index\.html, got 0"):
        build(project, tmp_path / "dist")


def test_python_goes_as_one_archive_that_the_config_names(project, tmp_path):
    build(project, tmp_path / "dist")
    files = tree(tmp_path / "dist")
    assert tomllib.loads(files["pyscript.toml"].decode())["files"] == {"./py/galamsey.zip": "./*"}
    with zipfile.ZipFile(io.BytesIO(files["py/galamsey.zip"])) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "galamsey/geo.py": b"A = 1",
            "galamsey/browser/view.py": b"B = 2",
        }


def test_compressed_copies_are_written_on_request_only(project, tmp_path):
    build(project, tmp_path / "dist", compress=True)
    assert (tmp_path / "dist/js/map.js.br").stat().st_size < len(BIG_SCRIPT) / 10
    assert (tmp_path / "dist/js/map.js.gz").is_file()
    assert not (tmp_path / "dist/style.css.br").exists()
    build(project, tmp_path / "dist")
    assert not (tmp_path / "dist/js/map.js.br").exists()


@pytest.mark.parametrize(
    ("name", "message"), [("practice/catalogue.json", "make practice"), ("index.html", r"index\.html is missing")]
)
def test_a_missing_part_is_said(project, name, message):
    (project / name).unlink()
    with pytest.raises(SetupError, match=message):
        site_files(project)


def test_a_vendored_file_that_is_not_the_locked_one_stops_the_build(project, tmp_path):
    (project / "vendor/lib/library.js").write_bytes(b"evil")
    with pytest.raises(SetupError, match=r"vendor/lib/library\.js is missing or not what"):
        build(project, tmp_path / "dist")


def test_a_folder_that_is_no_build_is_not_replaced(project, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "work.txt").write_text("work")
    with pytest.raises(SetupError, match="not a build of the site"):
        build(project, tmp_path / "precious")
    assert (tmp_path / "precious" / "work.txt").read_text() == "work"
