"""From answers to files: passwords, keys, certificates, the `.env`, and the DNS records that follow from it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from entrypoint import keys
from entrypoint.doctor import dns
from entrypoint.environment import read_env_file
from entrypoint.init import env_text
from entrypoint.init.answers import Answers
from entrypoint.init.write import PRIVATE, PUBLIC, Files
from entrypoint.settings import Secret
from entrypoint.settings.concerns import SYSTEM_CA
from entrypoint.settings.relays import relay

DKIM = "secrets/dkim.pem"
LDAP_PASSWORD = "secrets/ldap-password"  # noqa: S105 - where it is
RELAY_LOGINS = "secrets/relay-logins"
FULLCHAIN, KEY, CA, CA_KEY = "secrets/fullchain.pem", "secrets/privkey.pem", "secrets/ca.pem", "secrets/ca-key.pem"
AUTHORITIES = "secrets/authorities.pem"
ENV, ZONE = ".env", "dns.zone"
CERTIFICATE_DAYS = 825  # more, and some devices refuse it


def fill(answers: Answers, files: Files) -> None:
    """Add all of them to `files`."""
    _passwords(answers, files)
    with tempfile.TemporaryDirectory(dir=files.aside) as folder:
        if answers.certificate.self_made:
            _certificate(answers, files, Path(folder))
        if answers.selector:
            keys.make_dkim_key(Path(folder))
            files.add(DKIM, Path(folder, "dkim.key"))
    files.add(ENV, env_text.text(answers, _paths(answers, files)), PUBLIC)
    files.add(ZONE, _zone(answers, files), PUBLIC)


def _passwords(answers: Answers, files: Files) -> None:
    if answers.directory.password:
        _secret(files, LDAP_PASSWORD, answers.directory.password)
    if answers.relay and answers.relay.password:
        host = relay.parse(answers.relay.place).host
        _secret(files, RELAY_LOGINS, Secret(f"{host} {answers.relay.user}:{answers.relay.password.reveal()}"))


def _secret(files: Files, name: str, secret: Secret) -> None:
    files.add(name, secret.reveal() + "\n")


def _certificate(answers: Answers, files: Files, folder: Path) -> None:
    """An authority of its own and a certificate of it. Its key stays with root, to make the next certificate."""
    keys.make_authority(folder, f"Postern for {answers.domain}")
    keys.make_certificate(folder, [f"DNS:{host}" for host in answers.hosts()], days=CERTIFICATE_DAYS)
    own = Path(folder, "ca.pem")
    files.add(FULLCHAIN, Path(folder, "server.pem"))
    files.add(KEY, Path(folder, "server.key"))
    files.add(CA, own)
    files.add(CA_KEY, Path(folder, "ca.key"), PRIVATE)
    if answers.relay:  # is checked by TLS_CA as well
        world = Path(SYSTEM_CA)
        files.add(AUTHORITIES, own.read_text() + (world.read_text() if world.exists() else ""))


def _paths(answers: Answers, files: Files) -> dict[str, str]:
    """Files as .env names them; "" is one that was not made."""

    def made(name: str) -> str:
        return f"./{name}" if name in files.modes else ""

    given = answers.certificate
    return {
        "ldap_password": made(LDAP_PASSWORD) or _path(answers.directory.password_file, files.folder),
        "fullchain": made(FULLCHAIN) or _path(given.fullchain, files.folder),
        "key": made(KEY) or _path(given.key, files.folder),
        "ca": made(AUTHORITIES) or made(CA),
        "dkim": made(DKIM),
        "relay_logins": made(RELAY_LOGINS),
    }


def _path(given: str, folder: Path) -> str:
    """As Compose finds it from `folder`: what was given relative to somewhere else becomes absolute."""
    if not given or given.startswith("/"):
        return given
    if folder.resolve() != Path.cwd():
        return str(Path(given).absolute())
    return given if given.startswith(".") else f"./{given}"


def _zone(answers: Answers, files: Files) -> str:
    """What `doctor dns` will print there. Its keys are still aside."""
    env = read_env_file(files.aside / ENV)
    aside = {
        name: os.path.relpath(files.aside / value)
        for name, value in env.items()
        if name.endswith("_FILE") and value.removeprefix("./") in files.modes
    }
    return dns.fragment(env | aside, answers.addresses)
