"""LDAP's root entry (RFC 4512, 5.1), which everybody may read: the server answers, in TLS if wanted.

For a server's own health check: logging in and searching needs ldap3, which takes 90 ms of CPU. The few
bytes of this question are always the same.
"""

from __future__ import annotations

from entrypoint.probe import Probe
from entrypoint.probes.talk import Talk

# RFC 4511, in BER: message 1 is a search for "", base, everything in any time, (objectClass=*), no attributes ("1.1").
_SEARCH = b"\x30\x2a\x02\x01\x01\x63\x25\x04\0\x0a\1\0\x0a\1\0\2\1\0\2\1\0\1\1\0\x87\x0bobjectClass\x30\5\4\0031.1"
_UNBIND = b"\x30\x05\x02\x01\x02\x42\0"
_MESSAGE, _ENTRY, _DONE = 0x30, 0x64, 0x65


def ask_ldap_root(talk: Talk, _probe: Probe) -> str:
    talk.sendall(_SEARCH)
    tag = _answer(talk)
    if tag == _DONE:
        raise talk.error("refuses to show its root entry")
    if tag != _ENTRY:
        raise talk.error(f"does not speak LDAP (answers {tag:#x})", curable=False)
    talk.part(_UNBIND)
    return "the root entry exists"


def _answer(talk: Talk) -> int:
    """What kind of answer comes first."""
    tag, length = talk.take(2)
    if tag != _MESSAGE:
        raise talk.error(f"does not speak LDAP (begins with {tag:#x})", curable=False)
    if length & 0x80:  # so many bytes of length follow
        talk.take(length & 0x7F)
    return talk.take(4)[3]  # behind the message's number, which is one byte: 2 1 1
