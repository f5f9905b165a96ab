"""Zip archives that lie about themselves, each of which the library answers with an error of its own kind."""

import io
import zipfile

import pytest

from galamsey.archives import Archive
from galamsey.errors import ArchiveError

BODY = b"one two three " * 100


def packed(method=zipfile.ZIP_DEFLATED, names=("a.txt",), body=BODY):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name in names:
            archive.writestr(name, body)
    return made.getvalue()


def changed(data, place, *values):
    made = bytearray(data)
    made[place : place + len(values)] = values
    return bytes(made)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_is_read_back(method):
    archive = Archive(packed(method))

    assert archive.names == ["a.txt"]
    assert archive.listed_bytes == len(BODY)
    assert archive.read("a.txt", len(BODY)) == BODY


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", packed()[:-30], packed()[:60]],
    ids=["empty", "magic", "no end", "one header"],  # a name made of the bytes would hold the time of packing
)
def test_what_has_no_list_of_files_is_no_archive(data):
    with pytest.raises(ArchiveError, match="expected a zip archive"):
        Archive(data)


@pytest.mark.parametrize(
    "data",
    [
        changed(packed(), 36, 0xFF, 0xFF, 0xFF),  # the deflated bytes
        changed(packed(zipfile.ZIP_STORED), 40, 0x00),  # a stored byte: its checksum
        changed(packed(), 0, 0x00),  # the local header
        changed(packed(), packed().rindex(b"PK\x01\x02") + 42, 0xF0, 0xFF, 0xFF, 0xFF),  # a place beyond the end
        changed(packed(), packed().rindex(b"PK\x05\x06") + 16, 0xF0),  # the list before the file's beginning
        changed(packed(), packed().rindex(b"PK\x01\x02") + 8, 0x01),  # a password
    ],
    ids=["deflated", "stored", "header", "place", "start", "password"],
)
def test_a_damaged_file_is_refused_by_name(data):
    with pytest.raises(ArchiveError, match=r"damaged|expected a zip"):
        Archive(data).read("a.txt", 10_000)


def test_a_missing_file_and_one_that_is_too_long_are_refused():
    archive = Archive(packed())
    with pytest.raises(ArchiveError, match=r"b\.txt is missing"):
        archive.read("b.txt", 10_000)
    with pytest.raises(ArchiveError, match="up to 1000 bytes"):
        archive.read("a.txt", 1000)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_few_programs_read_are_refused_with_their_number(method):
    with pytest.raises(ArchiveError, match=f"stored or deflated, got method {method}"):
        Archive(packed(method)).read("a.txt", 10_000)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_listed_many_times_counts_once():
    assert Archive(packed(names=["a.txt"] * 50)).names == ["a.txt"]
