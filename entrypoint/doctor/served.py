"""What a server shows of TLS: the versions that it speaks, and its certificates. The openssl command asks.

`openssl s_client` knows STARTTLS in all protocols of mail, and versions that Python's ssl no longer offers.
"""

from __future__ import annotations

import re
import ssl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from entrypoint import keys
from entrypoint.doctor.records import CERTIFICATE
from entrypoint.errors import ProbeError
from entrypoint.probe import Probe
from entrypoint.probes.talk import Deadline, connect

# By the names that people know, the newest last; what a server must not offer comes first (RFC 8996).
VERSIONS = {"1.0": "-tls1", "1.1": "-tls1_1", "1.2": "-tls1_2", "1.3": "-tls1_3"}
TOO_OLD = frozenset({"1.0", "1.1"})
_AGREED = re.compile(r"(?m)^New, .*Cipher is (?!\(NONE\))")
_NOT_OFFERED = re.compile(r"(?i)didn't find starttls|does not support STARTTLS|STARTTLS not supported")
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Place:
    """A port that speaks TLS. `name` is what its certificate has to be for, `address` where it is asked.

    `starttls` is the protocol in which TLS begins, as openssl calls it; "": TLS comes from the first byte.
    """

    service: str
    name: str
    address: str
    port: int
    starttls: str = ""


@dataclass(frozen=True)
class Shown:
    """The versions that were agreed on, and the certificates, the server's own first, in PEM."""

    versions: tuple[str, ...]
    chain: tuple[str, ...]


def ask(place: Place) -> Shown:
    """What the server shows; ProbeError when it shows no certificate."""
    connect(Probe(kind="tcp", host=place.address, port=place.port), Deadline(_TIMEOUT_S)).close()
    said = _handshake(place, "-showcerts")
    chain = tuple(CERTIFICATE.findall(said))
    if not chain:
        refused = place.starttls and _NOT_OFFERED.search(said)
        raise ProbeError("tls", "does not offer STARTTLS" if refused else "does not speak TLS on this port")
    # Level 0 lets openssl itself try what is too weak for it.
    weak = ("-cipher", "DEFAULT:@SECLEVEL=0")
    agreed = [name for name, option in VERSIONS.items() if _AGREED.search(_handshake(place, option, *weak))]
    return Shown(tuple(agreed), chain)


def _handshake(place: Place, *options: str) -> str:
    host = f"[{place.address}]" if ":" in place.address else place.address
    starttls = ("-starttls", place.starttls) if place.starttls else ()
    where = ("-connect", f"{host}:{place.port}", "-servername", place.name)
    try:
        done = keys.openssl("s_client", *where, *starttls, *options, timeout_s=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ProbeError("tls", f"no answer within {_TIMEOUT_S:g} s") from None
    return done.stdout + done.stderr


def days_left(certificate: str) -> float:
    """Until it expires; negative afterwards."""
    end = keys.openssl("x509", "-noout", "-enddate", stdin=certificate).stdout.strip().partition("=")[2]
    return (ssl.cert_time_to_seconds(end) - time.time()) / 86_400


def names(certificate: str) -> list[str]:
    """The host names that it is for."""
    shown = keys.openssl("x509", "-noout", "-ext", "subjectAltName", stdin=certificate).stdout
    return re.findall(r"DNS:([^,\s]+)", shown)


def is_for(certificate: str, name: str) -> bool:
    """Whether a client that wants this name will take it."""
    return "does match" in keys.openssl("x509", "-noout", "-checkhost", name, stdin=certificate).stdout


def doubt_of_chain(chain: Sequence[str], authorities: Sequence[Path]) -> str:
    """What a client has against it that knows these authorities; "" when nothing. Dates are of no interest here."""
    with tempfile.TemporaryDirectory() as folder:
        own, rest = Path(folder, "own.pem"), Path(folder, "rest.pem")
        own.write_text(chain[0])
        rest.write_text("\n".join(chain[1:]))
        between = ("-untrusted", str(rest)) if chain[1:] else ()
        known = [word for file in authorities if file.exists() for word in ("-trusted", str(file))]
        done = keys.openssl("verify", "-no_check_time", *known, *between, str(own))
    found = re.search(r"error \d+ at \d+ depth lookup: (.+)", done.stderr)
    return "" if done.returncode == 0 else found[1] if found else "openssl refuses it"
