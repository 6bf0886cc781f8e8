"""`entrypoint render --diff container`: the files of a running container, with none of its secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import Container, container

pytestmark = pytest.mark.image

PROJECT = f"postern-test-diff-{os.getpid()}"
LABELS = [f"--label=com.docker.compose.{name}" for name in (f"project={PROJECT}", "service=mail-redis")]
PASSWORD = "Ahlei\"w'o \\8Ee"
ENV = {"DOMAIN": "example.org", "REDIS_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def server() -> Iterator[Container]:
    with container("redis", env=ENV, options=LABELS) as running:
        running.wait_healthy()
        yield running


# What the other services want, which do not run here.
OTHERS = {
    "LDAP_HOSTS": "ldap.example.org",
    "LDAP_USER": "cn=x",
    "LDAP_PASSWORD": "x",
    "LDAP_BASE": "dc=x",
    "LDAP_GROUP": "cn=x",
}


def render(
    folder: Path, project: str = PROJECT, service: tuple[str, ...] = ("mail-redis",), **changes: str
) -> subprocess.CompletedProcess[str]:
    """The difference to the container, on the host, with ENV and these changes."""
    file = folder / ".env"
    texts = {name: text.replace("'", "\\'") for name, text in (ENV | changes).items()}
    file.write_text("".join(f"{name}='{text}'\n" for name, text in texts.items()), encoding="utf-8")
    command = [sys.executable, "-m", "entrypoint", "render", *service, "--diff", "container"]
    return subprocess.run(
        [*command, "--project", project, "--env-file", file], capture_output=True, text=True, check=False
    )


def test_the_same_settings_make_no_difference(server: Container, tmp_path: Path) -> None:
    done = render(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no file differs: mail-redis\n"), server


def test_other_settings_are_shown_and_no_secret(server: Container, tmp_path: Path) -> None:
    done = render(tmp_path, REDIS_MAXMEMORY="300M", REDIS_PASSWORD="Ohxai3iequ")
    assert done.returncode == 1, server
    assert "--- mail-redis /run/config/redis.conf (the container)\n" in done.stdout
    assert "\n-maxmemory 268435456\n" in done.stdout
    assert "\n+maxmemory 314572800\n" in done.stdout
    assert "\n+++ mail-redis /run/entrypoint/secrets/redis-password (" in done.stdout
    assert "Ohxai3iequ" not in done.stdout
    assert not any(part in done.stdout for part in ("Ahlei", "8Ee"))


def test_without_a_service_those_that_run_are_compared(server: Container, tmp_path: Path) -> None:
    done = render(tmp_path, service=(), **OTHERS)
    assert (done.returncode, done.stdout) == (0, ""), server
    assert "note: cannot ask imap: it does not run in the project" in done.stderr
    assert done.stderr.endswith("no file differs: mail-redis\n")


def test_what_was_changed_by_hand_is_found_in_the_container_itself(server: Container) -> None:
    assert server.run("entrypoint", "render", "--diff", "container") == "no file differs: mail-redis\n"
    server.run("sh", "-c", f"echo 'requirepass {'Eeb0ohghui'}' >>/run/config/redis.conf")
    shown = server.run("entrypoint", "render", "--diff", "container", check=False)
    assert "--- mail-redis /run/config/redis.conf (in place)" in shown
    assert "that may hold a secret" in shown
    assert not any(part in shown for part in ("Eeb0ohghui", "Ahlei"))


def test_a_container_that_does_not_run_is_told(tmp_path: Path) -> None:
    done = render(tmp_path, f"{PROJECT}-none")
    assert done.returncode == 69
    assert "cannot ask mail-redis: it does not run in the project" in done.stderr
