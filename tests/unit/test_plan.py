"""What the first stage hands to the second: all of it, whole, and for its owner only."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from entrypoint.plan import Plan, Probe, Program, read_plan, write_atomically, write_plan

PLAN = Plan(
    service="sample",
    version="1",
    programs=(
        Program(name="a", argv=("/bin/a", "-x", "ä\n"), env={"PATH": "/bin"}, pipes={"/run/log": "exim-main"}),
        Program(name="b", argv=("/bin/b",), stop_signal="INT", grace_s=1.5),
    ),
    probes=(Probe(kind="smtp", host="127.0.0.1", port=1025, expect="STARTTLS"),),
    log_format="json",
)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_plan(PLAN, tmp_path / "new" / "plan.json")
    assert read_plan(tmp_path / "new" / "plan.json") == PLAN
    assert stat.S_IMODE((tmp_path / "new" / "plan.json").stat().st_mode) == 0o600


def test_before_it_is_written_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_plan(tmp_path / "plan.json")


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "new \udcff")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "file"
    file.write_text("old")
    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_what_an_interrupted_write_left_is_no_hindrance_and_no_trap(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / f".file.{os.getpid()}").symlink_to(elsewhere)
    write_atomically(tmp_path / "file", "new", mode=0o640)
    assert elsewhere.read_text() == "untouched"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
