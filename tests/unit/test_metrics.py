"""Metrics out of the supervisor's loop, over real sockets, with real processes behind the figures."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrypoint.logs import Logs, log_line
from entrypoint.logs.counts import ACTIONS, REASONS, Counts
from entrypoint.logs.parsers import parser
from entrypoint.logs.parsers.exim import REASONS as EXIM_REASONS
from entrypoint.logs.render import render_json
from entrypoint.openmetrics import Family, Sample, exposition
from entrypoint.supervise import scrape
from entrypoint.supervise.metrics import _COUNTED, _MEASURED, _Spent
from entrypoint.supervise.usage import Usage, usages
from tests.unit.supervised import Supervised, sh, until

FOREVER = "exec sleep 99"


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return int(reserved.getsockname()[1])


@pytest.fixture
def supervised(tmp_path: Path, port: int) -> Iterator[Supervised]:
    """A supervisor with metrics, and one program."""
    with Supervised(tmp_path, sh(FOREVER), metrics_port=port) as running:
        running.wait_until("running")
        yield running


def ask(port: int, request: bytes = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") -> tuple[str, str]:
    """Head and body of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.decode().partition("\r\n\r\n")
    return head, body


def value(body: str, name: str, **labels: str) -> float:
    """The one sample with this name and at least these labels."""
    wanted = [f'{label}="{text}"' for label, text in labels.items()]
    lines = [
        line for line in body.splitlines() if line.startswith(f"postern_{name}{{") and all(w in line for w in wanted)
    ]
    assert len(lines) == 1, lines
    return float(lines[0].rpartition(" ")[2])


def test_get_metrics_is_answered_in_openmetrics(supervised: Supervised, port: int) -> None:
    """With its type, its length and its end."""
    head, body = ask(port)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8" in head
    assert f"Content-Length: {len(body.encode())}" in head
    assert body.endswith("# EOF\n")
    assert value(body, "program_up", service="test", program="daemon") == 1
    assert supervised.process.poll() is None


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", "404"),
        (b"GET /metrics/../etc/passwd HTTP/1.1", "404"),
        (b"POST /metrics HTTP/1.1", "405"),
        (b"HEAD /metrics HTTP/1.0", "405"),
        (b"GET /metrics", "400"),
        (b"GET /metrics SMTP/1.0", "400"),
        (b"\x16\x03\x01 \xff\x00", "400"),
        (b"", "400"),
    ],
)
def test_nothing_else_is(supervised: Supervised, port: int, request_line: bytes, status: str) -> None:
    """Another path, method or protocol gets its error, and the next one its answer."""
    assert ask(port, request_line + b"\r\n\r\n")[0].split()[1] == status
    assert ask(port)[0].split()[1] == "200"
    assert not supervised.logged("exception in a channel")


def test_a_request_without_an_end_is_refused(supervised: Supervised, port: int) -> None:
    """Before it fills the memory."""
    assert ask(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000)[0].split()[1] == "431"
    assert supervised.process.poll() is None


def test_who_says_nothing_is_left(supervised: Supervised, port: int) -> None:
    """After a while; others are answered meanwhile, and the loop sleeps."""
    with socket.create_connection(("127.0.0.1", port), timeout=scrape.PATIENCE_S + 5) as silent:
        silent.sendall(b"GET /met")
        assert ask(port)[0].split()[1] == "200"
        began = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - began > scrape.PATIENCE_S / 2
    assert supervised.end()[0] == 0


def test_there_are_not_too_many_at_a_time(supervised: Supervised, port: int) -> None:
    """One more is hung up on; when one of them leaves, there is room again."""
    crowd = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(scrape.CLIENTS)]
    try:
        time.sleep(0.1)  # until all have been taken in; nothing tells
        with pytest.raises((ConnectionError, AssertionError, IndexError)):
            assert ask(port)[0].split()[1] == "200"
        crowd.pop().close()
        until(lambda: _answers(port))
    finally:
        for each in crowd:
            each.close()
    assert supervised.process.poll() is None


def _answers(port: int) -> bool:
    try:
        return ask(port)[0].startswith("HTTP/1.1 200")
    except ConnectionError:
        return False


def test_a_stop_does_not_wait_for_a_client(supervised: Supervised, port: int) -> None:
    """One that is in the middle of its request."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        code, took_s = supervised.end()
    assert code == 0
    assert took_s < 2


def test_off_means_that_nobody_listens(tmp_path: Path, port: int) -> None:
    """And that the log lines are not counted."""
    with Supervised(tmp_path, sh(FOREVER)) as supervised:
        supervised.wait_until("running")
        with pytest.raises(ConnectionRefusedError):
            ask(port)


def test_a_port_that_is_taken_costs_only_the_metrics(tmp_path: Path, port: int) -> None:
    """The daemon runs, and the log says what is missing."""
    with socket.create_server(("0.0.0.0", port)), Supervised(tmp_path, sh(FOREVER), metrics_port=port) as supervised:
        supervised.wait_until("running")
        assert "Address already in use" in supervised.wait_for("cannot offer metrics", port=port)["reason"]


def test_restarts_and_states_are_told(supervised: Supervised, port: int) -> None:
    """A counter of starts after the first, and one state that is true."""
    os.kill(supervised.state()["programs"]["daemon"]["pid"], signal.SIGKILL)
    supervised.wait_for("started", times=2)
    body = ask(port)[1]
    assert value(body, "program_restarts_total", program="daemon") == 1
    assert value(body, "program_deaths", program="daemon") == 1
    assert value(body, "program_state", postern_program_state="running") == 1
    assert value(body, "program_state", postern_program_state="backoff") == 0


def test_a_job_has_runs_and_failures_and_no_restarts(tmp_path: Path, port: int) -> None:
    """It is started again and again, and that is what it is for."""
    jobs = (sh("exit 3", "bad", kind="job", every_s=0.05), sh(FOREVER))
    with Supervised(tmp_path, *jobs, metrics_port=port) as supervised:
        supervised.wait_until("running")
        supervised.wait_for("a job has failed", times=3)
        body = ask(port)[1]
    assert value(body, "job_runs_total", program="bad") >= 3
    assert value(body, "job_failures", program="bad") >= 3
    assert 'postern_program_restarts_total{service="test",program="bad"}' not in body
    assert 'postern_program_up{service="test",program="bad"}' not in body


def test_the_cpu_of_jobs_is_told_though_none_runs_when_somebody_asks(tmp_path: Path, port: int) -> None:
    """They are short, and scrapes are rare; the time of what they have started themselves counts, too."""
    work = "sh -c 'n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done'"
    with Supervised(
        tmp_path, sh(FOREVER), sh(f"{work}; exit 3", "reload", kind="job"), metrics_port=port
    ) as supervised:
        supervised.wait_until("running")
        assert value(ask(port)[1], "program_cpu_seconds_total", program="reload") == 0
        supervised.send(signal.SIGHUP)
        supervised.wait_for("a job has failed")
        assert value(ask(port)[1], "program_cpu_seconds_total", program="reload") >= 0.02


def test_cpu_and_memory_are_those_of_the_whole_family(tmp_path: Path, port: int) -> None:
    """A child's, one that has ended, too, and a counter never falls when the program starts anew."""
    work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    script = f"sh -c '{work}'; touch {tmp_path}/worked; sleep 98 & exec sleep 99"
    with Supervised(tmp_path, sh(script), metrics_port=port) as supervised:
        supervised.wait_until("running")
        until((tmp_path / "worked").exists)
        until(lambda: value(ask(port)[1], "program_processes", program="daemon") == 2)
        body = ask(port)[1]
        spent = value(body, "program_cpu_seconds_total", program="daemon")
        assert spent > 0.01
        assert value(body, "program_resident_memory_bytes", program="daemon") > 100_000
        os.kill(supervised.state()["programs"]["daemon"]["pid"], signal.SIGKILL)
        supervised.wait_for("started", times=2)
        assert value(ask(port)[1], "program_cpu_seconds_total", program="daemon") >= spent


def test_lines_are_counted_by_what_they_tell(tmp_path: Path, port: int) -> None:
    """A message that came, one that was refused; what has not happened is 0 and not missing."""
    prefix = "2026-11-22 19:43:02 "
    lines = (
        "1vMxyz-00000000001-abcd <= alice@example.org H=a.example [192.0.2.5]:4711 P=esmtps S=12 for bob@example.org",
        "H=(x.example) [192.0.2.9]:333 F=<a@example.net> rejected RCPT <x@example.org>: relay not permitted",
    )
    script = "; ".join(f"echo '{prefix}{line}'" for line in lines)
    with Supervised(tmp_path, sh(f"{script}; {FOREVER}", parser="exim-main"), metrics_port=port) as supervised:
        supervised.wait_for(f"{lines[1]}")
        body = ask(port)[1]
    assert value(body, "mail_received_total") == 1
    assert value(body, "mail_rejected_total", reason="relay") == 1
    assert value(body, "mail_rejected_total", reason="spam") == 0
    assert value(body, "mail_delivered_total") == 0
    assert "postern_spam_verdicts" not in body


def test_what_others_have_found_out_is_passed_on(supervised: Supervised, port: int) -> None:
    """The look's figures, the health, the certificate's end, a refused reload; damaged files are left out."""
    run = supervised.folder / "run"
    measures = [{"name": "queue_messages", "labels": {"folder": '/a "b"\n'}, "value": 3, "problem": "", "warning": ""}]
    needs = {"ldap": {"ok": False, "required": True, "at": None, "line": "refused"}}
    (run / "look.json").write_text(json.dumps({"at": time.time() - 5, "needs": needs, "measures": measures}))
    (run / "health.json").write_text(json.dumps({"at": time.time(), "mode": "ready", "well": True, "line": "healthy"}))
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps(plan | {"expires": {"/run/tls/certificate.pem": 1795376582.5}}))
    body = ask(port)[1]
    assert 'postern_queue_messages{service="test",folder="/a \\"b\\"\\n"} 3' in body
    assert value(body, "need_ok", need="ldap") == 0
    assert 5 <= value(body, "look_age_seconds") < 60
    assert value(body, "healthy") == 1
    assert value(body, "certificate_expiry_timestamp_seconds") == 1795376582.5
    for damage in ("{", "[]", ""):
        (run / "look.json").write_text(damage)
        assert "postern_queue_messages" not in ask(port)[1]


def test_the_reload_is_told(tmp_path: Path, port: int) -> None:
    """A refused one as 0."""
    result = json.dumps({"at": 1, "ok": False, "line": "no", "actions": {}})
    job = sh(f"echo '{result}' > {tmp_path}/run/reload.json", "reload", kind="job")
    with Supervised(tmp_path, sh(FOREVER), job, metrics_port=port) as supervised:
        supervised.wait_until("running")
        assert "postern_reload_ok" not in ask(port)[1]
        supervised.send(signal.SIGHUP)
        until(lambda: supervised.state()["reload"])
        assert value(ask(port)[1], "reload_ok") == 0


def test_every_family_is_told_once_and_its_samples_follow(supervised: Supervised, port: int) -> None:
    """As OpenMetrics wants it: no name comes twice, and each sample belongs to the family above it."""
    body = ask(port)[1]
    names = re.findall(r"^# TYPE (\S+) ", body, re.MULTILINE)
    assert len(names) == len(set(names))
    family = ""
    for line in body.splitlines()[:-1]:
        if line.startswith("# TYPE "):
            family = line.split()[2]
        else:
            assert re.match(rf"(# (HELP|UNIT) )?{family}(_total)?[ {{]", line), (family, line)
    assert supervised.process.poll() is None


def test_the_documentation_has_every_metric_and_every_alert() -> None:
    """By name, and no other."""
    root = Path(__file__).parents[2]
    page = (root / "docs/how-to/monitoring.md").read_text()
    told = {name.removesuffix("_total") for name in re.findall(r"\| `postern_(\w+)` \|", page)}
    source = (root / "entrypoint/supervise/metrics.py").read_text()
    assert told == {*re.findall(r'Family\(\s*"(\w+)"', source), *_MEASURED, *_COUNTED}
    alerts = re.findall(r"alert: (\w+)", (root / "install/monitoring/rules.yml").read_text())
    assert re.findall(r"\| `(Postern\w+)` \|", page) == alerts


def test_a_family_without_figures_is_left_out_and_text_is_escaped() -> None:
    """So that nothing in a label ends it."""
    text = exposition(
        [Family("a", "gauge", "no", []), Family("b", "counter", "x\ny", [Sample(1.5, {"l": 'a"\\\n'})])], {}
    )
    assert text == '# TYPE postern_b counter\n# HELP postern_b x\\ny\npostern_b_total{l="a\\"\\\\\\n"} 1.5\n# EOF\n'


def test_cpu_of_a_life_never_falls_and_lives_add_up() -> None:
    """Though /proc's may fall, when somebody ends for whom nobody waits."""
    spent = _Spent()
    told = [spent.total("a", past, Usage(cpu, 0, 1)) for past, cpu in ((0.0, 2.0), (0.0, 1.0), (1.5, 0.4), (1.5, 0.75))]
    assert told == [2.0, 2.0, 2.0, 2.25]
    assert spent.total("a", 2.5, None) == 2.5


def test_usage_of_who_is_not_there_is_nothing() -> None:
    """It has ended between the question and the answer."""
    assert usages([2**22 + 1]) == {2**22 + 1: Usage(0, 0, 0)}


def test_labels_are_of_a_closed_set() -> None:
    """Whatever a daemon's line says: the words of the parsers are known, and others are one word."""
    assert set(EXIM_REASONS) == set(REASONS)
    counts = Counts()
    counts.of("rspamd")
    counts.of("dovecot")
    known = set(counts.values)
    for action in (*ACTIONS, "evil-1", "evil-2"):
        counts.take({"level": "info", "verdict": "spam", "action": action})
    for process in ("imap-login", "evil-1", "evil-2"):
        counts.take({"level": "info", "login": "ok", "process": process})
    assert len(set(counts.values) - known) == 2


def test_what_stands_in_two_logs_of_exim_happened_once() -> None:
    """The panic log repeats lines of the main log; as lines, both count."""
    counts = Counts()
    line = "2026-11-22 19:43:02 1vMxyz-00000000001-abcd == bob@example.org R=to_imap T=lmtp defer (-1): no room"
    logs = Logs(render_json, io.StringIO(), "mx", 10, counts)
    for name in ("exim-main", "exim-panic"):
        log_line(logs, "exim", name)(line, 0)
    assert counts.values["mail_deferred", ()] == 1
    assert sum(count for (name, _), count in counts.values.items() if name == "log_lines") == 2


def test_golden_lines_are_counted() -> None:
    """What our daemons really wrote ends in counters, and each of its levels is known."""
    counts = Counts()
    for name in ("exim-main", "dovecot", "rspamd"):
        for line in (Path(__file__).parent / "golden" / f"{name}.jsonl").read_text().splitlines():
            if "line" in (record := json.loads(line)):
                counts.take(parser(name)(record["line"]))
    told = {name for (name, _), count in counts.values.items() if count}
    assert {"mail_received", "mail_delivered", "mail_rejected", "logins", "spam_verdicts", "log_lines"} <= told


def test_every_measure_that_is_taken_has_a_family() -> None:
    """Or it would be looked at and never told."""
    folder = Path(__file__).parents[2] / "entrypoint"
    source = "".join((folder / name).read_text() for name in ("measures.py", "look.py"))
    assert set(re.findall(r'name="(\w+)"|name = "(\w+)"', source)) <= {(n, "") for n in _MEASURED} | {
        ("", n) for n in _MEASURED
    }
