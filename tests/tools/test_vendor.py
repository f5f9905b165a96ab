import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest

from tools import downloads, vendor, vendor_update
from tools.console import SetupError
from tools.vendor import assemble
from tools.vendor_lock import (
    LockedFile,
    NpmFile,
    RepositoryFile,
    Url,
    Wheel,
    WheelMember,
    lock_text,
    parse_source,
    read_lock,
)

LIBRARY = b"export const answer = 42;\n"
BIG = b"/* many words, many words, many words */\n" * 2000
WHEEL = b"pretend wheel"
WHEEL_URL = "https://example.invalid/numpy.whl"


def locked(content, *sources):
    return LockedFile(bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), licence="MIT", sources=sources)


@pytest.fixture
def project(tmp_path):
    package = tmp_path / "node_modules" / "@scope" / "library"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1.2.3"}')
    (package / "dist" / "library.mjs").write_bytes(LIBRARY)
    (package / "dist" / "big.js").write_bytes(BIG)
    (tmp_path / "third_party").mkdir()
    (tmp_path / "third_party" / "own.json").write_bytes(b"{}")
    write_lock(
        tmp_path,
        {
            "library/library.mjs": locked(LIBRARY, "npm:@scope/library@1.2.3/dist/library.mjs"),
            "library/big.js": locked(BIG, "npm:@scope/library@1.2.3/dist/big.js"),
            "own/own.json": locked(b"{}", "repo:third_party/own.json"),
        },
    )
    return tmp_path


def write_lock(root, files):
    (root / "vendor.lock.json").write_text(lock_text(files))


def add_wheel(root, *sources):
    write_lock(root, read_lock(root) | {"pyodide/numpy.whl": locked(WHEEL, *sources)})


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("npm:pyodide@314.0.3/pyodide.mjs", NpmFile("pyodide", "314.0.3", "pyodide.mjs")),
        ("npm:@a/b@1.0.0/dist/c.js", NpmFile("@a/b", "1.0.0", "dist/c.js")),
        ("pypi:utm@0.9.0/utm-0.9.0-py3-none-any.whl", Wheel("utm", "0.9.0", "utm-0.9.0-py3-none-any.whl")),
        ("pypi:open-webui@0.12.4!a/b.whl", WheelMember("open-webui", "0.12.4", "a/b.whl")),
        ("repo:third_party/x", RepositoryFile("third_party/x")),
        ("https://example.invalid/x", Url("https://example.invalid/x")),
    ],
)
def test_a_source_says_its_kind_and_place(text, source):
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text", ["http://example.invalid/x", "npm:pyodide/pyodide.mjs", "pypi:utm@0.9.0", "file:///x", ""]
)
def test_a_source_of_no_known_form_is_refused(text):
    with pytest.raises(SetupError, match="expected a source"):
        parse_source(text)


@pytest.mark.parametrize("target", ["../escape.js", "/etc/x", "a/../../b", "a\\b", ""])
def test_a_lock_may_not_name_a_path_outside_vendor(project, target):
    write_lock(project, {target: locked(LIBRARY, "repo:x")})
    with pytest.raises(SetupError, match="not a path inside vendor"):
        read_lock(project)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "git checkout"), ("{", "not JSON"), ('{"version": 9, "files": {}}', "expected version 1")],
)
def test_an_unusable_lock_is_said_with_the_remedy(project, text, message):
    path = project / "vendor.lock.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(SetupError, match=message):
        assemble(project)


def test_vendor_holds_exactly_the_locked_files_and_their_compressed_copies(project):
    stranger = project / "vendor" / "old" / "left-over.js"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("from an older version")
    assemble(project)
    found = {path.relative_to(project / "vendor").as_posix() for path in (project / "vendor").rglob("*")}
    assert found == {
        "library", "library/library.mjs", "library/big.js", "library/big.js.br", "own", "own/own.json"
    }  # fmt: skip
    assert (project / "vendor/library/library.mjs").read_bytes() == LIBRARY


def test_the_compressed_copy_unpacks_to_the_file(project):
    brotli = pytest.importorskip("brotli")
    assemble(project)
    assert brotli.decompress((project / "vendor/library/big.js.br").read_bytes()) == BIG


def test_a_second_run_reads_no_file_again(project, monkeypatch):
    assemble(project)

    def refuse(path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(vendor, "sha256_of", refuse)
    assert assemble(project) == []


def test_a_changed_file_is_found_and_replaced(project):
    assemble(project)
    damaged = project / "vendor/library/library.mjs"
    damaged.write_bytes(LIBRARY.replace(b"42", b"43"))
    os.utime(damaged, ns=(1, 1))
    assert assemble(project) == ["library/library.mjs"]
    assert damaged.read_bytes() == LIBRARY


def test_a_touched_file_is_hashed_and_kept(project):
    assemble(project)
    os.utime(project / "vendor/library/library.mjs", ns=(1, 1))
    assert assemble(project) == []


def test_other_bytes_than_the_locked_ones_are_refused_and_not_written(project):
    (project / "node_modules/@scope/library/dist/library.mjs").write_bytes(b"evil")
    with pytest.raises(SetupError, match=r"library\.mjs.*gave 4 bytes.*expected 26 bytes.*make clean.*--update-lock"):
        assemble(project)
    assert not (project / "vendor/library/library.mjs").exists()


def test_another_installed_version_is_said(project):
    (project / "node_modules/@scope/library/package.json").write_text('{"version": "1.3.0"}')
    with pytest.raises(SetupError, match=r"has @scope/library 1\.3\.0.*expects 1\.2\.3.*npm ci"):
        assemble(project)


def test_a_missing_package_is_said(project):
    (project / "node_modules/@scope/library/package.json").unlink()
    with pytest.raises(SetupError, match="make setup"):
        assemble(project)


def test_a_download_is_verified_kept_and_not_fetched_twice(project, monkeypatch):
    asked = []
    monkeypatch.setattr(downloads, "fetch_url", lambda url, limit: asked.append((url, limit)) or WHEEL)
    add_wheel(project, WHEEL_URL)
    assemble(project)
    (project / "vendor/pyodide/numpy.whl").unlink()
    assemble(project, offline=True)
    assert (project / "vendor/pyodide/numpy.whl").read_bytes() == WHEEL
    assert asked == [(WHEEL_URL, len(WHEEL))]


@pytest.mark.parametrize("answer", [None, b"<html>please log in</html>"])
def test_the_next_source_is_asked_when_the_first_is_no_use(project, monkeypatch, capsys, answer):
    def carrier(_package, _version, folder):
        path = folder / "carrier.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside/numpy.whl", WHEEL)
        return path

    monkeypatch.setattr(downloads, "fetch_url", lambda *_: answer)
    monkeypatch.setattr(downloads, "fetch_wheel", carrier)
    add_wheel(project, WHEEL_URL, "pypi:carrier@1.0!inside/numpy.whl")
    assemble(project)
    assert (project / "vendor/pyodide/numpy.whl").read_bytes() == WHEEL
    assert WHEEL_URL in capsys.readouterr().out
    assert not (project / ".cache/downloads/carrier-1.0").exists()


def test_no_source_at_all_is_one_message_that_names_them(project, monkeypatch):
    monkeypatch.setattr(downloads, "fetch_url", lambda *_: None)
    add_wheel(project, WHEEL_URL)
    with pytest.raises(
        SetupError, match=r"could not be had from https://example\.invalid/numpy\.whl: check the network"
    ):
        assemble(project)


def test_offline_never_asks_the_network_and_says_what_is_missing(project, monkeypatch):
    def refuse(*_):
        raise AssertionError("asked the network")

    monkeypatch.setattr(downloads, "fetch_url", refuse)
    monkeypatch.setattr(downloads, "fetch_wheel", refuse)
    add_wheel(project, WHEEL_URL, "pypi:carrier@1.0!inside/numpy.whl")
    with pytest.raises(SetupError, match=r"vendor/pyodide/numpy\.whl \(13 B\) must be downloaded once.*make setup"):
        assemble(project, offline=True)


def test_a_damaged_kept_download_is_fetched_again(project, monkeypatch):
    monkeypatch.setattr(downloads, "fetch_url", lambda *_: WHEEL)
    add_wheel(project, WHEEL_URL)
    assemble(project)
    (kept,) = (project / ".cache/downloads").iterdir()
    kept.write_bytes(b"cut off")
    (project / "vendor/pyodide/numpy.whl").unlink()
    assemble(project)
    assert kept.read_bytes() == WHEEL


def test_the_lock_text_is_sorted_and_reads_back(project):
    files = read_lock(project)
    assert list(files) == sorted(files)
    assert json.loads(lock_text(files)) == json.loads((project / "vendor.lock.json").read_text())


def test_a_wheel_that_pip_cannot_find_is_said_with_pips_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SetupError, match=r"could not download no-such-package==1\.0.*No matching distribution"):
        downloads.fetch_wheel("no-such-package", "1.0", tmp_path)


def test_the_committed_lock_follows_from_the_list(capsys):
    vendor_update.check(Path(__file__).parents[2])
    assert "as vendor.toml and package-lock.json say" in capsys.readouterr().out
