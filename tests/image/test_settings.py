"""What a container tells about the settings of its version; and what wrong ones do to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.containers import IMAGES, container, docker

pytestmark = pytest.mark.image

FULL_ENV = Path(__file__).parents[2] / "examples" / "full.env"

WRONG = [
    ("exim", ("run", "exim-ext-mailout"), {"EXIM_RELAY_HOSTS": "172.20.0.1"}, "EXIM_RELAY_HOSTS has 172.20.0.1/32"),
    ("imap", (), {"TLS_LEVEL": "ancient"}, "TLS_LEVEL got 'ancient'"),
    ("rspamd", (), {"SA_KILL": "nan"}, "SA_KILL got 'nan'"),
    ("redis", (), {"REDIS_PASSWORD_FILE": "/run/secrets/none"}, "REDIS_PASSWORD_FILE names '/run/secrets/none'"),
    ("dnsmasq", (), {"DNS_HOSTS": "here"}, "DNS_HOSTS got 'here'"),
    ("ldap", (), {"DIRECTORY_HOST": "192.0.2.1"}, "DIRECTORY_HOST got '192.0.2.1'"),
]


def test_a_container_prints_the_same_as_a_checkout() -> None:
    assert settings_of("redis", "--format", "env") == FULL_ENV.read_text(encoding="utf-8")


def test_a_container_prints_a_schema_of_its_own_service() -> None:
    found = json.loads(settings_of("imap", "--service", "imap", "--format", "json-schema"))
    Draft202012Validator.check_schema(found)
    assert "IMAP_HOST" in found["properties"]
    assert "RSPAM_REDIS_DB" not in found["properties"]


@pytest.mark.parametrize(("image", "command", "env", "words"), WRONG, ids=lambda value: str(value)[:30])
def test_no_daemon_is_started_with_wrong_settings(
    image: str, command: tuple[str, ...], env: dict[str, str], words: str
) -> None:
    with container(image, *command, env={"DOMAIN": "example.org", **env}) as refused:
        assert refused.wait_end() == 78
        log = refused.logs()
    assert words in log
    assert "it accepts " in log
    assert not any(word in log for word in ("Traceback", "files are rendered", "starting"))


def settings_of(image: str, *arguments: str) -> str:
    """What `entrypoint settings` prints in a container that has nothing else to do."""
    command = ["run", "--rm", "--read-only", "--cap-drop=ALL", f"postern-{image}:{IMAGES}"]
    return docker(*command, "settings", *arguments)
