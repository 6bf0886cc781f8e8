"""Keys and certificates, made by the openssl command (3.0 or newer)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.console import ToolError

DAYS = 3650
# What clients that check strictly ask for (RFC 5280); openssl's own defaults differ from system to system.
CONFIG = """\
[req]
distinguished_name = subject
prompt = no
[subject]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_authority(folder: Path, name: str) -> None:
    """`ca.pem` and `ca.key` in the folder: an authority that nobody trusts yet."""
    _certificate(folder, "ca", CONFIG.format(name=name, names="DNS:unused"), "-extensions", "authority")


def make_certificate(folder: Path, names: Sequence[str]) -> None:
    """`server.pem` and `server.key` for host names and addresses (`DNS:imap.example.test`, `IP:127.0.0.1`)."""
    config = CONFIG.format(name=names[0].partition(":")[2], names=", ".join(names))
    _certificate(folder, "server", config, "-extensions", "server", "-CA", "ca.pem", "-CAkey", "ca.key")


def make_dkim_key(folder: Path) -> str:
    """`dkim.key` in the folder, RSA with 2048 bits, and its public half as the text of the DNS record (RFC 6376)."""
    _openssl(folder, "genrsa", "-out", "dkim.key", "2048")
    pem = _openssl(folder, "rsa", "-in", "dkim.key", "-pubout")
    key = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    return f"v=DKIM1; k=rsa; p={key}"


def _certificate(folder: Path, file: str, config: str, *options: str) -> None:
    settings = folder / f"{file}.cnf"
    settings.write_text(config)
    out = ("-keyout", f"{file}.key", "-out", f"{file}.pem", "-days", str(DAYS))
    _openssl(folder, "req", "-x509", "-config", settings.name, *KEY, *out, *options)
    settings.unlink()


def _openssl(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ToolError("cannot make keys: there is no openssl command", "Debian: apt-get install openssl") from None
    if done.returncode:
        raise ToolError(f"cannot make keys with openssl {arguments[0]}:", *done.stderr.strip().splitlines()[-5:])
    return done.stdout
