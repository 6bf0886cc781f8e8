"""TLS as a client that always verifies, and OpenSSL's refusals in plain words."""

from __future__ import annotations

import socket
import ssl

from entrypoint.errors import ProbeError
from entrypoint.probe import Probe
from entrypoint.probes.talk import Deadline, describe

# X509_V_ERR_… of OpenSSL's x509_vfy.h
_EXPIRED = {10: "has expired", 9: "is not valid yet"}
_WRONG_NAME = {62, 64}
_UNTRUSTED = {2, 18, 19, 20, 21}


def wrap(sock: socket.socket, probe: Probe) -> ssl.SSLSocket:
    """The socket with TLS agreed on; closed when that fails."""
    try:
        return _context(probe.ca_file).wrap_socket(sock, server_hostname=_name(probe))
    except ssl.SSLError:  # some of which are ValueErrors
        raise
    except ValueError as error:  # an empty name, or one with a dot in front
        raise ProbeError("tls", f"{_name(probe)!r} cannot be in a certificate: {error}", curable=False) from None


def _context(ca_file: str) -> ssl.SSLContext:
    """Verifies as strictly as the daemons will: Python 3.13 alone would insist on more extensions
    than private authorities write, and a certificate may itself be the file of those trusted.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        why = "no certificate in it" if isinstance(error, ssl.SSLError) else (error.strerror or "").lower()
        raise ProbeError("tls", f"cannot use the CA file {ca_file}: {why}", curable=False) from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def refusal(error: OSError, probe: Probe, deadline: Deadline) -> ProbeError:
    """What went wrong. Only a connection that breaks may be better next time."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ProbeError("tls", _mistrust(error, probe), curable=False)
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)):
        return ProbeError("tls", "closed the connection")
    if isinstance(error, ssl.SSLError):
        return ProbeError("tls", _disagreement(error), curable=False)
    return ProbeError("tls", describe(error, deadline))


def _mistrust(error: ssl.SSLCertVerificationError, probe: Probe) -> str:
    authorities = probe.ca_file or "the system's CA certificates"
    if error.verify_code in _EXPIRED:
        when = _EXPIRED[error.verify_code]
        return f"the certificate of {_name(probe)}, or one above it, {when} (CA file: {authorities})"
    if error.verify_code in _WRONG_NAME:
        return f"the certificate is trusted, but it is not for {_name(probe)} (CA file: {authorities})"
    if error.verify_code in _UNTRUSTED:
        return f"the certificate of {_name(probe)} is not signed by an authority in {authorities}"
    return f"the certificate of {_name(probe)} is refused: {error.verify_message} (CA file: {authorities})"


def _disagreement(error: ssl.SSLError) -> str:
    if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"}:
        return "does not speak TLS on this port"
    return f"no agreement on TLS: {(error.reason or 'unknown reason').lower().replace('_', ' ')}"


def _name(probe: Probe) -> str:
    return probe.server_name or probe.host
