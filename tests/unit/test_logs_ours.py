"""What our own programs log below the supervisor comes out as if the supervisor had said it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from entrypoint.logs import configure
from entrypoint.logs.parsers import parser
from tests.unit.supervised import Supervised, python


@pytest.fixture
def written() -> str:
    """A line as a program of ours writes it."""
    out = io.StringIO()
    configure("json", "debug", out, service="imap")
    structlog.get_logger().warning("cannot reload", reason="a ö \n b", days=9)
    return out.getvalue().rstrip("\n")


def test_its_fields_are_taken_over(written: str) -> None:
    """Level, words and fields, and who says it."""
    said = parser("ours")(written)
    kept = {name: said[name] for name in ("level", "service", "program", "event", "reason", "days")}
    assert kept == {
        "level": "warning",
        "service": "imap",
        "program": "entrypoint",
        "event": "cannot reload",
        "reason": "a ö \n b",
        "days": 9,
    }
    assert isinstance(said["time"], float)


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "{",
        "{}",
        '{"time": 3, "level": "info", "event": "x"}',
        '{"time": "2026-01-01T00:00:00Z", "level": "loud", "event": "x"}',
        '{"time": "2026-01-01T00:00:00Z", "level": [], "event": "x"}',
        '{"time": "2026-01-01T00:00:00Z", "level": "info", "event": 3}',
        "[" * 5000,
    ],
)
def test_what_is_no_event_of_ours_is_passed_on_whole(line: str) -> None:
    """A traceback, other json, or nonsense."""
    assert parser("ours")(line)["event"] == line


def test_the_supervisor_says_it_for_them(tmp_path: Path, written: str) -> None:
    """One line in, the same event out, with the program's name changed to ours."""
    with Supervised(tmp_path, python(f"print({written!r}); import time; time.sleep(99)", parser="ours")) as supervised:
        line: dict[str, Any] = supervised.wait_for("cannot reload")
    assert line == json.loads(written)
