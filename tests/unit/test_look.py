"""The job `look`: what it writes, whatever it meets, and what it tells the log."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from entrypoint import look
from entrypoint.plan import Measure, Need, Plan, Probe, write_plan
from tests.unit.servers import Lines, Redis, Server, closes, silence
from tests.unit.test_measures import write_database

SMTP = Lines("220 mail\r\n", {"EHLO": "250 ok\r\n", "QUIT": "221 bye\r\n"})


def probe(kind: str, port: int, **fields: Any) -> Probe:
    return Probe(**{"kind": kind, "host": "127.0.0.1", "port": port, "timeout_s": 2.0, **fields})


def plan(*needs: Need, measures: tuple[Measure, ...] = ()) -> Plan:
    return Plan(service="imap", version="1", programs=(), needs=needs, measures=measures)


def need(*ports: int, name: str = "redis", **fields: Any) -> Need:
    return Need(name=name, probes=tuple(probe("redis", port) for port in ports), **fields)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "plan.json", tmp_path / "look.json"


def looked(files: tuple[Path, Path], asked: Plan) -> dict[str, Any]:
    """What a look writes."""
    write_plan(asked, files[0])
    assert look.main(*files) == 0
    found: dict[str, Any] = json.loads(files[1].read_text())
    return found


def test_a_good_answer(files: tuple[Path, Path]) -> None:
    """When, by whom, how long it took; only for the service's own user to read."""
    begin = time.time()
    with Server(Redis()) as server:
        found = looked(files, plan(need(server.port, required=False)))
    assert found["at"] >= found["needs"]["redis"].pop("at") >= begin
    line = f"redis://127.0.0.1:{server.port}: PONG"
    assert found["needs"] == {"redis": {"ok": True, "required": False, "line": line}}
    (seconds,) = found["measures"]
    assert (seconds["name"], seconds["labels"], seconds["problem"]) == ("need_seconds", {"need": "redis"}, "")
    assert stat.S_IMODE(files[1].stat().st_mode) == 0o600


def test_one_of_several_servers_is_enough(files: tuple[Path, Path]) -> None:
    """The second one answers."""
    with Server(closes) as away, Server(Redis()) as here:
        found = looked(files, plan(need(away.port, here.port)))
    assert found["needs"]["redis"]["ok"]
    assert str(here.port) in found["needs"]["redis"]["line"]


def test_the_last_good_answer_is_remembered(files: tuple[Path, Path]) -> None:
    """Over any number of bad ones; before the first good one there is none."""
    with Server(Redis()) as server:
        good = looked(files, plan(need(server.port)))["needs"]["redis"]
    for _ in range(2):
        bad = looked(files, plan(need(server.port), need(server.port, name="other")))["needs"]
        assert bad["redis"] == good | {"ok": False, "line": f"redis://127.0.0.1:{server.port}: tcp: connection refused"}
        assert bad["other"]["at"] is None


def test_silent_servers_share_a_budget() -> None:
    """However many there are; who comes after them is still asked."""
    begin = time.monotonic()
    with Server(silence) as one, Server(silence) as other, Server(Redis()) as good:
        silent = (need(one.port, other.port, name="a"), need(one.port, name="b"))
        found = look.look(plan(*silent, need(good.port)), {}, budget_s=0.5)
    assert time.monotonic() - begin < 2
    assert [each["ok"] for each in found["needs"].values()] == [False, False, True]


def test_measures_are_taken(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Each with its figures; one that fails takes no other with it."""
    room = (Measure(kind="room", where=str(tmp_path / "none")), Measure(kind="room", where=str(tmp_path)))
    found = looked(files, plan(measures=room))["measures"]
    assert [each["name"] for each in found][:2] == ["measure_failed", "room_free_bytes"]
    assert found[0].keys() == {"name", "labels", "value", "problem", "warning"}


def test_a_broken_file_is_no_hindrance(files: tuple[Path, Path]) -> None:
    """Whatever is in it."""
    for text in ("", "{", "[]"):
        files[1].write_text(text)
        assert looked(files, plan())["needs"] == {}


def test_the_log_gets_what_has_changed(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Once when it is away and once when it is back, as JSON; nothing when all is as before."""

    def told(asked: Plan) -> list[dict[str, Any]]:
        write_plan(asked, files[0])
        code = f"from pathlib import Path; from entrypoint import look; look.main(*map(Path, {[*map(str, files)]!r}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == ""
        return [json.loads(line) for line in done.stderr.splitlines()]

    with Server(Redis()) as server:
        asked = plan(need(server.port), measures=(Measure(kind="signatures", where=str(tmp_path)),))
        (bad,) = told(asked)
        assert (bad["level"], bad["event"], bad["kind"]) == ("error", "a measure is bad", "signatures")
        assert told(asked) == []
        write_database(tmp_path / "daily.cld", time.time())
        (good,) = told(asked)
        assert (good["level"], good["event"], good["kind"]) == ("info", "a measure is good again", "signatures")
    (away,) = told(asked)
    assert (away["level"], away["event"], away["need"]) == ("warning", "a needed service does not answer", "redis")
    assert "connection refused" in away["reason"]
    assert told(asked) == []
    with Server(Redis(), port=server.port):
        (back,) = told(asked)
    assert (back["level"], back["event"]) == ("info", "a needed service answers again")


def test_a_measure_that_is_good_again_is_told() -> None:
    """A warning, a problem, and the end of it."""
    value = {"name": "room_free_bytes", "labels": {"folder": "/x"}, "value": 1.0, "problem": "", "warning": ""}
    states = [value, value | {"warning": "w"}, value | {"warning": "w2"}, value | {"problem": "p"}, value]
    news = [
        list(look.changes({"measures": [one]}, {"needs": {}, "measures": [other]})) for one, other in pairwise(states)
    ]
    assert [[(level, event) for level, event, _ in each] for each in news] == [
        [("warning", "a measure is bad")],
        [],
        [("error", "a measure is bad")],
        [("info", "a measure is good again")],
    ]
    assert news[2][0][2] == {"measure": "room_free_bytes", "folder": "/x", "reason": "p"}
