"""Keys and certificates, made and read by the openssl command (3.0 or newer).

The command and no library: whoever has a certificate has it, the images have it, and a library would be in each of
them for what is done once. Private halves are written for their owner alone.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

from entrypoint.errors import Refused

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
DKIM_BITS = 2048  # RFC 8301: fewer are weak; more do not fit into what some DNS providers take
_CN_LIMIT = 64


def make_authority(folder: Path, name: str) -> None:
    """`ca.pem` and `ca.key` in the folder: an authority that nobody trusts yet."""
    _certificate(folder, "ca", CONFIG.format(name=name[:_CN_LIMIT], names="DNS:unused"), "-extensions", "authority")


def make_certificate(folder: Path, names: Sequence[str], *, days: int = DAYS) -> None:
    """`server.pem` and `server.key` for host names and addresses (`DNS:imap.example.test`, `IP:127.0.0.1`)."""
    config = CONFIG.format(name=names[0].partition(":")[2][:_CN_LIMIT], names=", ".join(names))
    _certificate(folder, "server", config, "-extensions", "server", "-CA", "ca.pem", "-CAkey", "ca.key", days=days)


def make_dkim_key(folder: Path) -> str:
    """`dkim.key` in the folder, RSA with 2048 bits, and its public half as the text of the DNS record."""
    _openssl(folder, "genrsa", "-out", "dkim.key", str(DKIM_BITS))
    return dkim_record(folder / "dkim.key")


def dkim_record(key: Path) -> str:
    """The text of the DNS record for a private key (RFC 6376, 3.6.1; RFC 8463 for Ed25519); Refused with the reason."""
    der = public_key(key)
    if der.startswith(_ED25519):
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(der[len(_ED25519) :]).decode()}"
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


# What comes before the 32 bytes of an Ed25519 key in DER (RFC 8410); DKIM wants those alone.
_ED25519 = bytes.fromhex("302a300506032b6570032100")


def public_key(key: Path) -> bytes:
    """The public half of a private key in PEM, as DER (SubjectPublicKeyInfo)."""
    try:
        key.open("rb").close()
    except OSError as error:
        raise Refused(f"cannot read the key {key}: {error.strerror}") from None
    return _der(_openssl(Path(), "pkey", "-in", str(key), "-passin", "pass:", "-pubout"))


def public_key_of_certificate(certificate: str) -> bytes:
    """The public key in a certificate in PEM, as DER."""
    return _der(_openssl(Path(), "x509", "-noout", "-pubkey", stdin=certificate))


def _der(pem: str) -> bytes:
    return base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-----")))


def _certificate(folder: Path, file: str, config: str, *options: str, days: int = DAYS) -> None:
    settings = folder / f"{file}.cnf"
    settings.write_text(config)
    out = ("-keyout", f"{file}.key", "-out", f"{file}.pem", "-days", str(days))
    _openssl(folder, "req", "-x509", "-config", settings.name, *KEY, *out, *options)
    settings.unlink()


def _openssl(folder: Path, *arguments: str, stdin: str = "") -> str:
    done = openssl(*arguments, stdin=stdin, folder=folder)
    if done.returncode:
        said = "; ".join(done.stderr.strip().splitlines()[-5:])
        raise Refused(f"cannot make or read keys with openssl {arguments[0]}: {said}")
    return done.stdout


def openssl(
    *arguments: str, stdin: str = "", folder: Path = Path(), timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """What the command answers; subprocess.TimeoutExpired when it does not, Refused when there is no such command."""
    try:
        return subprocess.run(
            ["openssl", *arguments],
            cwd=folder,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise Refused(
            "cannot work with keys: there is no openssl command; install it (Debian: apt-get install openssl)"
        ) from None
