"""Compose reads what init writes as the very values that were given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.image


def written(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "entrypoint", "init", "--yes", "--domain", "example.org", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)


def composed(folder: Path) -> Any:
    """The project as Compose understands it."""
    command = ["docker", "compose", "--file", str(ROOT / "docker-compose.yaml"), "--project-directory", str(folder)]
    done = subprocess.run(
        [*command, "--env-file", str(folder / ".env"), "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)} | {k: v for k, v in os.environ.items() if "DOCKER" in k},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "variable is not set" not in done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "user", ["cn=mail,dc=example,dc=org", r"cn=mail\, system,dc=example,dc=org", "cn=it's $HOME #1,dc=example,dc=org"]
)
def test_every_value_arrives(tmp_path: Path, user: str) -> None:
    (tmp_path / "pw").write_text("secret")
    own = ("--ldap-hosts", "ldap.example.org", "--ldap-user", user, "--ldap-password-file", "pw")
    written(tmp_path, *own, "--certificate", "self-made", "--relay", "smtp.example.net:465", "--dkim-selector", "s1")
    project = composed(tmp_path)
    # Compose shows a dollar sign as two, so that what it shows can be read again.
    assert project["services"]["imap"]["environment"]["LDAP_USER"] == user.replace("$", "$$")
    assert project["services"]["exim-ext-mailout"]["environment"]["EXIM_DKIM_SELECTOR"] == "s1"
    secrets = {name: Path(secret["file"]) for name, secret in project["secrets"].items()}
    for name in ("letsencrypt-fullchain", "letsencrypt-privkey", "ca", "dkim-privkey", "LDAP_PASSWORD"):
        assert secrets[name].is_relative_to(tmp_path), name
        assert secrets[name].is_file(), name
    assert secrets["RELAY_LOGINS"] == Path("/dev/null")


def test_the_embedded_directory_is_started_with_the_rest(tmp_path: Path) -> None:
    written(tmp_path, "--directory", "embedded", "--certificate", "self-made")
    assert {"imap", "exim-external", "exim-ext-mailout", "rspam"} <= composed(tmp_path)["services"].keys()
