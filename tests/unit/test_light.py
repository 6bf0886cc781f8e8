"""The light stand-ins do what the standard library's own do."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint import light
from entrypoint.probe import Probe

SMTP = Probe(kind="smtp", host="127.0.0.1", port=25)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_to_and_fro(value: Any) -> None:
    """Both ways, as json does it."""
    assert json.loads(light.encode(value)) == value
    assert light.decode(f" {json.dumps(value, indent=2)}\n") == value


@pytest.mark.parametrize("text", ["", " ", "{", '{"a":}', "[1,]", "1 2", '"\n"', "nul", "\x00"])
def test_what_is_not_json(text: str) -> None:
    """ValueError, as json raises it."""
    with pytest.raises(ValueError, match=r"."):
        light.decode(text)
    with pytest.raises(ValueError, match=r"."):
        json.loads(text)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Only its user can read it, and nothing is left beside it when that fails."""
    path = tmp_path / "a.json"
    light.write_json(str(path), {"a": 1})
    assert light.read_json(str(path)) == {"a": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(OSError, match="directory"):
        light.write_json(str(tmp_path / "none" / "a.json"), {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        light.write_json(str(tmp_path / "folder"), {})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.json", "folder"]


def test_a_frozen_value() -> None:
    """Defaults, equality, a hash; nothing can be changed, forgotten or invented."""
    assert SMTP.timeout_s == 5.0
    assert Probe(kind="smtp", host="127.0.0.1", port=25) == SMTP != Probe(kind="smtp", host="127.0.0.1", port=26)
    assert len({SMTP, Probe(kind="smtp", host="127.0.0.1", port=25)}) == 1
    assert repr(SMTP).startswith("Probe(")
    with pytest.raises(AttributeError, match="port"):
        SMTP.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing fields: port"):
        Probe(kind="smtp", host="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="ports"):
        Probe(kind="smtp", host="x", port=1, ports=2)  # type: ignore[call-arg]


def test_dataclasses_know_it() -> None:
    """What others do with dataclasses works, also within one."""
    assert dataclasses.replace(SMTP, port=26) == Probe(kind="smtp", host="127.0.0.1", port=26)
    assert Probe(**dataclasses.asdict(SMTP)) == SMTP
    assert [field.name for field in dataclasses.fields(Probe)][:3] == ["kind", "host", "port"]


@pytest.mark.parametrize("suppress", [light.suppress, contextlib.suppress])
def test_what_is_suppressed(suppress: type[contextlib.suppress]) -> None:
    """The kinds given and theirs, nothing else; also none at all."""
    with suppress(OSError, ValueError):
        raise FileNotFoundError
    with pytest.raises(KeyError), suppress(OSError, ValueError):
        raise KeyError
    with pytest.raises(OSError, match="why"), suppress():
        raise OSError("why")


def test_signals_have_the_numbers_of_signal() -> None:
    """Without their names."""
    assert light.signal.SIGTERM == signal.SIGTERM
    assert light.signal.pthread_sigmask(light.signal.SIG_BLOCK, ()) == signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("pid", [1, 2])
@pytest.mark.parametrize("module", ["probe", "supervise.launch"])
def test_it_imports_nothing_heavy(pid: int, module: str) -> None:
    """Or it would be of no use: for health checks, and on the way to the first daemon, as PID 1 and as another."""
    heavy = "{'json', 'dataclasses', 'pathlib', 'typing', 're', 'enum', 'collections', 'contextlib', 'functools'}"
    code = f"""
import os, sys
os.getpid = lambda: {pid}
sys.path.append({str(Path(__file__).parents[2])!r})
import entrypoint.{module}
from entrypoint import light
light.decode(light.encode([1]))
print({heavy} & set(sys.modules))
"""
    said = subprocess.run([sys.executable, "-ISc", code], check=True, capture_output=True, text=True, timeout=30)
    assert said.stdout == "set()\n"
