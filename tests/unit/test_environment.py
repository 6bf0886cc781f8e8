"""`.env` files as Compose reads them, and what is said about them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.environment import Case, examine, in_use, parse, read_env_file
from entrypoint.environment.findings import ERROR
from entrypoint.errors import Refused, SettingsError
from entrypoint.service import find, names
from entrypoint.settings.reading import read

COMPOSE = shutil.which("docker") is not None

# What Compose 2.26 makes of each line (asked with `docker compose config`).
LINES = [
    ("A=plain", "plain"),
    ("A=", ""),
    ("  A = spaced  ", "spaced"),
    ("export A=x", "x"),
    ("A: yaml", "yaml"),
    ("A=x # comment", "x"),
    ("A=x#y", "x#y"),
    ("A=\\&(a)\\\\&(b)", "\\&(a)\\\\&(b)"),
    ("A=a'b\"c", "a'b\"c"),
    ("A=100%$", "100%$"),
    ("A=pa$1word", "pa$1word"),
    ("A=a$$b", "a$b"),
    ("A='single $x # no'", "single $x # no"),
    ("A='a\\'b'", "a'b"),
    ("A='a\\nb'", "a\\nb"),
    ("A='two\nlines'", "two\nlines"),
    ("A='' # comment", ""),
    ('A="a" # comment', "a"),
    ('A="a\\tb \\$x \\"q\\" \\\\& \\&"', 'a\tb $x "q" \\& \\&'),
    ('A="two\nlines"', "two\nlines"),
    ("B=b\nA=${B}$B", "bb"),
    ('B=b\nA="${B}-$B"', "b-b"),
    ("A=${B:-dflt}x", "dfltx"),
    ("A=${B-dflt}x", "dfltx"),
    ("A=1\nA=2", "2"),
    ("A=x\r", "x"),
    ("\ufeffA=x", "x"),
    ("# A=1\n\nA=x", "x"),
    ("A=ä€📧", "ä€📧"),
]

BAD = [
    ("half-written", 1, "is not NAME=value"),
    ("A=1\nB", 2, "is not NAME=value"),
    ("A=1\nB C=1", 2, "is not NAME=value"),
    ("1A=2", 1, "is not NAME=value"),
    ("=x", 1, "is not NAME=value"),
    ("<<<<<<< HEAD", 1, "is not NAME=value"),
    ('A=1\n\nB="never', 3, 'B begins with ", which is never closed'),
    ("A='x' y", 1, "A goes on after its closing '"),
    ("A='it'\\''s'", 1, "A goes on after its closing '"),
    ("A=\0\0\0", 1, "A has control characters; was the file written to its end?"),
    ("A=(mail=$local_part)", 1, "A has $local_part…, in which Compose sees a variable"),
    ('A="pa$word"', 1, "A has $word…, in which Compose sees a variable"),
    ("A=(mail=${quote_ldap:$auth1})", 1, "A has ${…, in which Compose sees a variable"),
    ("A=${B", 1, "A has ${…, in which Compose sees a variable"),
    ("LDAP_PASSWORD=pa$word", 1, "LDAP_PASSWORD has a $, in which Compose sees a variable"),
    ("- A=x", 1, "is an item of a list, as in a compose file: write A=… without the dash"),
    ("- \"A=''\"", 1, "is an item of a list, as in a compose file: write A=… without the dash"),
]


def env_file(folder: Path, text: str) -> Path:
    file = folder / ".env"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(("text", "value"), LINES)
def test_a_good_line(text: str, value: str, tmp_path: Path) -> None:
    assert read_env_file(env_file(tmp_path, text))["A"] == value


@pytest.mark.skipif(not COMPOSE, reason="needs docker compose")
@pytest.mark.parametrize(("text", "value"), LINES)
def test_compose_reads_it_as_we_do(text: str, value: str, tmp_path: Path) -> None:
    compose = tmp_path / "compose.yaml"
    compose.write_text("services: {x: {image: x, environment: [A]}}")
    files = (f"--env-file={env_file(tmp_path, text)}", f"--file={compose}")
    command = ["docker", "compose", *files, "config", "--format=json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["services"]["x"]["environment"]["A"].replace("$$", "$") == value


@pytest.mark.parametrize(("text", "line", "reason"), BAD)
def test_a_bad_line_is_told_with_its_number(text: str, line: int, reason: str, tmp_path: Path) -> None:
    file = env_file(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        read_env_file(file)
    (mistake,) = refused.value.mistakes
    assert mistake.startswith(f"{file}, line {line}: {reason}")


def test_all_bad_lines_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read_env_file(env_file(tmp_path, "A=1\nwhat\nB='never\nC=1\nwhat?\n"))
    assert [mistake.partition("line ")[2][:1] for mistake in refused.value.mistakes] == ["2", "3", "5"]


def test_a_file_knows_its_lines_and_what_bad_ones_seem_to_mean(tmp_path: Path) -> None:
    text = "A=1\nB='two\nlines'\n\nexport A=2\nC=(x=$y)\n- D=4\nE='never\n${A}\nF=$A"
    file = parse(env_file(tmp_path, text))
    assert file.values == {"A": "2", "B": "two\nlines", "C": "(x=$y)", "D": "4", "F": "2"}
    assert {name: file.lines_of(name) for name in "ABCDEFG"} == {
        "A": (1, 5), "B": (2,), "C": (6,), "D": (7,), "E": (8,), "F": (10,), "G": (),
    }  # fmt: skip
    assert [(mistake.line, mistake.name) for mistake in file.mistakes] == [(6, "C"), (7, "D"), (8, "E"), (9, "")]
    assert file.used == {"A"}


def test_no_value_of_a_bad_line_is_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read_env_file(env_file(tmp_path, "LDAP_PASSWORD='s3cr3t\nX='s3cr3t' s3cr3t\ns3cr3t"))
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"A=\xff", "not UTF-8 text at byte 2")]
)
def test_an_unreadable_file_is_named(content: bytes | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refused) as refused:
        read_env_file(file)
    assert str(refused.value) == f"cannot read {file}: {reason}"


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0\r")))
def test_single_quotes_keep_every_value(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if value.endswith("\\") or "\\'" in value:
        return  # the one thing that single quotes cannot hold
    quoted = value.replace("'", "\\'")
    assert read_env_file(env_file(tmp_path_factory.getbasetemp(), f"A='{quoted}'\nB=1")) == {"A": value, "B": "1"}


@given(text=st.text("AB=:'\"\\$#{}- \n\ta1\r", max_size=40))
def test_any_text_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        found = read_env_file(env_file(tmp_path_factory.getbasetemp(), text))
    except SettingsError as refused:
        found = dict.fromkeys(refused.mistakes, "")
    assert all(found) or not found


def test_an_old_installations_file_works(tmp_path: Path) -> None:
    """As the older installation's documentation has it, in the quotes that Compose 2 wants."""
    old = """
DOMAIN=faudin
LDAP_HOSTS=ldap1 ldap2 ldap3
LDAP_IP=10.100.1.23
LDAP_USER=cn=somebody,dc=yourDomain,dc=de
LDAP_PASSWORD=topsecret
LDAP_BASE=ou=People,dc=yourDomain,dc=de
LDAP_USER_FILTER=(\\&(objectClass=gosaMailAccount)(|(mail=%u)(gosaMailAlternateAddress=%u)))
LDAP_PASS_FILTER=(\\\\&(objectClass=gosaMailAccount)(mail=%u))
LDAP_ITERATE_FILTER=(objectClass=gosaMailAccount)
EXIM_LDAP_USER_FILTER='(\\&(memberOf=cn=localMail,dc=x)(mail=${quote_ldap:$local_part}@${quote_ldap:$domain}))'
EXIM_INT_MAILOUT_LDAP_AUTH='ldap:///ou=People,dc=elternserver,dc=de??sub?(mail=${quote_ldap:$auth1})'
EXIM_INT_MAILOUT_LDAP_PLAIN='ldap:///ou=People,dc=elternserver,dc=de??sub?(mail=${quote_ldap:$auth2})'
EXIM_PUBLIC_LDAP_USER_FILTER='(\\&(memberOf=cn=public,dc=x)(mail=$authenticated_id))'
EXIM_LOCAL_DOMAINS=faudin.de:example.org
EXIM_RELAY_HOSTS=172.20.0.9:172.20.0.27
EXIM_WHITELIST_NET=192.0.2.0/28
EXIM_SMARTHOST_MAILOUT_IP=172.20.0.8
EXIM_EXTERNAL_SPOOL=/data/spool/external
REDIS_PASSWORD=topsecret
REDIS_PORT=6379
REDIS_PRODECTED_MODE=yes
RSPAMD_password=topsecret
RSPAMD_enable_password=topsecret
CLAMAVLIB=/data/clamav
HAVE_MM3=no
MM3_DATA_DIR=/data/mm3
EXIM_INT_MM3_DOMAINS=lists.example.org
vmail_uid=5000
TIMEZONE=Europe/Berlin
"""
    env = read_env_file(env_file(tmp_path, old))
    findings = examine(Case(env, tuple(in_use(map(find, names()), env))))
    assert [found.text for found in findings if found.severity == ERROR] == []
    unused = ("MM3_DATA_DIR", "EXIM_INT_MM3_DOMAINS")  # and HAVE_MM3=no says what is so anyway
    assert {found.text for found in findings} == {
        "DOMAIN: faudin has no dot and means faudin.de; write the full name",
        "REDIS_PRODECTED_MODE is an old name: write REDIS_PROTECTED_MODE",
        "RSPAMD_password is an old name: write RSPAM_password",
        "RSPAMD_enable_password is an old name: write RSPAM_enable_password",
        "TIMEZONE is an old name: write TZ",
        *(f"{name}: does nothing yet, as no service of this version uses it" for name in unused),
    }
    assert read({"DOMAIN": "faudin"}, find("mail-dnsmasq").settings).settings.imap_host == "imap.faudin.de"
