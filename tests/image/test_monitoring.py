"""install/monitoring with the real Prometheus: it takes our rules, reads our metrics, and an alarm goes off."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.containers import Container, container, docker, network, prefix, wait_until

# The first test waits until Debian's package is there.
pytestmark = [pytest.mark.image, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "install" / "monitoring"
IMAGE = "postern-prometheus:test"
PORT = "9466"
RULES: dict[str, Any] = yaml.safe_load((MONITORING / "rules.yml").read_text())


@dataclass(frozen=True)
class Case:
    """Series with which an alert goes off after `minutes`, and similar ones with which it does not."""

    alert: str
    bad: dict[str, str]
    good: dict[str, str]
    minutes: int = 15


def _one(alert: str, series: str, bad: str, good: str, minutes: int = 15) -> Case:
    return Case(alert, {series: bad}, {series: good}, minutes)


CASES = (
    _one("PosternNoMetrics", 'up{job="postern",instance="imap:9466"}', "0x30", "1x30"),
    _one("PosternUnhealthy", 'postern_healthy{service="imap"}', "0x30", "1x30"),
    _one("PosternHealthUnknown", 'postern_health_age_seconds{service="imap"}', "301x30", "20x30"),
    _one("PosternCrashing", 'postern_program_restarts_total{service="imap",program="dovecot"}', "0+1x30", "0 0 1x30"),
    _one("PosternJobFails", 'postern_job_failures{service="imap",program="look"}', "3x30", "2x30"),
    _one("PosternNeedAway", 'postern_need_ok{service="imap",need="ldap"}', "0x30", "1x30"),
    _one("PosternUnavailable", 'postern_mail_rejected_total{service="mx",reason="unavailable"}', "0+1x30", "0 1x30"),
    _one("PosternQueueOld", 'postern_queue_oldest_seconds{service="mx"}', "3601+60x30", "3000x30"),
    _one("PosternQueueGrows", 'postern_queue_messages{service="mx"}', "101+10x80", "5000-10x80", 70),
    _one(
        "PosternCertificateExpiresSoon",
        'postern_certificate_expiry_timestamp_seconds{service="mx"}',
        "864000x30",
        "1300000x30",
    ),
    _one(
        "PosternCertificateExpired", 'postern_certificate_expiry_timestamp_seconds{service="mx"}', "1x30", "864000x30"
    ),
    _one("PosternReloadRefused", 'postern_reload_ok{service="mx"}', "0x30", "1x30"),
    _one("PosternRoomLow", 'postern_room_free_ratio{service="imap",folder="/var/vmail"}', "0.09x30", "0.2x30"),
    _one("PosternRoomOut", 'postern_room_free_inodes_ratio{service="imap",folder="/var/vmail"}', "0.01x30", "0.2x30"),
    Case(
        "PosternRedisFull",
        {"postern_redis_memory_bytes": "95x30", "postern_redis_memory_limit_bytes": "100x30"},
        {"postern_redis_memory_bytes": "95x30", "postern_redis_memory_limit_bytes": "0x30"},  # 0: no limit
    ),
    _one("PosternSignaturesOld", "postern_signatures_age_seconds", "180000+60x90", "80000+60x90", 80),
    _one("PosternMailboxFails", 'postern_mailbox_ok{service="fetchmail",mailbox="a at b"}', "0x90", "1x90", 80),
    _one("PosternMeasureFailed", 'postern_measure_failed{service="mx",kind="room",of="/a"}', "1x30", "0x30"),
    _one("PosternLogLinesDropped", 'postern_log_lines_dropped_total{service="mx"}', "0+5x30", "7x30"),
    _one(
        "PosternManyFailedLogins",
        'postern_logins_total{service="imap",protocol="imap",result="failed"}',
        "0+40x30",
        "0+5x30",
    ),
)


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    """Debian's Prometheus, built once and cached."""
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", IMAGE, str(Path(__file__).parent / "prometheus")], check=True
    )


def promtool(folder: Path, *arguments: str) -> str:
    """What promtool says of files in a folder; AssertionError when it refuses them."""
    return docker("run", "--rm", f"--volume={folder}:/checked:ro", "--workdir=/checked", IMAGE, "promtool", *arguments)


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    assert f"{len(CASES)} rules found" in promtool(MONITORING, "check", "config", "prometheus.yml")
    assert "SUCCESS" in promtool(MONITORING, "check", "rules", "rules.yml")


def test_each_alert_goes_off_and_is_silent_as_it_should(tmp_path: Path) -> None:
    """For each alert: series with which it goes off, and almost the same ones with which it does not."""
    assert [case.alert for case in CASES] == [rule["alert"] for rule in RULES["groups"][0]["rules"]]
    tests = [_promtool_test(case, series, fires) for case in CASES for series, fires in ((case.bad, 1), (case.good, 0))]
    (tmp_path / "rules.yml").write_text((MONITORING / "rules.yml").read_text())
    (tmp_path / "tests.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests})
    )
    tmp_path.chmod(0o755)
    promtool(tmp_path, "test", "rules", "tests.yml")


def _promtool_test(case: Case, series: dict[str, str], fires: int) -> dict[str, Any]:
    count = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}}) or vector(0)'
    return {
        "interval": "1m",
        "name": f"{case.alert} {'fires' if fires else 'is silent'}",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": count, "eval_time": f"{case.minutes}m", "exp_samples": [{"labels": "{}", "value": fires}]}
        ],
    }


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    """Each name in it, and in the rules, is one that our code gives."""
    source = "".join(path.read_text() for path in (ROOT / "entrypoint").rglob("*.py"))
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for rule in RULES["groups"][0]["rules"]]
    names = {word for text in asked for word in _names(text)}
    assert len(names) > 20
    missing = [name for name in names if f'"{name.removeprefix("postern_").removesuffix("_total")}"' not in source]
    assert missing == []


def _names(expression: str) -> list[str]:
    words = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in expression).split()
    return [word for word in words if word.startswith("postern_")]


@contextmanager
def prometheus(folder: Path, *options: str) -> Iterator[Container]:
    """A Prometheus with the configuration in a folder."""
    name = f"postern-test-{folder.parent.name}-prometheus"
    command = ("prometheus", "--config.file=/etc/checked/prometheus.yml", "--storage.tsdb.path=/tmp/data")
    docker(
        "run",
        "--detach",
        "--name",
        name,
        "--tmpfs=/tmp",
        f"--volume={folder}:/etc/checked:ro",
        *options,
        IMAGE,
        *command,
    )
    try:
        yield Container(name)
    finally:
        docker("rm", "--force", "--volumes", name)


def ask(server: Container, path: str) -> Any:
    """The data of an answer of Prometheus's API; nothing while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{server.address()}:9090/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


def test_prometheus_reads_our_metrics_and_an_alarm_goes_off(tmp_path: Path) -> None:
    """A container is scraped; when its daemon hangs, its health check says so, and so does the alert."""
    env = {"DOMAIN": "example.org", "REDIS_PASSWORD": "secret-of-the-test", "METRICS_PORT": PORT}
    _quick(tmp_path)
    with network(f"{prefix(3)}.0/24") as net:
        in_net = (f"--network={net}", "--network-alias=mail-redis")
        with (
            container("redis", env=env, options=in_net) as redis,
            prometheus(tmp_path / "config", f"--network={net}") as server,
        ):
            redis.wait_healthy()
            wait_until(lambda: _value(server, 'up{instance="mail-redis:9466"}') == 1, 60, "our metrics are read")
            wait_until(lambda: _value(server, "postern_healthy") == 1, 60, "the health is told")
            assert _value(server, 'postern_program_up{service="mail-redis",program="redis"}') == 1
            assert "PosternUnhealthy" not in _firing(server)
            redis.run("sh", "-c", f"kill -STOP {redis.pid_of('redis')}")
            wait_until(lambda: "PosternUnhealthy" in _firing(server), 90, "the alert goes off")
            redis.run("sh", "-c", f"kill -CONT {redis.pid_of('redis')}")
            wait_until(lambda: "PosternUnhealthy" not in _firing(server), 90, "the alert is over")


def _quick(folder: Path) -> None:
    """Our configuration with times that a test can wait for."""
    config = folder / "config"
    config.mkdir()
    text = (MONITORING / "prometheus.yml").read_text()
    (config / "prometheus.yml").write_text(text.replace("_interval: 30s", "_interval: 1s"))
    (config / "rules.yml").write_text((MONITORING / "rules.yml").read_text().replace("for: 2m", "for: 1s"))
    for path in (folder, config):
        path.chmod(0o755)


def _value(server: Container, query: str) -> float | None:
    found = ask(server, f"query?query={urllib.parse.quote(query)}")
    return float(found["result"][0]["value"][1]) if found and found["result"] else None


def _firing(server: Container) -> set[str]:
    found = ask(server, "alerts") or {"alerts": []}
    return {alert["labels"]["alertname"] for alert in found["alerts"] if alert["state"] == "firing"}
