"""entrypoint trace: the ways of messages through a real stack, out of what it logged (tests/unit/traces)."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from entrypoint.logs.render import console_renderer
from entrypoint.trace.read import event_of
from entrypoint.trace.show import between

FOLDER = Path(__file__).parent / "traces"
INCOMING = "179548647106.10705.11650840927548010374@outside.test"
OUTGOING = "179548647781.10705.15885648106214008135@example.test"
DEFERRED = "179548648875.10705.17144567733880540375@outside.test"
REJECTED = "179548647714.10705.8701905380456308167@outside.test"
BOUNCED = "179548648781.10705.7447372435084770989@example.test"
NAMES = {"incoming": INCOMING, "outgoing": OUTGOING, "deferred": DEFERRED, "rejected": REJECTED, "bounced": BOUNCED}


def trace(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command itself, with a log in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "entrypoint", "trace", *arguments],
        input=stdin,
        env={**os.environ, "TZ": "UTC", **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def logged(*names: str) -> str:
    """The recorded logs, one after the other."""
    return "".join((FOLDER / f"{name}.jsonl").read_text() for name in names)


@pytest.mark.parametrize(("recording", "name"), NAMES.items())
def test_the_way_of_a_message(recording: str, name: str) -> None:
    """As it is shown: tests/unit/traces has it beside the log."""
    done = trace(f"<{name}>", stdin=logged(recording))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (FOLDER / f"{recording}.txt").read_text()


@pytest.mark.parametrize(("recording", "name"), NAMES.items())
def test_other_messages_and_the_order_of_containers_do_not_matter(recording: str, name: str) -> None:
    """Compose shows one container after the other, with the lines of all messages."""
    lines = logged(*NAMES).splitlines(keepends=True)
    mixed = "".join(sorted(lines, key=lambda line: str(json.loads(line)["service"]), reverse=True))
    assert trace(name, stdin=mixed).stdout == (FOLDER / f"{recording}.txt").read_text()


@pytest.mark.parametrize("recording", ["incoming", "outgoing", "rejected"])
def test_a_scan_comes_before_what_exim_made_of_it(recording: str) -> None:
    """rspamd logs it when it has answered, and the busier the machine, the later."""
    events = [json.loads(line) for line in logged(recording).splitlines()]
    for event in events:
        if event["program"] == "rspamd":
            event["time"] = (datetime.fromisoformat(event["time"]) + timedelta(seconds=0.5)).isoformat()
    late = "".join(f"{json.dumps(event)}\n" for event in events)
    ways = [json.loads(trace(NAMES[recording], "--json", stdin=log).stdout) for log in (logged(recording), late)]
    told, told_late = ([(step["service"], step["kind"]) for step in way["steps"]] for way in ways)
    assert ("rspam", "scanned") in told
    assert told_late == told


@pytest.mark.parametrize("name", ["1xVg3J-0000000001t-3uvG", "1xVg3J-00000000012-3zdk"])
def test_any_of_exims_ids_finds_the_whole_way(name: str) -> None:
    """That of the submission, and that of the smarthost."""
    known = json.loads(trace(OUTGOING, "--json", stdin=logged("outgoing")).stdout)
    ids = {step["fields"].get("exim_id") for step in known["steps"]}
    assert "1xVg3J-0000000001t-3uvG" in ids
    for each in ids - {None}:
        assert json.loads(trace(each, "--json", stdin=logged("outgoing")).stdout)["steps"] == known["steps"]


def test_json_has_every_step_with_its_fields() -> None:
    """And the end for each recipient."""
    story = json.loads(trace(DEFERRED, "--json", stdin=logged("deferred")).stdout)
    assert story["message_id"] == DEFERRED
    assert story["recipients"] == {"alice@example.test": "stored in INBOX"}
    kinds = [step["kind"] for step in story["steps"] if step["kind"] != "note"]
    assert kinds == ["scanned", "received", "deferred", "stored", "delivered", "completed"]
    assert story["steps"][0]["after_s"] == 0
    deferred = next(step for step in story["steps"] if step["kind"] == "deferred")
    assert (deferred["service"], deferred["fields"]["error"]) == ("exim-external", "defer (111): Connection refused")
    assert 4 < deferred["after_s"] < 6


def without_message_id(text: str, name: str) -> str:
    """The same log of a message that has none: Exim leaves it out, rspamd and Dovecot say so."""
    events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        if event.get("message_id") == name:
            del event["message_id"]
    return "".join(f"{json.dumps(event)}\n" for event in events)


def test_a_message_without_a_message_id_is_followed_by_what_the_hosts_say() -> None:
    """The smarthost's id is in its reply, and Dovecot's session too."""
    for recording, name in (("outgoing", OUTGOING), ("incoming", INCOMING)):
        known = json.loads(trace(name, "--json", stdin=logged(recording)).stdout)
        first = next(step["fields"]["exim_id"] for step in known["steps"] if step["kind"] == "received")
        text = without_message_id(logged(recording), name)
        found = json.loads(trace(first, "--json", stdin=text).stdout)
        assert [step["kind"] for step in found["steps"]] == [step["kind"] for step in known["steps"]]
        assert found["recipients"] == known["recipients"]


def test_another_servers_word_draws_no_other_mail_in() -> None:
    """A host of the world that answers with the id of another message: it is not followed, and has got the message."""
    lie = "250 OK id=1xVg3D-0000000000P-0mqw"
    text = logged("outgoing").replace("250 2.0.0 kept as 000002", lie) + logged("incoming")
    told = json.loads(trace(OUTGOING, "--json", stdin=text).stdout)
    assert told["recipients"] == {"someone@outside.test": "delivered"}
    assert {step["service"] for step in told["steps"]} == {"rspam", "exim-external", "exim-ext-mailout"}


def test_an_id_of_exims_is_no_message_id() -> None:
    """Somebody who takes another message's id for a Message-ID does not get into its story."""
    other = json.loads(logged("outgoing").splitlines()[1]) | {"message_id": "1xVg3D-0000000000P-0mqw"}
    text = logged("incoming") + json.dumps(other) + "\n"
    told = json.loads(trace("1xVg3D-0000000000P-0mqw", "--json", stdin=text).stdout)
    assert {step["service"] for step in told["steps"]} == {"rspam", "exim-external", "imap"}


def test_what_waits_is_waiting() -> None:
    """A message that was received, and of which nothing is known since."""
    received = [line for line in logged("deferred").splitlines() if '"status":"received"' in line]
    assert trace(DEFERRED, stdin="\n".join(received)).stdout.endswith("\nalice@example.test: waiting\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody@nowhere.test", "what is refused before its text was sent has no Message-ID"),
        ("1xVg3J-0000000001t-0000", "a Message-ID has an @"),
        ("info", "a Message-ID has an @"),
        ("alice@example.test", "nothing of alice@example.test in the log"),
    ],
)
def test_what_is_not_there_is_said(name: str, words: str) -> None:
    """Code 1, nothing on standard output: a word of a line is no name of a message."""
    done = trace(name, stdin=logged(*NAMES))
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_a_file_is_read_like_a_pipe(tmp_path: Path) -> None:
    """And one that is not there is a wrong command line."""
    (tmp_path / "log").write_text(logged("incoming"))
    assert trace(INCOMING, "--file", str(tmp_path / "log")).stdout == (FOLDER / "incoming.txt").read_text()
    assert trace(INCOMING, "--file", "-", stdin=logged("incoming")).returncode == 0
    done = trace(INCOMING, "--file", str(tmp_path / "none"))
    assert (done.returncode, "cannot read" in done.stderr) == (64, True)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 0", "nothing of"),
        ("echo 'no configuration file provided' >&2; exit 14", "docker compose says: no configuration file provided"),
        (None, "there is no docker command here"),
    ],
)
def test_without_a_pipe_compose_is_asked(tmp_path: Path, script: str | None, words: str) -> None:
    """What it cannot say is said, with what else can be done."""
    if script is not None:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "docker").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "entrypoint", "trace", INCOMING],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert words in done.stderr
    assert done.returncode == (1 if script == "exit 0" else 69)


def test_another_project_is_asked_for_by_its_name(tmp_path: Path) -> None:
    """From anywhere, as in a script whose standard input is a pipe; a file is read whatever else is said."""
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    (tmp_path / "docker").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert trace(INCOMING, "--project", "demo", stdin=logged("incoming"), env=env).returncode == 1
    assert (tmp_path / "asked").read_text() == "compose --project-name demo logs --no-color --no-log-prefix\n"
    (tmp_path / "asked").unlink()
    assert trace(INCOMING, "--project", "demo", "--file", "-", stdin=logged("incoming"), env=env).returncode == 0
    assert not (tmp_path / "asked").exists()


def test_what_compose_prints_is_read(tmp_path: Path) -> None:
    """All of it, with the marks that some versions put in front of lines."""
    text = "".join(f"\x1b[2K{line}\n" for line in logged("incoming").splitlines())
    (tmp_path / "log").write_text(text)
    (tmp_path / "docker").write_text(f'#!/bin/sh\n[ "$1 $2" = "compose logs" ] && exec /bin/cat {tmp_path}/log\n')
    (tmp_path / "docker").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "entrypoint", "trace", INCOMING],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TZ": "UTC", "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == (FOLDER / "incoming.txt").read_text()


def test_names_of_containers_in_front_do_not_matter() -> None:
    """As `docker compose logs` prints them without --no-log-prefix."""
    text = "".join(f"exim-external-1  | {line}\n" for line in logged("incoming").splitlines())
    assert trace(INCOMING, stdin=text).stdout == (FOLDER / "incoming.txt").read_text()


def as_console(recording: str) -> Iterator[str]:
    """The recorded log as it would be on the console."""
    render = console_renderer(terminal=False)
    for line in logged(recording).splitlines():
        event: dict[str, Any] = json.loads(line)
        found = event_of(line.encode())
        assert found is not None
        yield render({**event, "time": found["time"]})


@pytest.mark.parametrize("colour", ["", "\x1b[32m"])
@pytest.mark.parametrize(("recording", "name"), NAMES.items())
def test_lines_for_people_tell_nearly_as_much(
    recording: str, name: str, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps, and the same end."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    text = "".join(f"{line.replace(' info ', f' {colour}info ')}\n" for line in as_console(recording))
    shown = trace(name, stdin=text).stdout.splitlines()
    wanted = (FOLDER / f"{recording}.txt").read_text().splitlines()
    assert [line[:60] for line in shown[1:]] == [line[:60] for line in wanted[1:]]


def test_colours_are_for_terminals_alone(tmp_path: Path) -> None:
    """In a pipe there are none, and with NO_COLOR neither."""
    (tmp_path / "log").write_text(logged("incoming"))
    assert "\x1b[32mstored in INBOX" in on_terminal(tmp_path / "log", {})
    assert "\x1b" not in on_terminal(tmp_path / "log", {"NO_COLOR": "1"})
    assert "\x1b" not in trace(INCOMING, "--file", str(tmp_path / "log")).stdout


def on_terminal(file: Path, env: dict[str, str]) -> str:
    """What the command prints on a terminal."""
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "entrypoint", "trace", INCOMING, "--file", str(file)]
    done = subprocess.run(command, stdin=theirs, stdout=theirs, env={**clean, **env}, timeout=60, check=True)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    return text


def test_nobody_who_sends_mail_writes_to_the_terminal() -> None:
    """Control characters of a sender's are shown, not obeyed."""
    scanned = next(line for line in logged("incoming").splitlines() if '"verdict"' in line)
    line = json.loads(scanned) | {"action": "no \x1b[2Jaction\u202e"}
    shown = trace(INCOMING, stdin=json.dumps(line) + "\n").stdout
    assert "no \\x1b[2Jaction\\u202e" in shown


@pytest.mark.parametrize(
    "line", [b"", b"\xff\xfe\n", b"{\n", b"[]\n", b'{"time": 1}\n', b'{"time":"x","event":"y"}\n', b"{}\n"]
)
def test_lines_that_are_none_of_ours_are_passed_over(line: bytes) -> None:
    assert event_of(line) is None


def test_a_large_log_is_read_quickly_and_not_kept(tmp_path: Path) -> None:
    """A hundred million bytes about other messages, in a pipe: seconds, and no more memory than for a short one."""
    names = r"179548647781|1xVg3J-\w{11}-\w{4}"
    noise = re.sub(names, lambda found: found[0][:-4] + "0000", logged("outgoing")).encode()
    lines = logged("incoming").encode().splitlines(keepends=True)
    with (tmp_path / "log").open("wb") as log:
        for line in lines:
            log.write(noise * (100_000_000 // len(lines) // len(noise)) + line)
    short, long = cost(FOLDER / "incoming.jsonl"), cost(tmp_path / "log")
    assert long.ru_maxrss - short.ru_maxrss < 4 * 1024
    assert long.ru_utime + long.ru_stime < 20


def cost(log: Path) -> resource.struct_rusage:
    """What a trace of the incoming message costs."""
    with log.open("rb") as stdin:
        cat = subprocess.Popen(["cat"], stdin=stdin, stdout=subprocess.PIPE)
        with subprocess.Popen(
            [sys.executable, "-m", "entrypoint", "trace", INCOMING],
            stdin=cat.stdout,
            stdout=subprocess.PIPE,
            env={**os.environ, "TZ": "UTC"},
        ) as child:
            assert cat.stdout is not None
            assert child.stdout is not None
            cat.stdout.close()
            assert child.stdout.read() == (FOLDER / "incoming.txt").read_bytes()
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        cat.wait()
    assert child.returncode == 0
    return used


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0214, "+0.021 s"),
        (59.5, "+59.500 s"),
        (61, "+1 min 1 s"),
        (3600, "+1 h 0 min"),
        (90061, "+1 d 1 h"),
    ],
)
def test_times_between_steps_are_short(seconds: float, words: str) -> None:
    assert between(seconds) == words
