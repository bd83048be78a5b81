import json
import shutil
import subprocess
import zipfile

import pytest

from sfu.egress.child.archive_zip import write_zip

CREATED_MS = 1_795_240_000_000


def files_in(folder):
    for name, content in (("b.webm", b"b" * 3_000_000), ("a.mkv", b"a" * 10)):
        (folder / name).write_bytes(content)
    return [folder / "b.webm", folder / "a.mkv"]


def test_the_manifest_comes_first_and_nothing_is_compressed(tmp_path):
    target = tmp_path / "archive.zip"
    write_zip(target, ("x.json", {"id": "ä"}), files_in(tmp_path), CREATED_MS)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["x.json", "b.webm", "a.mkv"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(archive.read("x.json")) == {"id": "ä"}
        assert archive.read("b.webm") == b"b" * 3_000_000
        assert archive.infolist()[0].date_time[:3] == (2026, 11, 21)
    assert subprocess.run([shutil.which("unzip"), "-tq", target], check=False).returncode == 0


def test_large_files_are_in_the_64_bit_form(tmp_path, monkeypatch):
    """Without four gigabytes: the limit is brought down to the files."""
    target = tmp_path / "archive.zip"
    with monkeypatch.context() as patched:
        patched.setattr(zipfile, "ZIP64_LIMIT", 1_000_000)
        write_zip(target, ("x.json", {}), files_in(tmp_path), CREATED_MS)
    with zipfile.ZipFile(target) as archive:
        assert archive.getinfo("b.webm").extract_version == 45
        assert archive.testzip() is None
    assert subprocess.run([shutil.which("unzip"), "-tq", target], check=False).returncode == 0


def test_a_zip_of_the_seventies_is_of_1980(tmp_path):
    write_zip(tmp_path / "a.zip", ("x.json", {}), [], 0)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_zip(tmp_path / "a.zip", ("x.json", {}), [tmp_path / "none"], CREATED_MS)
