from __future__ import annotations

import os
from pathlib import Path

import pytest

from ces_ml.errors import OutputError
from ces_ml.files import replacing, write_text


def test_the_folder_is_made_and_the_text_is_utf_8(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a" / "b.txt", "ünï 🎉\n")
    assert path.read_bytes() == "ünï 🎉\n".encode()


def test_the_temporary_file_keeps_the_suffix_and_the_folder(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.parquet") as temporary:
        assert (temporary.suffix, temporary.parent) == (".parquet", tmp_path)
        temporary.write_text("x")


def test_a_failure_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = write_text(tmp_path / "a.txt", "old")

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_file_stands_until_the_block_ends(tmp_path: Path) -> None:
    target = write_text(tmp_path / "a.txt", "old")
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_gets_the_permissions_that_an_ordinary_file_gets(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("x")
    mode = write_text(tmp_path / "a.txt", "x").stat().st_mode
    assert mode == ordinary.stat().st_mode


def test_a_path_below_a_regular_file_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "x")
    with pytest.raises(OutputError, match=r"can't be written\n.*file.*a\.txt.*\n.*a folder that"):
        write_text(tmp_path / "file" / "a.txt", "x")
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_as_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the output path is a folder"):
        write_text(tmp_path, "x")


def test_a_null_byte_in_the_path_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="null byte"):
        write_text(f"{tmp_path}{os.sep}a\0b", "x")
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_for_the_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't be written"):
        write_text(tmp_path / ("x" * 300), "x")
    assert list(tmp_path.iterdir()) == []
