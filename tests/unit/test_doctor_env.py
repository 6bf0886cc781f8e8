"""doctor env says of each variable of an older .env what has become of it, and what to write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrypoint import cli
from entrypoint.environment import read_env_file

Ask = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """What is found in a file with these lines."""

    def run(*lines: str) -> tuple[int, list[dict[str, Any]]]:
        (tmp_path / "old").write_text("\n".join(lines))
        code = cli.main(["doctor", "env", str(tmp_path / "old"), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_what_is_taken_as_it_is_is_not_spoken_of(ask: Ask) -> None:
    lines = ("# a comment", "DOMAIN=example.org", "export LDAP_BASE=dc=a,dc=b", "REDIS_PASSWORD='x$y'", "SA_TAG=")
    assert ask(*lines, "COMPOSE_PROFILES=local", "RELAY_LOGINS_FILE=/srv/logins") == (0, [])


@pytest.mark.parametrize(
    ("line", "what", "told", "write"),
    [
        ("TIMEZONE=Europe/Rome", "renamed", "now TZ", "TZ=Europe/Rome"),
        ("REDIS_PRODECTED_MODE=no", "renamed", "now REDIS_PROTECTED_MODE", "REDIS_PROTECTED_MODE=no"),
        ("SASL_PASSWD_FILE=/srv/sasl", "renamed", "now RELAY_LOGINS_FILE", "RELAY_LOGINS_FILE=/srv/sasl"),
        ("HAVE_MM3=yes", "no effect", "remove it", ""),
        ("IMAP_REPLICA_SERVER=b.example.org", "no effect", "remove it", ""),
        ("ENABLE_SPAMASSASSIN=1", "gone", "rspamd does it", ""),
        ("LDAP_HOST=ldap1", "unknown", "LDAP_HOSTS?", "LDAP_HOSTS=ldap1"),
        ("FOO=bar", "unknown", "no setting of any service: remove it", ""),
        ("DOMAIN=faudin", "changed", "faudin has no dot and means faudin.de", "DOMAIN=faudin.de"),
        (r"LDAP_PASS_FILTER=(\&(mail=%u)(a=b))", "changed", r"\& means &", "LDAP_PASS_FILTER=(&(mail=%u)(a=b))"),
        (r"LDAP_PASS_FILTER=(\\&(mail=%u)(a=b))", "changed", r"\& means &", "LDAP_PASS_FILTER=(&(mail=%u)(a=b))"),
        (
            "EXIM_LDAP_USER_FILTER=(mail=$local_part@$domain)",
            "changed",
            "single quotes",
            "EXIM_LDAP_USER_FILTER='(mail=$local_part@$domain)'",
        ),
        ("LDAP_USER_FILTER='(mail=%u)'", "changed", "says who has a mailbox; who may", "LDAP_USER_FILTER=(mail=%u)"),
        ("SA_KILL=6.31", "changed", "refuses mail from this score on", "SA_KILL=6.31"),
        ("LDAP_HOSTS=ldap1", "changed", "certificates are verified", "LDAP_HOSTS=ldap1"),
        ("REDIS_PORT=0", "refused", "'0' is out of range: it accepts a port from 1 to 65535", "REDIS_PORT=…"),
        ("LDAP_PASS_FILTER=(mail=x)", "refused", "", "LDAP_PASS_FILTER=…"),
    ],
)  # fmt: skip
def test_what_has_changed_is_told_with_the_new_line(ask: Ask, line: str, what: str, told: str, write: str) -> None:
    code, (finding,) = ask("DOMAIN=example.org" if "DOMAIN" not in line else "", line)
    assert code == 1
    assert (finding["what"], finding["line"], finding["name"]) == (what, 2, line.partition("=")[0])
    assert told in finding["told"]
    assert finding["write"] == write


def test_what_is_only_wrong_together_is_told_too(ask: Ask) -> None:
    lines = ("DOMAIN=example.org", "EXIM_WHITELIST_NET=172.16.0.0/12")
    code, (finding,) = ask(*lines)
    assert (code, finding["what"], finding["line"]) == (1, "refused", 2)
    assert "the container network's gateway" in finding["told"]
    assert ask(*lines, "MAIL_NETWORK=10.1.0.0/24") == (0, [])


def test_secrets_are_not_shown(ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ("RSPAMD_password=s3cr3t-1", "REDIS_PASS=s3cr3t-2", "RELAY_LOGINS=s3cr3t-3", "SASL_PASSWD=s3cr3t-4")
    _, found = ask(*lines)
    assert len(found) == 4
    assert "s3cr3t" not in json.dumps(found)
    cli.main(["doctor", "env", str(tmp_path / "old")])
    assert "s3cr3t" not in capsys.readouterr().out


def test_the_new_lines_are_good_for_a_new_file(ask: Ask, tmp_path: Path) -> None:
    _, found = ask(
        "DOMAIN=faudin",
        "TIMEZONE=UTC",
        r"LDAP_USER_FILTER=(\&(a=b)(mail=%u))",
        "EXIM_LDAP_USER_FILTER=(mail=$local_part)",
    )
    (tmp_path / "new").write_text("\n".join(each["write"] for each in found))
    assert read_env_file(tmp_path / "new") == {
        "DOMAIN": "faudin.de",
        "TZ": "UTC",
        "LDAP_USER_FILTER": "(&(a=b)(mail=%u))",
        "EXIM_LDAP_USER_FILTER": "(mail=$local_part)",
    }


def test_shows_a_table_and_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old").write_text("DOMAIN=example.org\nTIMEZONE=UTC\nHAVE_MM3=yes\n")
    assert cli.main(["doctor", "env", str(tmp_path / "old")]) == 1
    assert capsys.readouterr().out == (
        "WHAT       LINE  VARIABLE  TOLD\n"
        "renamed       2  TIMEZONE  now TZ\n"
        "no effect     3  HAVE_MM3  read, and nothing is done with it yet: remove it\n"
        "\n"
        "1 of 3 variables are taken as they are.\n"
        "\n"
        "These lines belong into the new .env instead:\n"
        "\n"
        "TZ=UTC\n"
    )


def test_a_file_that_cannot_be_read_ends_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bytes").write_bytes(b"DOMAIN=\xff\n")
    for name, told in (("gone", "No such file or directory"), ("bytes", "not UTF-8 text at byte 7")):
        assert cli.main(["doctor", "env", str(tmp_path / name)]) == 78
        assert capsys.readouterr().err == f"entrypoint: cannot read {tmp_path / name}: {told}\n"
