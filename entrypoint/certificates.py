"""The certificate that a service is about to show: readable, in date, for its names, with its key.

A daemon would start with an expired or foreign certificate and fail at the first client; this is
found out before. openssl reads the dates, as Python's ssl gives them only of peers.
"""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from entrypoint.errors import CheckError
from entrypoint.settings.concerns import Tls


def check_certificate(tls: Tls, hosts: tuple[str, ...]) -> None:
    """CheckError that names the variable, the file and the cure."""
    _readable("TLS_CERTIFICATE", tls.tls_certificate)
    _readable("TLS_KEY", tls.tls_key)
    _pair(tls)
    # The end date is told whatever -checkend says about it.
    end = _openssl(tls, "-enddate").removeprefix("notAfter=").strip()
    if "will expire" in _openssl(tls, "-checkend", "0"):
        raise CheckError(
            f"cannot use TLS_CERTIFICATE={tls.tls_certificate}: it expired on {end}; "
            "renew it and start again"
        )
    for host in hosts:
        if "does NOT match" in _openssl(tls, "-checkhost", host):
            raise CheckError(
                f"cannot use TLS_CERTIFICATE={tls.tls_certificate}: it is not for {host}; "
                f"get one that has this name too, or change the name ({_names(tls)})"
            )


def _readable(variable: str, path: str) -> None:
    try:
        empty = not Path(path).read_bytes()
    except OSError as error:
        raise CheckError(
            f"cannot read {variable}={path}: {error.strerror}; mount the file there, readable for "
            "group 0, or name another one"
        ) from None
    if empty:
        raise CheckError(f"cannot use {variable}={path}: it is empty; was the secret given?")


def _pair(tls: Tls) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.tls_certificate, tls.tls_key, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", "") or ""
        if "MISMATCH" in reason:
            why = "the key is that of another certificate"
        else:
            why = "one of them is not PEM, or the key has a passphrase"
        raise CheckError(
            f"cannot use TLS_CERTIFICATE={tls.tls_certificate} with TLS_KEY={tls.tls_key}: {why}"
        ) from None


def _openssl(tls: Tls, *question: str) -> str:
    done = subprocess.run(  # noqa: S603  # our own command, without a shell
        ["/usr/bin/openssl", "x509", "-noout", "-in", tls.tls_certificate, *question],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def _names(tls: Tls) -> str:
    found = _openssl(tls, "-ext", "subjectAltName").splitlines()[1:]
    return "it is for " + " ".join(line.strip().replace("DNS:", "") for line in found)
