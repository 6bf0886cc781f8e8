"""LDAP: StartTLS if wanted, bind, and a search for the base itself, or for entries.

ldap3 only writes and reads the messages. Name, connection and TLS are climbed before, because it
reports all of them as one error, verifies names by its own rules and counts time in whole seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entrypoint.errors import ProbeError
from entrypoint.probe import Probe
from entrypoint.probes.talk import Talk, read_password

if TYPE_CHECKING:
    from ldap3 import Connection

_STARTTLS = "1.3.6.1.4.1.1466.20037"
_NO_ATTRIBUTES = "1.1"
_NO_SUCH_OBJECT = 32
_SEQUENCE = b"\x30"  # every message is one
_PASSING = {3: "the time limit is exceeded", 51: "the server is busy", 52: "the server is not available", 80: "trouble"}
_LASTING = {
    8: "a stronger login, or TLS, is required",
    13: "TLS is required",
    48: "this entry cannot log in with a password",
    49: "the bind DN or its password is wrong",
    50: "access is denied",
    53: "the server is unwilling",
}


def load() -> None:
    """Load ldap3 (90 ms, 8 MiB) before the time limit begins: on a busy machine it takes seconds,
    which are not the server's.
    """
    import ldap3  # noqa: F401


def ask_ldap(talk: Talk, probe: Probe) -> str:
    session = _opened(talk, probe)
    _find_base(talk, session, probe)
    _close(talk, session)
    return f"{f'bound as {probe.user}' if probe.user else 'no login'}, {_base(probe)} exists"


@dataclass(frozen=True)
class Entry:
    """What the directory has under a name; attributes in lower case, their values as text."""

    dn: str
    values: Mapping[str, tuple[str, ...]]

    def of(self, attribute: str) -> tuple[str, ...]:
        """The values of an attribute; nothing when it has none."""
        return self.values.get(attribute.lower(), ())


Search = Callable[..., list[Entry]]


@contextmanager
def directory(probe: Probe) -> Iterator[Search]:
    """A session at the probe's server: `search(base, filter, scope="SUBTREE", attributes=())` finds entries.

    A base that does not exist has none. ProbeError for what goes wrong, within `probe.timeout_s` for all together.
    """
    load()
    with Talk(probe) as talk:
        session = _opened(talk, probe)

        def search(base: str, pattern: str, scope: str = "SUBTREE", attributes: tuple[str, ...] = ()) -> list[Entry]:
            wanted = list(attributes) or [_NO_ATTRIBUTES]
            _call(talk, session.search, base, pattern, search_scope=scope, attributes=wanted)
            if session.result["result"] not in {0, _NO_SUCH_OBJECT}:
                raise _refusal(talk, session.result, f"{pattern} cannot be searched")
            return [_entry(found) for found in session.response or () if found["type"] == "searchResEntry"]

        talk.stage = "answer"
        yield search
        _close(talk, session)


def _entry(found: Mapping[str, Any]) -> Entry:
    values = {
        name.lower(): tuple(value.decode(errors="backslashreplace") for value in each)
        for name, each in found["raw_attributes"].items()
    }
    return Entry(found["dn"], values)


def _opened(talk: Talk, probe: Probe) -> Connection:
    session = _session(talk)
    if probe.tls == "starttls":
        _start_tls(talk, session)
    if probe.user:
        _bind(talk, session, probe)
    return session


def _close(talk: Talk, session: Connection) -> None:
    with suppress(ProbeError):  # the answer that counts has been given
        _call(talk, session.unbind)


class _Wire:
    """The conversation as ldap3 uses sockets; it must begin as LDAP, for ldap3 does not look."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._is_ldap = False
        self.sendall = talk.sendall

    def recv(self, limit: int) -> bytes:
        data = self._talk.recv(limit)
        if not self._is_ldap and not data.startswith(_SEQUENCE):
            said = self._talk.quote(data.decode(errors="backslashreplace"))
            raise self._talk.error(f"does not speak LDAP: {said!r}", curable=False)
        self._is_ldap = True
        return data


def _session(talk: Talk) -> Connection:
    """An ldap3 connection that takes our conversation for its socket."""
    import ldap3

    session = ldap3.Connection(
        ldap3.Server("unused", get_info=ldap3.NONE), auto_referrals=False, check_names=False, raise_exceptions=False
    )
    session.socket, session.closed, session.listening = _Wire(talk), False, True
    session.strategy._outstanding = {}  # noqa: SLF001 - as its open() does
    return session


def _start_tls(talk: Talk, session: Connection) -> None:
    talk.stage = "tls"
    _call(talk, session.extended, _STARTTLS)
    if session.result["result"]:
        raise _refusal(talk, session.result, "StartTLS is refused")
    talk.handshake()


def _bind(talk: Talk, session: Connection, probe: Probe) -> None:
    talk.stage = "login"
    talk.secret = _password(talk, probe)
    session.user, session.password = probe.user, talk.secret  # as bytes: ldap3 normalises text
    session.authentication = "SIMPLE"
    _call(talk, session.bind, read_server_info=False)
    if session.result["result"]:
        raise _refusal(talk, session.result, f"{probe.user} is refused")


def _password(talk: Talk, probe: Probe) -> bytes:
    """The password, never empty: servers take that for an anonymous login and say yes (RFC 4513, 5.1.2)."""
    password = read_password(probe) if probe.password_file else b""
    if not password:
        raise talk.error(f"the password of {probe.user} is empty", curable=False)
    try:
        password.decode()
    except UnicodeDecodeError:
        raise talk.error("the password is not UTF-8, which LDAP wants (RFC 4511, 4.2)", curable=False) from None
    return password


def _find_base(talk: Talk, session: Connection, probe: Probe) -> None:
    talk.stage = "answer"
    _call(talk, session.search, probe.query, "(objectClass=*)", search_scope="BASE", attributes=[_NO_ATTRIBUTES])
    if session.result["result"] == _NO_SUCH_OBJECT:
        raise talk.error(f"{_base(probe)} does not exist, or is hidden from {_who(probe)}", curable=False)
    if session.result["result"]:
        raise _refusal(talk, session.result, f"{_base(probe)} cannot be read")
    if not session.response:
        raise talk.error(f"{_base(probe)} is hidden from {_who(probe)}", curable=False)


def _call(talk: Talk, operation: Callable[..., object], *args: object, **options: object) -> None:
    """One request and its reply. What is not LDAP makes ldap3 fail in many ways."""
    from ldap3.core.exceptions import LDAPSessionTerminatedByServerError

    try:
        operation(*args, **options)
    except ProbeError:
        raise
    except LDAPSessionTerminatedByServerError:
        raise talk.error("the server ends the session") from None
    except Exception as error:  # noqa: BLE001 - see above
        raise talk.error(f"does not speak LDAP ({type(error).__name__})", curable=False) from None


def _refusal(talk: Talk, result: dict[str, Any], what: str) -> ProbeError:
    code = result["result"]
    why = _PASSING.get(code) or _LASTING.get(code) or "refused"
    said = talk.quote(f"{result['description']} {result['message']}".strip())
    return talk.error(f"{what}: {why} ({said})", curable=code in _PASSING)


def _base(probe: Probe) -> str:
    return f"base {probe.query}" if probe.query else "the root entry"


def _who(probe: Probe) -> str:
    return probe.user or "those who do not log in"
