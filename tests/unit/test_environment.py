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
    ("def test_an_old_installations_file_works(tmp_path: Path) -> None:
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
    unused = ("CLAMAVLIB", "MM3_DATA_DIR", "EXIM_INT_MM3_DOMAINS")  # and HAVE_MM3=no says what is so anyway
    assert {found.text for found in findings} == {
        "DOMAIN: faudin has no dot and means faudin.de; write the full name",
        "REDIS_PRODECTED_MODE is an old name: write REDIS_PROTECTED_MODE",
        "RSPAMD_password is an old name: write RSPAM_password",
        "RSPAMD_enable_password is an old name: write RSPAM_enable_password",
        "TIMEZONE is an old name: write TZ",
        *(f"{name}: does nothing yet, as no service of this version uses it" for name in unused),
    }
    assert read({"DOMAIN": "faudin"}, find("mail-dnsmasq").settings).settings.imap_host == "imap.faudin.de"
