"""LDAP: StartTLS if wanted, bind, and a search for the base itself, or for entries; `ladder` takes the same steps.

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


_LIMIT_EXCEEDED = 4
_NO_SUCH_OBJECT = 32
_SCOPES = {"base": "BASE", "one": "LEVEL", "sub": "SUBTREE"}


@dataclass(frozen=True)
class Question:
    """A question to the directory; `filter` is as in RFC 4515, all values in it escaped."""

    base: str
    scope: str  # base, one or sub
    filter: str
    attributes: tuple[str, ...]


def load() -> None:
    """Load ldap3 (90 ms, 8 MiB) before the time limit begins: on a busy machine it takes seconds,
    which are not the server's.
    """
    import ldap3  # noqa: F401


def ask_ldap(talk: Talk, probe: Probe) -> str:
    session = _opened(talk, probe)
    find_base(talk, session, probe.query, probe.user)
    leave(talk, session)
    return f"{f'bound as {probe.user}' if probe.user else 'no login'}, {_base(probe.query)} exists"


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
        leave(talk, session)


def _entry(found: Mapping[str, Any]) -> Entry:
    values = {
        # An attribute may come without its values, which ldap3 makes None of.
        name.lower(): tuple(value.decode(errors="backslashreplace") for value in each or ())
        for name, each in found["raw_attributes"].items()
    }
    return Entry(found["dn"], values)


def _opened(talk: Talk, probe: Probe) -> Connection:
    session = begin(talk)
    if probe.tls == "starttls":
        start_tls(talk, session)
    if probe.user:
        bind(talk, session, probe.user, read_password(probe) if probe.password_file else b"")
    return session


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


def begin(talk: Talk) -> Connection:
    """An ldap3 connection that takes our conversation for its socket."""
    import ldap3

    session = ldap3.Connection(
        ldap3.Server("unused", get_info=ldap3.NONE), auto_referrals=False, check_names=False, raise_exceptions=False
    )
    session.socket, session.closed, session.listening = _Wire(talk), False, True
    session.strategy._outstanding = {}  # noqa: SLF001 - as its open() does
    return session


def start_tls(talk: Talk, session: Connection) -> None:
    """Agree on TLS, with the certificate verified."""
    talk.stage = "tls"
    _call(talk, session.extended, _STARTTLS)
    if session.result["result"]:
        raise _refusal(talk, session.result, "StartTLS is refused")
    talk.handshake()


def bind(talk: Talk, session: Connection, user: str, password: bytes) -> None:
    """Log in; servers take an empty password for an anonymous login and say yes (RFC 4513, 5.1.2), we do not."""
    talk.stage = "login"
    talk.secret = password
    if not password:
        raise talk.error(f"the password of {user} is empty", curable=False)
    try:
        password.decode()
    except UnicodeDecodeError:
        raise talk.error("the password is not UTF-8, which LDAP wants (RFC 4511, 4.2)", curable=False) from None
    session.user, session.password = user, password  # as bytes: ldap3 normalises text
    session.authentication = "SIMPLE"
    _call(talk, session.bind, read_server_info=False)
    if session.result["result"]:
        raise _refusal(talk, session.result, f"{user} is refused")


def find_base(talk: Talk, session: Connection, base: str, user: str) -> None:
    """See that an entry exists and shows itself to `user`, who has logged in."""
    talk.stage = "answer"
    _call(talk, session.search, base, "(objectClass=*)", search_scope="BASE", attributes=[_NO_ATTRIBUTES])
    if session.result["result"] == _NO_SUCH_OBJECT:
        raise talk.error(f"{_base(base)} does not exist, or is hidden from {_who(user)}", curable=False)
    if session.result["result"]:
        raise _refusal(talk, session.result, f"{_base(base)} cannot be read")
    if not session.response:
        raise talk.error(f"{_base(base)} is hidden from {_who(user)}", curable=False)


def search(talk: Talk, session: Connection, question: Question, limit: int = 0) -> list[Entry]:
    """The entries that are found, `limit` of them at most (0: all that the server gives)."""
    talk.stage = "answer"
    asked = {"search_scope": _SCOPES[question.scope], "attributes": list(question.attributes), "size_limit": limit}
    _call(talk, session.search, question.base, question.filter, **asked)
    if session.result["result"] not in {0, _LIMIT_EXCEEDED}:
        raise _refusal(talk, session.result, f"the search below {question.base} fails")
    return [
        _entry(found)
        for found in session.response or ()
        if found["type"] == "searchResEntry"  # others are referrals
    ]


def leave(talk: Talk, session: Connection) -> None:
    """Say goodbye; the answers that count have been given."""
    with suppress(ProbeError):
        _call(talk, session.unbind)


def _call(talk: Talk, operation: Callable[..., object], *args: object, **options: object) -> None:
    """One request and its reply. What is not LDAP makes ldap3 fail in many ways."""
    from ldap3.core.exceptions import LDAPInvalidFilterError, LDAPSessionTerminatedByServerError

    try:
        operation(*args, **options)
    except ProbeError:
        raise
    except LDAPInvalidFilterError:
        raise talk.error("ldap3 cannot read the filter", curable=False) from None
    except LDAPSessionTerminatedByServerError:
        raise talk.error("the server ends the session") from None
    except Exception as error:  # noqa: BLE001 - see above
        raise talk.error(f"does not speak LDAP ({type(error).__name__})", curable=False) from None


def _refusal(talk: Talk, result: dict[str, Any], what: str) -> ProbeError:
    code = result["result"]
    why = _PASSING.get(code) or _LASTING.get(code) or "refused"
    said = talk.quote(f"{result['description']} {result['message']}".strip())
    return talk.error(f"{what}: {why} ({said})", curable=code in _PASSING)


def _base(base: str) -> str:
    return f"base {base}" if base else "the root entry"


def _who(user: str) -> str:
    return user or "those who do not log in"
