"""The few questions that matter, in their order, and what is proposed."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

from entrypoint.certificates import check_certificate
from entrypoint.errors import CheckError, Refused
from entrypoint.init.answers import HOSTS, LDAP_PORT, Answers, Certificate, Directory, RelayLogin, suffix
from entrypoint.init.dialogue import Flags, Question
from entrypoint.settings import Secret, kinds
from entrypoint.settings.concerns import Tls
from entrypoint.settings.relays import relay
from entrypoint.settings.schema import Kind

LETSENCRYPT = Path("/etc/letsencrypt/live")
TIMEZONE = Path("/etc/timezone")


def _file(text: str) -> str:
    path = Path(text)
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise ValueError("is empty")
    except OSError as error:
        raise ValueError(f"cannot be read ({(error.strerror or '').lower()})") from None
    return text


def _full_domain(text: str) -> str:
    name = kinds.domain_part.parse(text)
    if "." not in name:
        raise ValueError("has no dot")
    return str(name)


def _relay_user(text: str) -> str:
    if ":" in kinds.login.parse(text):
        raise ValueError("has a colon")
    return text


def _maybe(kind: Kind[Any]) -> Kind[Any]:
    """A kind that also takes `none`."""
    return Kind(f"{kind.accepts}, or none", lambda text: None if text == "none" else kind.parse(text))


file = Kind("a file that can be read", _file)
DOMAIN = Question("domain", "Domain of the organisation", Kind("a full domain", _full_domain), "example.org")
TIME_ZONE = Question("time-zone", "Time zone", kinds.time_zone, "Europe/Berlin")
DIRECTORY = Question("directory", "own (a server that you have) or embedded (one that comes with it)",
                     kinds.choice("own", "embedded"))  # fmt: skip
LDAP_HOSTS = Question("ldap-hosts", "Its servers, the preferred one first", kinds.ldap_hosts,
                      "ldaps://ldap.example.org")  # fmt: skip
LDAP_USER = Question("ldap-user", "DN of an account that may read members", kinds.dn,
                     "cn=mail,ou=services,dc=example,dc=org")  # fmt: skip
LDAP_PASSWORD_FILE = Question("ldap-password-file", "File with its password (none: type it)", _maybe(file))
LDAP_PASSWORD = Question("ldap-password", "Its password", kinds.text, secret=True)
LDAP_BASE = Question("ldap-base", "Where members are", kinds.dn)
LDAP_GROUP = Question("ldap-group", "Group whose members may use mail", kinds.group_dn)
CERTIFICATE = Question("certificate", "files (that you have) or self-made (for trying out)",
                       kinds.choice("files", "self-made"))  # fmt: skip
FULLCHAIN = Question("fullchain", "File with the certificate and its chain", file,
                     "/etc/letsencrypt/live/example.org/fullchain.pem")  # fmt: skip
KEY = Question("key", "File with its key", file, "/etc/letsencrypt/live/example.org/privkey.pem")
RELAY = Question("relay", "Relay for all mail to the world, as host:port", _maybe(relay), "smtp.example.net:587")
RELAY_USER = Question("relay-user", "Login there", _maybe(Kind("a login name without a colon", _relay_user)))
RELAY_PASSWORD_FILE = Question("relay-password-file", "File with its password (none: type it)", _maybe(file))
RELAY_PASSWORD = Question("relay-password", "Its password", kinds.text, secret=True)
SELECTOR = Question("dkim-selector", "DKIM selector", _maybe(kinds.selector))
ADDRESS = Question("address", "Public address of this machine, or IPv4 and IPv6 (for the DNS records)",
                   _maybe(kinds.addresses), "192.0.2.1")  # fmt: skip


def collect(dialogue: Flags) -> Answers:
    """All answers; UsageError when the command line has mistakes, or not enough."""
    dialogue.about("The domain", "Host names are made of it: mail… (the MX), imap…, smtp…, mailout…, smarthost…")
    domain = dialogue.answer(DOMAIN).strip().rstrip(".").lower()
    directory = _directory(dialogue, domain)
    certificate = _certificate(dialogue, domain, embedded=directory.embedded)
    dialogue.about("Mail to the world", "none: straight to its receivers, as most do.")
    found = Answers(
        domain=domain,
        tz=dialogue.quiet(TIME_ZONE, _time_zone()),
        directory=directory,
        certificate=certificate,
        relay=_relay(dialogue),
        selector=_none(dialogue.quiet(SELECTOR, time.strftime("%Y%m%d"))),
        addresses=kinds.addresses.parse(_none(dialogue.answer(ADDRESS, ""))),
    )
    dialogue.finish()
    return found


def _none(text: str) -> str:
    return "" if text == "none" else text


def _time_zone() -> str:
    try:
        return str(kinds.time_zone.parse(TIMEZONE.read_text().strip()))
    except (OSError, ValueError):
        return "UTC"


def _directory(dialogue: Flags, domain: str) -> Directory:
    dialogue.about("The directory", "It says who has a mailbox, who may log in and who may send.")
    root = suffix(domain)
    if dialogue.answer(DIRECTORY, "own") == "embedded":
        return Directory(
            hosts=f"ldaps://ldap.{domain}:{LDAP_PORT}",
            user=f"cn=postern,{root}",
            base=f"ou=people,{root}",
            group=f"cn=mail,ou=groups,{root}",
            password=Secret(secrets.token_hex(24)),
            embedded=True,
        )
    hosts, user = dialogue.answer(LDAP_HOSTS), dialogue.answer(LDAP_USER)
    password_file, password = _password(dialogue, LDAP_PASSWORD_FILE, LDAP_PASSWORD)
    base = dialogue.answer(LDAP_BASE, f"ou=people,{root}")
    group = dialogue.answer(LDAP_GROUP, f"cn=mail,ou=groups,{root}")
    return Directory(hosts=hosts, user=user, base=base, group=group, password_file=password_file, password=password)


def _password(dialogue: Flags, in_file: Question, typed: Question) -> tuple[str, Secret | None]:
    """The file that holds it, or the password itself. It is never on a command line."""
    named = _none(dialogue.answer(in_file, "" if dialogue.asks else None))
    if named or not dialogue.asks:
        return named, None
    return "", Secret(dialogue.answer(typed))


def _certificate(dialogue: Flags, domain: str, *, embedded: bool) -> Certificate:
    hosts = [f"{name}.{domain}" for name in ((*HOSTS, "ldap") if embedded else HOSTS)]
    dialogue.about("The certificate", f"For {', '.join(hosts)}, or *.{domain}.")
    live = _letsencrypt(domain)
    while dialogue.answer(CERTIFICATE, "files" if live else None) == "files":
        fullchain = dialogue.answer(FULLCHAIN, str(live / "fullchain.pem") if live else None)
        key = dialogue.answer(KEY, _beside(fullchain))
        if not (fullchain and key):
            break  # what is missing is told at the end
        try:
            _insist_on_pair(fullchain, key, hosts)
        except Refused as error:
            dialogue.refuse(error, FULLCHAIN, KEY)
        else:
            return Certificate(fullchain=fullchain, key=key)
    return Certificate()


def _letsencrypt(domain: str) -> Path | None:
    """certbot's folder for the domain or one of its hosts."""
    for name in (domain, *(f"{host}.{domain}" for host in HOSTS)):
        try:
            if (LETSENCRYPT / name / "fullchain.pem").exists():
                return LETSENCRYPT / name
        except OSError:  # the folder is root's
            return None
    return None


def _beside(fullchain: str) -> str | None:
    key = Path(fullchain).with_name("privkey.pem")
    return str(key) if fullchain.endswith("/fullchain.pem") and key.exists() else None


def _insist_on_pair(fullchain: str, key: str, hosts: list[str]) -> None:
    """As each container will; the words name what .env calls these files."""
    try:
        check_certificate(
            Tls(tls_certificate=str(Path(fullchain)), tls_key=str(Path(key)), tls_level="intermediate"), tuple(hosts)
        )
    except CheckError as error:
        told = str(error).replace("TLS_CERTIFICATE=", "TLS_FULLCHAIN_FILE=").replace("TLS_KEY=", "TLS_PRIVKEY_FILE=")
        raise Refused(told) from None


def _relay(dialogue: Flags) -> RelayLogin | None:
    place = _none(dialogue.answer(RELAY, ""))
    if not place:
        return None
    user = _none(dialogue.answer(RELAY_USER, ""))
    if not user:
        return RelayLogin(place=place)
    named, password = _password(dialogue, RELAY_PASSWORD_FILE, RELAY_PASSWORD)
    if named:
        password = Secret(Path(named).read_text(encoding="utf-8").removesuffix("\n"))
    return RelayLogin(place=place, user=user, password=password)
