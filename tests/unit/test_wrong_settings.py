"""Errors teach: whatever is wrong, the variable is named, and what it accepts, with an example; and nothing starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.errors import SettingsError
from entrypoint.service import find, known_variables, names
from entrypoint.settings import concerns, read
from entrypoint.settings.schema import REQUIRED, Var, variables

BASE = {
    "DOMAIN": "example.org",
    "LDAP_HOSTS": "ldap.example.org",
    "LDAP_USER": "cn=mail,dc=example,dc=org",
    "LDAP_PASSWORD": "x",
    "LDAP_BASE": "ou=people,dc=example,dc=org",
    "LDAP_GROUP": "cn=mail,ou=groups,dc=example,dc=org",
    "REDIS_PASSWORD": "x",
    "RSPAM_password": "x",
    "RSPAM_enable_password": "x",
}
SECRET = "s3cr3t-"
LONG = "x" * 16385
# How a mistake teaches: what is accepted, and an example, or all that there is.
TAUGHT = re.compile(
    r"(accepts?|missing:) .*(for example |best in a file: |one of \w+, |yes or no \()"
    r"|both, for example "
)


@dataclass(frozen=True)
class File:
    """A file with this content, in the place of a value; None: it is not there."""

    content: bytes | None

    def made(self, folder: Path) -> str:
        path = folder / "secret"
        if self.content is not None:
            path.write_bytes(self.content)
        return str(path)


Text = str | File
CONTROL = "control characters or a line break"
NO_HOST, NO_IP, NO_NET = "is no host name", "is no IP address", "is no network"
RANGE, NO_INT, NO_BOOL = "is out of range", "is no whole number", "is neither yes nor no"

# Variable, value, and words of its error; a value of "" takes the variable away.
TABLE: list[tuple[str, Text, str]] = [
    ("DOMAIN", "", "is missing: domain of the organisation"),
    ("DOMAIN", "exa mple.org", NO_HOST),
    ("DOMAIN", "192.0.2.1", "is an address, not a name"),
    ("DOMAIN", "https://example.org", NO_HOST),
    ("DOMAIN", "münchen.example", "in ASCII (xn--…)"),
    ("DOMAIN", "example..org", NO_HOST),
    ("DOMAIN", "'example.org'", "with the quotes as part of its value: write it without them"),
    ("DOMAIN", "example.org\nLDAP_USER=x", NO_HOST),
    ("DOMAIN", "$DOMAIN", NO_HOST),
    ("TZ", "Europe/Berln", "is no known time zone"),
    ("TZ", "../../etc/passwd", "is no time zone"),
    ("TZ", "''", "with the quotes as part of its value"),
    ("TIMEZONE", "MEZ+", "is no known time zone"),
    ("LOG_FORMAT", "xml", "is none of them: it accepts one of console, json"),
    ("LOG_LEVEL", "verbose", "is none of them: it accepts one of debug, info, warning, error"),
    ("LOG_LEVEL", '"info"', "with the quotes as part of its value"),
    ("WAIT_S", "0", RANGE),
    ("WAIT_S", "3601", RANGE),
    ("WAIT_S", "2m", NO_INT),
    ("DEATHS_LIMIT", "none", NO_INT),
    ("DEATHS_LIMIT", "-1", RANGE),
    ("METRICS_PORT", "65536", RANGE),
    ("METRICS_PORT", "9466/tcp", NO_INT),
    ("LOOK_S", "0.5", NO_INT),
    ("LOOK_S", "9" * 400, NO_INT),
    ("REDIS_IP", "mail-redis", NO_IP),
    ("REDIS_PORT", "tcp://172.17.0.2:6379", NO_INT),
    ("REDIS_PORT", "0", RANGE),
    ("IMAP_IP", "172.20.0.256", NO_IP),
    ("IMAP_IP", "172.20.0.5/16", NO_IP),
    ("IMAP_IP", "fe80::1%eth0", "is the address of one interface (%)"),
    ("IMAP_HOST", "172.20.0.5", "is an address, not a name"),
    ("IMAP_HOST", "imap.example.org:993", NO_HOST),
    ("IMAP_HOST", "mail.example.org", "give mail.example.org two addresses, 172.20.0.5 and 172.20.0.3"),
    ("EXIM_EXTERNAL_IP", "172.20.0", NO_IP),
    ("EXIM_EXTERNAL_HOST", "-mail.example.org", NO_HOST),
    ("EXIM_INT_MAILOUT_IP", "0x7f000001", NO_IP),
    ("EXIM_INT_MAILOUT_HOST", "smtp,example.org", NO_HOST),
    ("EXIM_EXT_MAILOUT_IP", "172.20.0.08", NO_IP),
    ("EXIM_EXT_MAILOUT_HOST", ".".join(["a" * 60] * 5), NO_HOST),
    ("EXIM_SMARTHOST_MAILOUT_IP", "smarthost.example.org", NO_IP),
    ("EXIM_SMARTHOST_HOST", "smart host", NO_HOST),
    ("EXIM_SMARTHOST_PORT", "smtp", NO_INT),
    ("RSPAM_IP", "172.20.0.6:11334", NO_IP),
    ("CLAMAV_IP", "localhost", NO_IP),
    ("DNSMASQ_IP", "::g", NO_IP),
    ("TLS_CERTIFICATE", "fullchain.pem", "is no absolute path"),
    ("TLS_CERTIFICATE", "/run/secrets/\x00", CONTROL),
    ("TLS_KEY", "./privkey.pem", "is no absolute path"),
    ("TLS_LEVEL", "1.3", "is none of them: it accepts one of modern, intermediate"),
    ("TLS_CA", "ca.pem", "is no absolute path"),
    ("TLS_CA", "/ca\r", CONTROL),
    ("LDAP_HOSTS", "", "is missing: directory servers"),
    ("LDAP_HOSTS", "http://ldap1", "has 'http://ldap1', which is no directory server"),
    ("LDAP_HOSTS", "ldap1,ldap2", "has 'ldap1,ldap2', which is no host name"),
    ("LDAP_HOSTS", "ldap1:99999", "has 'ldap1:99999', which is out of range"),
    ("LDAP_HOSTS", "ldap1 ldaps://ldap2", "mixes ldaps:// (port 636) with STARTTLS"),
    ("LDAP_USER", "", "is missing: DN of the account"),
    ("LDAP_USER", "cn=mail\ndc=org", CONTROL),
    ("LDAP_USER", LONG, "is longer than 16384 characters"),
    ("LDAP_USER", "cn=mail\x00", CONTROL),
    ("LDAP_USER", '"cn=mail"', "with the quotes as part of its value"),
    ("LDAP_USER", "cn=m\udcfcller", CONTROL),
    ("LDAP_PASSWORD", "", "LDAP_PASSWORD or LDAP_PASSWORD_FILE is missing: password of LDAP_USER"),
    ("LDAP_PASSWORD", f"{SECRET}\nsecond", CONTROL),
    ("LDAP_PASSWORD", SECRET * 2500, "is longer than 16384 characters"),
    ("LDAP_PASSWORD_FILE", "/run/secrets/LDAP_PASSWORD", "LDAP_PASSWORD and LDAP_PASSWORD_FILE are both set"),
    ("LDAP_BASE", "", "is missing: where members are"),
    ("LDAP_BASE", "example.org", "is no distinguished name"),
    ("LDAP_BASE", "ou=people,", "is no distinguished name"),
    ("LDAP_BASE", 'ou="people"', "is no distinguished name"),
    ("LDAP_CA", "/run/secrets/ca\n", CONTROL),
    ("LDAP_CA", "no", "is no absolute path"),
    ("LDAP_GROUP", "mail", "is no distinguished name"),
    ("LDAP_GROUP", "cn=mail;dc=org", "is no distinguished name"),
    ("LDAP_MAIL_ATTRIBUTE", "mail)(uid=*", "is no LDAP attribute name"),
    ("LDAP_MAIL_ATTRIBUTE", "mail, mailAlias", "is no LDAP attribute name"),
    ("LDAP_ALIAS_ATTRIBUTE", "1alias", "is no LDAP attribute name"),
    ("LDAP_USER_FILTER", "(mail=%u", "its parentheses do not match"),
    ("LDAP_USER_FILTER", "(mail=alice)", "names nobody"),
    ("LDAP_USER_FILTER", "(mail=%x)", "has a % in another place than the known names"),
    ("LDAP_PASS_FILTER", "(mail=)", "compares with nothing"),
    ("LDAP_PASS_FILTER", "mail", "is no LDAP filter"),
    ("LDAP_ITERATE_FILTER", "(&)(mail=*", "is no LDAP filter"),
    ("LDAP_ITERATE_FILTER", "(mail=\x01)", CONTROL),
    ("LDAP_QUOTA_ATTRIBUTE", "gosa_mail_quota", "is no LDAP attribute name"),
    ("MESSAGE_SIZE_LIMIT", "fifty", "is no size"),
    ("MESSAGE_SIZE_LIMIT", "0", "is too small"),
    ("MESSAGE_SIZE_LIMIT", "2G", "is too large"),
    ("MESSAGE_SIZE_LIMIT", "50MiB", "is no size"),
    ("POSTFIX_MESSAGE_SIZE_LIMIT", "1.5G", "is no size"),
    ("IMAP_AUTH_VERBOSE", "maybe", NO_BOOL),
    ("IMAP_MAIL_DEBUG", "2", NO_BOOL),
    ("ENABLE_POP3", "enabled", NO_BOOL),
    ("ENABLE_POP3", "''", "with the quotes as part of its value"),
    ("ENABLE_MANAGESIEVE", "ja", NO_BOOL),
    ("HEALTH_MAILBOX", "health", "is no mail address"),
    ("HEALTH_MAILBOX", "he alth@example.org", "is no mail address"),
    ("HEALTH_MAILBOX", "health@192.0.2.1", "is an address, not a name"),
    ("MAILBOX_SIZE_LIMIT", "unlimited", "is no size"),
    ("MAILBOX_SIZE_LIMIT", "-1", "is no size"),
    ("POSTFIX_MAILBOX_SIZE_LIMIT", "9999999999G", "is too large"),
    ("DOVECOT_MAILBOX_FORMAT", "mbox", "is none of them: it accepts one of maildir, sdbox"),
    ("vmail_uid", "0", RANGE),
    ("vmail_uid", "vmail", NO_INT),
    ("vmail_gid", "65534", RANGE),
    ("IMAP_REPLICA_SERVER", "imap2:993", NO_HOST),
    ("IMAP_REPLICA_PORT", "imaps", NO_INT),
    ("IMAP_REPLICA_PASSWORD", f"{SECRET}\x00", CONTROL),
    ("EXIM_LOCAL_DOMAINS", "example.org:*", "has '*', which is no host name"),
    ("EXIM_LOCAL_DOMAINS", ":", "has nothing but separators"),
    ("EXIM_LOCAL_DOMAINS", "example.org:192.0.2.1", "has '192.0.2.1', which is an address"),
    ("POSTMASTER_ADDRESS", "postmaster", "is no mail address"),
    ("POSTMASTER_ADDRESS", "a@b@", "is no mail address"),
    ("EXIM_LDAP_USER_FILTER", "(mail=$local_part", "its parentheses do not match"),
    ("EXIM_LDAP_USER_FILTER", "(mail=${run{/bin/id}})", "has a $ in another place than the known names"),
    ("EXIM_LDAP_USER_FILTER", "(mail=@$domain)", "names nobody"),
    ("EXIM_INT_MAILOUT_LDAP_AUTH", "(mail=$auth1)", "is no LDAP URL with base, attributes, scope and filter"),
    ("EXIM_INT_MAILOUT_LDAP_AUTH", "ldap:///dc=org??all?(mail=$auth1)", "has the scope 'all' instead of base, one or"),
    ("EXIM_INT_MAILOUT_LDAP_AUTH", "ldap:///dc=org??sub?(mail=x)", "names nobody"),
    ("EXIM_INT_MAILOUT_LDAP_PLAIN", "ldap:///people??sub?(mail=$auth2)", "is no distinguished name"),
    ("EXIM_INT_MAILOUT_LDAP_PLAIN", "ldap:///dc=%ff??sub?(mail=$auth2)", "has %XX that is not UTF-8"),
    ("EXIM_PUBLIC_LDAP_USER_FILTER", "(mail=$sender)", "has a $ in another place than the known names"),
    ("EXIM_PUBLIC_LDAP_USER_FILTER", LONG, "is longer than 16384 characters"),
    ("SPOOF_PROTECTION", "strict", NO_BOOL),
    ("EXIM_RELAY_HOSTS", "172.20.0.0/8", "has '172.20.0.0/8', which has host bits set"),
    ("EXIM_RELAY_HOSTS", "mail man.example.org/24", "has 'man.example.org/24', which is no network"),
    ("EXIM_RELAY_HOSTS", "172.20.0.1", "the container network's gateway (MAIL_NETWORK)"),
    ("EXIM_WHITELIST_NET", "192.0.2.1/24", "which has host bits set"),
    ("EXIM_WHITELIST_NET", "lan", "has 'lan', which is no network"),
    ("EXIM_WHITELIST_NET", "172.20.0.0/16", "hosts outside appear under it and all of them could relay"),
    ("EXIM_WHITELIST_NET", "10.0.0.0/7", "which is wider than /8"),
    ("MAIL_NETWORK", "172.20.0.0", "is too small for the containers"),
    ("MAIL_NETWORK", "172.20.0.1/16", "has host bits set"),
    ("MAIL_NETWORK", "bridge", NO_NET),
    ("EXIM_DKIM_SELECTOR", "mail/2026", "is no DKIM selector"),
    ("EXIM_DKIM_SELECTOR", "a b", "is no DKIM selector"),
    ("DKIM_KEYS", "dkim.pem", "is no absolute path"),
    ("DKIM_KEYS", "/keys\n", CONTROL),
    ("DEFAULT_RELAY_HOST", "smtp://relay.example.net", "is no relay"),
    ("DEFAULT_RELAY_HOST", "[relay.example.net:587", "is no relay"),
    ("DEFAULT_RELAY_HOST", "relay.example.net:0", RANGE),
    ("RELAY_HOST", "a:b:c", "is no relay"),
    ("RELAY_DOMAINS", "example.com:smtp.example.com", "has 'example.com:smtp.example.com', which has no ="),
    ("RELAY_DOMAINS", "a.example=b.example a.example=c.example", "has 2 relays for a.example"),
    ("RELAY_DOMAINS", "example.com=", "has 'example.com=', which is no relay"),
    ("FETCHMAIL_ACCOUNTS", f"alice@example.org {SECRET}", "has a line 1 that is not: recipient delete|keep imaps://"),
    ("FETCHMAIL_ACCOUNTS", f"alice delete imaps://a.test u:{SECRET}", "has no mail address of a member"),
    ("FETCHMAIL_ACCOUNTS", f"a@example.org fetch imaps://a.test u:{SECRET}", "does not say delete or keep"),
    ("FETCHMAIL_ACCOUNTS", f"# x\na@example.org keep a.test u:{SECRET}", "has no server as the third word of line 2"),
    ("FETCHMAIL_ACCOUNTS", f"a@example.org keep imaps://a.test {SECRET}", "has no login:password at the end of line 1"),
    ("FETCHMAIL_ACCOUNTS", f"a@example.net keep imaps://a.test u:{SECRET}", "in no domain of EXIM_LOCAL_DOMAINS"),
    ("FETCHMAIL_POLL", "5m", NO_INT),
    ("FETCHMAIL_POLL", "10", RANGE),
    ("FETCHMAIL_CA", "ca.pem", "is no absolute path"),
    ("RSPAM_CONSOLE_PORT", "localhost:11334", NO_IP),
    ("RSPAM_CONSOLE_HOST", "https://spam.example.org", NO_HOST),
    ("RSPAM_CONSOLE_TRAEFIK", "yes", "is none of them: it accepts one of true, false"),
    ("RSPAM_CONSOLE_ENTRYPOINT", "web secure", "is no such word"),
    ("FETCHMAIL_DATA", "data:rw", "is neither a path that begins with"),
    ("FETCHMAIL_IP", "fetchmail", NO_IP),
    ("RELAY_LOGINS", f"relay.example.net {SECRET}", "has a line 1 that is not: host user:password"),
    ("RELAY_LOGINS", f"re=lay user:{SECRET}", "has no relay at the beginning of line 1"),
    ("RELAY_LOGINS", f"a.example u:{SECRET}\na.example v:{SECRET}", "has 2 logins for a.example"),
    ("SASL_PASSWD", f"\na.example u:{SECRET}\x07", "has a line 2 that has control characters"),
    ("EXIM_EXT_MSACCOUNT", "two words", "is no login name"),
    ("EXIM_EXT_MSACCOUNT", "us@example.org", "EXIM_EXT_PW nothing: they need each other"),
    ("EXIM_EXT_PW", f"{SECRET}\n", CONTROL),
    ("EXIM_EXT_PW", SECRET, "EXIM_EXT_MSACCOUNT got nothing, and EXIM_EXT_PW a value"),
    ("EXIM_EXT_MSRELAY", "smtp.office365.com:smtp", "is no relay"),
    ("EXIM_EXT_MSDOMAINS", "hotmail.*", "has 'hotmail.*', which is no host name"),
    ("REDIS_PASSWORD", f"{SECRET}\nx", CONTROL),
    ("REDIS_PASSWORD", f"{SECRET}\u2028", CONTROL),
    ("REDIS_PROTECTED_MODE", "protected", NO_BOOL),
    ("REDIS_PRODECTED_MODE", "y", NO_BOOL),
    ("REDIS_MAXMEMORY", "1M", "is too small"),
    ("REDIS_MAXMEMORY", "50%", "is no size"),
    ("SA_TAG", "high", "is no number"),
    ("SA_TAG", "1e1", "is no number"),
    ("SA_TAG", "-101", RANGE),
    ("SA_TAG2", "16", "do not rise"),
    ("SA_TAG2", "6,31", "is no number"),
    ("SA_KILL", "nan", "is no number"),
    ("SA_KILL", "1", "do not rise"),
    ("SA_SPAM_SUBJECT", "***SPAM***\nBcc: x@example.org", CONTROL),
    ("SA_SPAM_SUBJECT", "'***SPAM***'", "with the quotes as part of its value"),
    ("POSTGREY_TEXT", "later\r\n250 OK", CONTROL),
    ("POSTGREY_TEXT", LONG, "is longer than 16384 characters"),
    ("RSPAM_password", f"{SECRET}\t", CONTROL),
    ("RSPAMD_password", f"{SECRET}\n", "are both set"),
    ("RSPAM_enable_password", f"{SECRET}\x7f", CONTROL),
    ("RSPAMD_enable_password_FILE", "/run/secrets/x", "are both set"),
    ("RSPAM_NEIGHBOURS", "b=javascript:alert(1)", "which is not name=http://host:port"),
    ("RSPAM_REDIS_DB", "16", RANGE),
    ("ENABLE_CLAMAV", "1.0", NO_BOOL),
    ("FRESHCLAM_MIRROR", "ftp://mirror.example.org", NO_HOST),
    ("FRESHCLAM_MIRROR", "https://mirror.example.org/a b", NO_HOST),
    ("FRESHCLAM_CHECKS", "51", RANGE),
    ("FRESHCLAM_URLS", "https://signatures.example.org/own.ndb own.ndb", "has 'own.ndb', which is no such URL"),
    ("CLAMAV_CONCURRENT_RELOAD", "2", NO_BOOL),
    ("ENABLE_POSTGREY", "of", NO_BOOL),
    ("POSTGREY_DELAY", "5m", NO_INT),
    ("POSTGREY_MAX_AGE", "366", RANGE),
    ("RSPAM_MAPS_ONLINE", "-", NO_BOOL),
    ("RSPAM_DNS_LISTS", "zen.spamhaus.org", NO_BOOL),
    ("DNS_UPSTREAM", "dns.example.org", "has 'dns.example.org', which is no IP address"),
    ("DNS_UPSTREAM", "system 9.9.9.9", "has 'system', which is no IP address"),
    ("DNS_HOSTS", "172.20.0.40 cloud.example.org", "has '172.20.0.40', which has no ="),
    ("DNS_HOSTS", "cloud.example.org=here", "which is no IP address"),
    ("LDAP_IP", "ldap1.example.org", NO_IP),
    ("DIRECTORY_HOST", "ldap_.example.org_-", NO_HOST),
    ("LDAP_MEMBERS", "members.ldif", "is no absolute path"),
    ("POSTERN_VERSION", "0.1/x", "is no tag of images"),
    ("SMTP_PORT", "host:25", NO_IP),
    ("SMTP_PORT", "127.0.0.1:0", RANGE),
    ("SMTP_PORT", "25/tcp", NO_INT),
    ("SUBMISSION_PORT", "587-590", NO_INT),
    ("SUBMISSIONS_PORT", "70000", RANGE),
    ("IMAP_PORT", "127.0.0.1", NO_INT),
    ("IMAPS_PORT", ":::993:", NO_IP),
    ("MANAGESIEVE_PORT", "no", NO_INT),
    ("INT_MAILOUT_SUBMISSION_PORT", "localhost:2587", NO_IP),
    ("EXT_MAILOUT_SMTP_PORT", "2526 2527", NO_INT),
    ("EXT_MAILOUT_SUBMISSION_PORT", "-1587", RANGE),
    ("EXT_MAILOUT_SUBMISSIONS_PORT", "0x5B9", NO_INT),
    ("VMAIL_DATA", "data/vmail", "is neither a path that begins with / or ./"),
    ("PASSWORDS_DATA", "a/b", "is neither a path that begins with / or ./"),
    ("VMAIL_DATA", "/data/vmail:rw", "is neither a path that begins with / or ./"),
    ("VMAIL_DATA", "/data\n/vmail", CONTROL),
    ("REDIS_DATA", "redis data", "nor the name of a volume"),
    ("RSPAM_DATA", "-rspam", "nor the name of a volume"),
    ("EXIM_EXTERNAL_SPOOL", "spool/external", "nor the name of a volume"),
    ("EXIM_INT_MAILOUT_SPOOL", "C:\\spool", "nor the name of a volume"),
    ("EXIM_EXT_MAILOUT_SPOOL", "ä", "nor the name of a volume"),
    ("CLAMAVLIB", "clam/av", "nor the name of a volume"),
    ("CLAMAV_SIGNATURES_DIR", "./own:ro", "nor the name of a volume"),
    ("CLAMAV_MEMORY", "4 GiB", "is no such size"),
    ("DNSMASQ_HOSTS_DIR", "'./hosts.d'", "with the quotes as part of its value"),
    ("DNSMASQ_CONFIG_DIR", "./dnsmasq.d:ro", "nor the name of a volume"),
    ("LDAP_DATA", "l", "nor the name of a volume"),
    ("LDAP_MEMBERS_FILE", "./members\n.ldif", CONTROL),
    ("TLS_FULLCHAIN_FILE", '"./fullchain.pem"', "with the quotes as part of its value"),
    ("TLS_PRIVKEY_FILE", "./privkey.pem\x00", CONTROL),
    ("TLS_CA_FILE", "/" * 20000, "is longer than 16384 characters"),
    ("DKIM_PRIVKEY_FILE", "./secrets/dkim\t.pem", CONTROL),
    ("EXTRA_CA", "/ca\x85", CONTROL),
    ("HEALTH_INTERVAL", "10", "is no such time"),
    ("HEALTH_INTERVAL", "10 s", "is no such time"),
    ("SINK_IP", "sink", NO_IP),
    ("HAVE_MM3", "mailman", NO_BOOL),
    ("MM3_DATA_DIR", "data/mm3", "nor the name of a volume"),
    ("MM3_WEB_DIR", "mm3 web", "nor the name of a volume"),
    ("MM3_DATABASE_URL", f"postgresql://mm3:{SECRET}@db/mm3\n", CONTROL),
    ("MM3_WEB_DATABASE_URL", f"{SECRET}\x1b", CONTROL),
    ("MM3_HYPERKITTY_API_KEY", f"{SECRET}\x00", CONTROL),
    ("MM3_SMTP_PORT", "25,26", NO_INT),
    ("MM3_DOMAINS", "lists.example.org\n", CONTROL),
    ("MM3_CORE_IP", "mailman-core", NO_IP),
    ("MM3_WEB_IP", "172.20.0.28.1", NO_IP),
    ("EXIM_INT_MM3_DOMAINS", "lists\x0bexample.org", CONTROL),
    # Names that are none.
    ("LDAP_HOST", "ldap.example.org", "LDAP_HOST is not known: LDAP_HOSTS?"),
    ("EXIM_LOCAL_DOMAIN", "example.org", "EXIM_LOCAL_DOMAIN is not known: EXIM_LOCAL_DOMAINS?"),
    ("RSPAM_PASSWORD", SECRET, "RSPAM_PASSWORD is not known: RSPAM_password?"),
    ("IMAP_HOST_FILE", "/run/secrets/x", "IMAP_HOST_FILE is not known: IMAP_HOST?"),
    ("TLS_QQQQQQQQQQQQQQQQ", "x", "is not known: `entrypoint settings` lists all names"),
    # Files of secrets.
    ("LDAP_PASSWORD_FILE", File(None), "which cannot be read: No such file or directory"),
    ("LDAP_PASSWORD_FILE", File(b""), "which is empty"),
    ("LDAP_PASSWORD_FILE", File(b" \n\n"), "which is empty"),
    ("LDAP_PASSWORD_FILE", File(b"\x7fELF\xff\xfe"), "which is not UTF-8 text"),
    ("LDAP_PASSWORD_FILE", File(b"s3cr3t-\x00"), CONTROL),
    ("LDAP_PASSWORD_FILE", File(b"s3cr3t-\nsecond\n"), CONTROL),
    ("LDAP_PASSWORD_FILE", File(b"x" * 300_000), "which cannot be read: Larger than 256 KiB"),
    ("LDAP_PASSWORD_FILE", "/tmp", "which cannot be read: Is a directory"),
    ("LDAP_PASSWORD_FILE", "/dev/null", "which cannot be read: Not a regular file"),
    ("LDAP_PASSWORD_FILE", SECRET, "got a value that is no path"),
    ("LDAP_PASSWORD_FILE", f"abc/{SECRET}", "got a value that is no path"),
    ("LDAP_PASSWORD_FILE", "/" + "x" * 5000, "which cannot be read: File name too long"),
    ("REDIS_PASSWORD_FILE", File(b"s3cr3t-\r\nx"), CONTROL),
    ("RSPAM_password_FILE", File(b"\xff"), "which is not UTF-8 text"),
    ("RSPAM_enable_password_FILE", File(None), "which cannot be read"),
    ("EXIM_EXT_PW_FILE", File(b""), "which is empty"),
    ("RELAY_LOGINS_FILE", File(b"a.example s3cr3t-\n"), "has a line 1 that is not: host user:password"),
    ("SASL_PASSWD_FILE", File(b"\n"), "which is empty"),
    ("IMAP_REPLICA_PASSWORD_FILE", File(None), "which cannot be read"),
    ("MM3_DATABASE_URL_FILE", File(b"\xc3"), "which is not UTF-8 text"),
]  # fmt: skip

KNOWN = known_variables()
SPELT: dict[str, Var] = {name: v for v in reversed(KNOWN) for name in v.spellings()}
EVERY: dict[str, Var] = {v.name: v for v in SPELT.values()}
READERS: dict[str, type[Any]] = {name: find(name).settings for name in names()} | {"compose": concerns.Compose}


# What is wrong only beside other values, or where it is needed: not all who read the variable mind.
BETWEEN_SEVERAL = re.compile(
    "is missing|mixes|two addresses|in no domain|do not rise|nothing|a value|gateway|outside appear"
)


def changed(name: str, text: str) -> dict[str, str]:
    """All that is needed, with this; a file of a secret takes the place of its value, unless the test is about both."""
    env = {**BASE, name: text}
    if name.endswith("_FILE") and not text.startswith("/run/secrets/"):
        env.pop(name.removesuffix("_FILE"), None)
    return {name: text for name, text in env.items() if text}


def readers(name: str) -> list[str]:
    """Who reads this variable; a name that is none concerns everybody."""
    own = {who: {s for v in variables(found).values() for s in v.spellings()} for who, found in READERS.items()}
    return [who for who, spelt in own.items() if name in spelt or name not in SPELT]


def declared(who: str, name: str) -> Var:
    """The variable as this reader has it."""
    return next(v for v in variables(READERS[who]).values() if v.name == name)


def mistakes(settings: type[Any], env: Mapping[str, str]) -> list[str]:
    try:
        read(env, settings, known=KNOWN)
    except SettingsError as refused:
        return refused.mistakes
    return []


def test_what_is_changed_in_this_table_is_right_before() -> None:
    assert [who for who, found in READERS.items() if mistakes(found, BASE)] == []


def test_this_table_has_every_variable_and_150_lines() -> None:
    told = {SPELT[name].name for name, _, _ in TABLE if name in SPELT}
    assert sorted(EVERY.keys() - told) == []
    assert len(TABLE) >= 150
    assert len({(name, str(text)) for name, text, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("name", "text", "words"), TABLE, ids=lambda value: str(value)[:40])
def test_is_refused_by_name_with_what_is_accepted(name: str, text: Text, words: str, tmp_path: Path) -> None:
    env = changed(name, text.made(tmp_path) if isinstance(text, File) else text)
    refused = {who: found for who in readers(name) if (found := mistakes(READERS[who], env))}
    assert refused
    assert BETWEEN_SEVERAL.search(words) or list(refused) == readers(name)
    for found in refused.values():
        about = [mistake for mistake in found if words in mistake]
        assert len(about) == 1, found
        assert name in about[0] or SPELT[name].name in about[0]
        assert name not in SPELT or TAUGHT.search(about[0]), about[0]
        assert all(mistake.isprintable() and SECRET not in mistake for mistake in found)
        assert all(len(mistake) < 500 for mistake in found)


@pytest.mark.parametrize("v", EVERY.values(), ids=EVERY)
def test_every_error_of_a_value_shows_a_form_and_an_example_or_the_list(v: Var) -> None:
    """A line break is wrong for all but lists of logins, whose lines are."""
    for who in readers(v.name):
        found = mistakes(READERS[who], changed(v.name, "\x01\n\x01"))
        about = [mistake for mistake in found if mistake.startswith(f"{v.name} got ")]
        assert about, found
        assert v.kind.accepts in about[0]
        assert TAUGHT.search(about[0]), about[0]
        own = declared(who, v.name)  # two concerns may have different examples
        if not v.kind.is_list:
            assert own.file_sample in about[0] if v.secret else own.sample in about[0]


@pytest.mark.parametrize("v", EVERY.values(), ids=EVERY)
def test_every_example_is_good(v: Var) -> None:
    if v.sample:
        assert v.kind.parse(v.sample) is not None


@pytest.mark.parametrize("v", [v for v in EVERY.values() if v.default is REQUIRED], ids=lambda v: v.name)
def test_whatever_is_missing_is_told_with_an_example(v: Var) -> None:
    for who in readers(v.name):
        if declared(who, v.name).default is REQUIRED:
            (found,) = (m for m in mistakes(READERS[who], changed(v.name, "")) if " is missing: " in m)
            assert TAUGHT.search(found)


NASTY = st.text(st.characters(codec=None), max_size=60) | st.text("\0\n\t '\"$%{}()\\&|=/:;,.@#-_[]*01ab", max_size=40)


@hypothesis.settings(max_examples=300)
@given(name=st.sampled_from(sorted(SPELT)), text=NASTY)
def test_whatever_is_refused_is_refused_by_name_and_teaches(name: str, text: str) -> None:
    for who in readers(name):
        for mistake in mistakes(READERS[who], changed(name, text)):
            assert mistake.isprintable()
            assert TAUGHT.search(mistake), mistake


# Through the real command: of each service one line, of each sort of mistake one.
SAMPLE = [
    ("exim-external", {"LDAP_BASE": "example.org"}, "LDAP_BASE got 'example.org', which is no distinguished name"),
    ("exim-int-mailout", {"SPOOF_PROTECTION": "''"}, "SPOOF_PROTECTION got \"''\", with the quotes"),
    ("exim-ext-mailout", {"EXIM_WHITELIST_NET": "172.20.0.0/16"}, "EXIM_WHITELIST_NET has 172.20.0.0/16"),
    ("exim-ext-mailout", {"RELAY_LOGINS": f"x {SECRET}"}, "RELAY_LOGINS got a value that has a line 1"),
    ("imap", {"TZ": "UTC", "TIMEZONE": "Europe/Berlin"}, "TZ and TIMEZONE are both set"),
    ("imap", {"LDAP_USER_FILTER": "(mail=${run{id}})%u"}, "LDAP_USER_FILTER got"),
    ("rspam", {"SA_TAG": "7"}, "SA_TAG=7, SA_TAG2=6.31 and SA_KILL=15 do not rise"),
    ("mail-redis", {"REDIS_PASSWORD_FILE": SECRET, "REDIS_PASSWORD": ""}, "REDIS_PASSWORD_FILE got a value"),
    ("mail-dnsmasq", {"DNS_UPSTREAM": "x\ty"}, "DNS_UPSTREAM got 'x\\ty'"),
    ("ldap", {"LDAP_USER": os.fsdecode(b"cn=\xff")}, "LDAP_USER got 'cn=\\udcff'"),
    ("ldap", {"DOMAIN": ""}, "DOMAIN is missing"),
    ("mail-redis", {"REDIS_MAXMEMROY": "1G"}, "REDIS_MAXMEMROY is not known: REDIS_MAXMEMORY?"),
]


@pytest.mark.parametrize(("service", "env", "words"), SAMPLE, ids=lambda value: str(value)[:40])
def test_the_command_ends_with_78_and_starts_nothing(service: str, env: dict[str, str], words: str) -> None:
    """It would end with 70 at a traceback, and try to write below /run if it went on."""
    command = [sys.executable, "-m", "entrypoint", "run", service]
    given_env = {"PATH": os.environ["PATH"]} | BASE | env
    ended = subprocess.run(command, env=given_env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 78, ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr
    assert not started(ended.stderr)


def started(log: str) -> Iterable[str]:
    """What the boot says when it goes on: see entrypoint.boot."""
    return re.findall(r"files are rendered|starting", log)
