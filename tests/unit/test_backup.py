import io
import json
import zipfile
from dataclasses import replace

import pytest

from galamsey.backup import MANIFEST, read_backup, write_backup
from galamsey.errors import FindingError
from galamsey.findings import write_finding
from tests.unit.test_findings import FINDING, ID, KEPT, PIXELS

OTHER = replace(FINDING, id="f" * 32)
BACKUP = write_backup([(FINDING, PIXELS), (OTHER, "")], KEPT)


def rewritten(change):
    """Return the backup with its files changed by name; a file that becomes None is left out."""
    with zipfile.ZipFile(io.BytesIO(BACKUP)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            after = change(name, body)
            if after is not None:
                archive.writestr(name, after)
    return packed.getvalue()


def test_a_backup_reads_back_as_it_was():
    found = read_backup(BACKUP)

    assert [(write_finding(f), pixels) for f, pixels in found] == [
        (write_finding(FINDING), PIXELS),
        (write_finding(OTHER), ""),
    ]


def test_another_program_can_open_a_backup():
    with zipfile.ZipFile(io.BytesIO(BACKUP)) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read(f"findings/{ID}.json"))["id"] == ID


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "zip archive"),
        (b"PK\x03\x04 nothing", "zip archive"),
        (BACKUP[: len(BACKUP) // 2], "zip archive"),
        (rewritten(lambda name, body: None if name == MANIFEST else body), "without"),
        (rewritten(lambda name, body: b"{}" if name == MANIFEST else body), "version"),
        (rewritten(lambda name, body: None if name.startswith("pixels/") else body), "missing"),
        (rewritten(lambda name, body: body[:-1] + b"]" if name.startswith("findings/") else body), "damaged"),
        (rewritten(lambda name, body: b" " * 20_000_000 if name.startswith("pixels/") else body), "of up to"),
    ],
)
def test_a_file_that_is_no_whole_backup_is_refused_by_name(data, told):
    with pytest.raises(FindingError, match=told):
        read_backup(data)


def test_one_bad_finding_refuses_the_whole_file():
    bad = replace(OTHER, kept="long ago")

    with pytest.raises(FindingError, match="ISO 8601"):
        read_backup(write_backup([(FINDING, PIXELS), (bad, "")], KEPT))
