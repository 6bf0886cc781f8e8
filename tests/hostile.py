"""Values that would be something else than themselves, if a template, a quoting or a daemon took them at their word.

What is free text in a service's settings, and the environment around it: for tests of rendering without a daemon
(tests/unit) and with its own parser (tests/image).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from hypothesis import strategies as st

# What ends, begins, escapes, expands or comments in one of the syntaxes, and what is not ASCII.
TOKENS = (
    *"\"'\\$%#;:,<>=*()[]{}|&^~`@!/_ \t",
    *("${run{/bin/id}}", "${env{HOME}}", "${DBDIR}", "$primary_hostname", "%{env:HOME}", "%%{user}", "%s", "%%"),
    *("{{ 7 * 7 }}", "{% raw %}", "{# x #}", "{= x =}", "\\x41", "\\n", "\\N", "\\u0041", "_HAVE_TLS", "/*", "*/"),
    *(".include /etc/passwd", "<;", "::", "..", "  ", "&amp;", "\u00a0", "\u00e4\u00df\u20ac", "\U0001f4e7", "e\u0301"),
)
EXAMPLES = (
    *(f"a{token}b" for token in TOKENS),
    *TOKENS,
    "".join(TOKENS),
    *("a\nb", "a\rb", "a\u2028b", "a\x00b", "a\x1bb", "x" * 65536),
)

pieces = st.sampled_from(TOKENS) | st.characters(exclude_categories=["Cs"])
texts = st.lists(pieces, min_size=1, max_size=9).map("".join)
printable = texts.map(lambda text: re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "", text)).filter(str.strip)


def in_dn(text: str) -> str:
    """A text as an attribute's value in a distinguished name (RFC 4514)."""
    return re.sub(r'[\\"+,;<>=#]|^ | $', lambda m: f"\\{m[0]}", text)


def _base(text: str) -> str:
    return f"ou={in_dn(text)},dc=example,dc=org"


def _reader(text: str) -> str:
    return f"cn={in_dn(text)},dc=example,dc=org"


def _plain_reader(text: str) -> str:
    return f"cn={text},dc=example,dc=org"


def _in_address(text: str) -> str:
    return re.sub(r"[^a-z0-9.!#$%&'*+/=?^_`{|}~-]", "", text)[:60] + "x@example.org"


def _ascii(text: str) -> str:
    return "u" + re.sub(r"[^\x21-\x7e]", "", text)[:200]


def _inside(text: str) -> str:
    return f"p{text}x"


def _login(text: str) -> str:
    """What both halves of a login at a relay are made of: no space and colon in the user, none around the password."""
    return f"relay.example.net {_user(text)}:{_inside(text)}"


def _mailbox(text: str) -> str:
    """The same at a mailbox elsewhere, where fetchmail has limits of its own."""
    return f"alice@example.org delete pop3s://pop.example.net {_short_user(text)}:{_short_password(text)}"


def _short_user(text: str) -> str:
    return _user(text)[:20]


def _short_password(text: str) -> str:
    return f"p{text[:60]}x"


def _user(text: str) -> str:
    return "u" + re.sub(r"[\s:]", "", text)


@dataclass(frozen=True)
class Free:
    """A variable with free text: what is written into it for a text, and what the daemon then has to say it has."""

    given: Callable[[str], str] = lambda text: text
    # What the reader of tests/image/reader.py found, as what it has to be.
    read: Mapping[str, Callable[[str], str]] = field(default_factory=dict)


def _in_filter(text: str) -> str:
    """A text as an assertion value (RFC 4515); no placeholder begins in it."""
    return re.sub(r"[\\*()$%&]", lambda m: f"\\{ord(m[0]):02x}", text)


def _filter(who: str, mark: str) -> Callable[[str], str]:
    """An LDAP filter for the login, and for a text in the attribute `mark`, by which it is found again."""
    return lambda text: f"(&(mail={who})({mark}={_in_filter(text)}))"


def _url(who: str, mark: str) -> Callable[[str], str]:
    """The same in an LDAP URL (RFC 4516)."""
    return lambda text: f"ldap:///?dn?sub?(&(mail={who})({mark}={quote(_in_filter(text), safe='')}))"


def same(text: str) -> str:
    return text


LDAP = {
    "LDAP_HOSTS": "ldaps://ldap.example.org",
    "LDAP_USER": "cn=mail,dc=example,dc=org",
    "LDAP_PASSWORD": "secret",
    "LDAP_BASE": "ou=people,dc=example,dc=org",
    "LDAP_GROUP": "cn=mail,ou=groups,dc=example,dc=org",
}
COMMON = {"DOMAIN": "example.org"}

_EXIM = {
    "POSTGREY_TEXT": Free(read={"postgrey_text": same}),
    "LDAP_USER": Free(read={"user": same}),
    "LDAP_PASSWORD": Free(read={"password": same}),
    "LDAP_BASE": Free(_base, read={"base": _base}),
    "LDAP_GROUP": Free(_base, read={"memberOf": _base}),
    "EXIM_INT_MAILOUT_LDAP_AUTH": Free(_url("$auth1", "loginMark"), read={"loginMark": same}),
    "EXIM_INT_MAILOUT_LDAP_PLAIN": Free(_url("$auth2", "plainMark"), read={"plainMark": same}),
    "EXIM_PUBLIC_LDAP_USER_FILTER": Free(_filter("$authenticated_id", "worldMark"), read={"worldMark": same}),
}


@dataclass(frozen=True)
class Place:
    """A service whose configuration holds free texts."""

    image: str
    user: int
    env: Mapping[str, str]
    free: Mapping[str, Free]


PLACES = {
    "exim-external": Place(
        "exim", 5025, COMMON | LDAP, _EXIM | {"SA_SPAM_SUBJECT": Free(read={"sa_spam_subject": same})}
    ),
    "exim-int-mailout": Place("exim", 5025, COMMON | LDAP, _EXIM),
    "exim-ext-mailout": Place(
        "exim",
        5025,
        COMMON | {"EXIM_EXT_MSACCOUNT": "somebody", "EXIM_EXT_PW": "secret"},
        {
            "RELAY_LOGINS": Free(
                _login,
                read={"relay_user": _user, "relay_password": _inside},
            ),
            "EXIM_EXT_MSACCOUNT": Free(_ascii, read={"ms_user": _ascii}),
            "EXIM_EXT_PW": Free(read={"ms_password": same}),
            "POSTGREY_TEXT": Free(read={"postgrey_text": same}),
        },
    ),
    "imap": Place(
        "imap",
        5000,
        COMMON | LDAP,
        {
            "POSTMASTER_ADDRESS": Free(_in_address, read={"postmaster_address": _in_address}),
            "LDAP_USER": Free(read={"ldap_auth_dn": same}),
            # doveconf shows "a" and one with blanks inside of its quotes alike: so not at the beginning.
            "LDAP_PASSWORD": Free(_inside, read={"ldap_auth_dn_password": _inside}),
            "LDAP_BASE": Free(_base, read={"ldap_base": _base}),
            "LDAP_GROUP": Free(_base, read={"memberOf": _base}),
            "LDAP_PASS_FILTER": Free(_filter("%u", "passMark"), read={"passMark": same}),
            "LDAP_ITERATE_FILTER": Free(_filter("*", "listMark"), read={"listMark": same}),
        },
    ),
    "ldap": Place(
        "ldap",
        5389,
        COMMON | {name: text for name, text in LDAP.items() if name != "LDAP_HOSTS"},
        {
            "LDAP_USER": Free(_reader, read={"Suffix": _plain_reader, "RootDN": _plain_reader}),
            "LDAP_PASSWORD": Free(),  # as a hash in base64, and in the health check's file as it is
        },
    ),
    "rspam": Place(
        "rspamd",
        5011,
        COMMON | {"REDIS_PASSWORD": "secret", "RSPAM_password": "look", "RSPAM_enable_password": "change"},
        {
            "REDIS_PASSWORD": Free(read={"redis_password": same}),
            "RSPAM_password": Free(read={"password": same}),
            "RSPAM_enable_password": Free(read={"enable_password": same}),
            "POSTGREY_TEXT": Free(read={"message": same}),
            # rspamd puts the old subject in the place of %s, and a per cent sign in that of two.
            "SA_SPAM_SUBJECT": Free(read={"subject": lambda text: f"{text.replace('%', '%%')} %s"}),
        },
    ),
    "mail-redis": Place(
        "redis", 5063, COMMON | {"REDIS_PASSWORD": "secret"}, {"REDIS_PASSWORD": Free(read={"requirepass": same})}
    ),
    "fetchmail": Place(
        "fetchmail",
        5110,
        COMMON | {"FETCHMAIL_ACCOUNTS": "alice@example.org delete pop3s://pop.example.net alice:secret"},
        {"FETCHMAIL_ACCOUNTS": Free(_mailbox, read={"login": _short_user, "password": _short_password})},
    ),
    "mail-dnsmasq": Place("dnsmasq", 5053, COMMON, {}),
}
