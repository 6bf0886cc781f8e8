"""`entrypoint check --online` of the running stack, asked from the host as its postmaster would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from entrypoint.environment.between import PUBLISHED
from tests.stack.system import System
from tools.demo.settings import ANY_PORT

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
CONTAINER_PORTS = {
    "SMTP_PORT": 1025,
    "SUBMISSION_PORT": 1587,
    "SUBMISSIONS_PORT": 1465,
    "IMAP_PORT": 1143,
    "IMAPS_PORT": 1993,
    "MANAGESIEVE_PORT": 4190,
    "INT_MAILOUT_SUBMISSION_PORT": 1587,
    "EXT_MAILOUT_SMTP_PORT": 1025,
    "EXT_MAILOUT_SUBMISSION_PORT": 1587,
    "EXT_MAILOUT_SUBMISSIONS_PORT": 1465,
    "RSPAM_CONSOLE_PORT": 11334,
}


def ports(system: System) -> dict[str, str]:
    """Where the engine has published what the settings leave to it."""
    found = {}
    for name, inside in CONTAINER_PORTS.items():
        host, port = system.stack.port(PUBLISHED[name], inside)
        found[name] = f"{host}:{port}"
    return found


def checked(system: System, folder: Path, user: str, **changes: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and everything that is said."""
    settings = {name: value for name, value in system.stack.settings.items() if value != ANY_PORT}
    file = folder / ".env"
    file.write_text("".join(f"{name}='{value}'\n" for name, value in {**settings, **ports(system), **changes}.items()))
    command = [sys.executable, "-m", "entrypoint", "check", f"--env-file={file}", "--online", "--json"]
    done = subprocess.run(
        [*command, f"--probe-user={user}"],
        cwd=ROOT,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


def test_everything_that_runs_answers(system: System, tmp_path: Path) -> None:
    code, said = checked(system, tmp_path, system.world.address("alice"))
    results = {rung["name"]: rung["ok"] for rung in said["online"]}
    assert [rung for rung in said["online"] if rung["ok"] is False] == []
    assert all(ok for name, ok in results.items() if name.partition("=")[0] in CONTAINER_PORTS)
    assert results["user"] is results["attributes"] is True
    assert results["redis"] is None  # the services have made its password among themselves
    assert code == 0 or os.getgid() != 0, said["findings"]


def test_who_is_not_in_the_group_is_not_found(system: System, tmp_path: Path) -> None:
    code, said = checked(system, tmp_path, system.world.address("carol"))
    failed = [rung for rung in said["online"] if rung["ok"] is False]
    assert code == 78
    assert {rung["name"] for rung in failed} == {"user"}
    assert "has the address; it has no memberOf" in failed[0]["told"]


def test_a_port_of_another_service_is_noticed(system: System, tmp_path: Path) -> None:
    found = ports(system)
    code, said = checked(system, tmp_path, "", IMAP_PORT=found["SMTP_PORT"], SMTP_PORT=found["IMAP_PORT"])
    failed = {rung["name"].partition("=")[0]: rung["told"] for rung in said["online"] if rung["ok"] is False}
    assert code == 78
    assert set(failed) == {"IMAP_PORT", "SMTP_PORT"}
    assert failed["IMAP_PORT"].startswith("does not speak IMAP")
