"""An installation on a host: a folder with an `.env`, secrets, a certificate and data folders, with nothing wrong."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from entrypoint.environment import Case, Finding, examine, in_use, parse
from entrypoint.environment.reading import read_env_file
from entrypoint.service import find, names
from tests.unit.authority import Authority

ROOT = Path(__file__).parents[2]
MINIMAL = ROOT / "examples/minimal.env"
HOSTS = ("imap", "mail", "smtp", "mailout", "smarthost", "ldap")
NAMES = ",".join(f"DNS:{host}.example.org" for host in HOSTS)
FOLDERS = {
    "VMAIL_DATA": "./data/vmail",
    "REDIS_DATA": "./data/redis",
    "RSPAM_DATA": "./data/rspam",
    "EXIM_EXTERNAL_SPOOL": "./data/exim-external",
    "EXIM_INT_MAILOUT_SPOOL": "./data/exim-int-mailout",
    "EXIM_EXT_MAILOUT_SPOOL": "./data/exim-ext-mailout",
}

PASSWORDS = {"REDIS_PASSWORD": "redis", "RSPAM_password": "rspam", "RSPAM_enable_password": "rspam-enable"}


class Installation:
    """The settings of examples/minimal.env, given passwords, and all files beside it. `env` may be changed."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.file = folder / ".env"
        shutil.copy(ROOT / "docker-compose.yaml", folder)
        certificate, key = authority.certificate(NAMES)
        self.env = read_env_file(MINIMAL) | FOLDERS
        self.env |= {f"{name}_FILE": f"./secrets/{file}" for name, file in PASSWORDS.items()}
        self.env |= {"TLS_FULLCHAIN_FILE": str(certificate), "TLS_PRIVKEY_FILE": str(key)}
        self.env |= {"TLS_CA_FILE": str(authority.ca_file), "TLS_CA": "/run/secrets/ca"}
        key.chmod(0o644)  # below folders that are the test's alone: no one else comes near
        for name, value in self.env.items():
            if name.endswith("_FILE") and value.startswith("./"):
                self.secret(value, "x")
        for place in FOLDERS.values():
            self.folder_for_all(place)

    def secret(self, name: str, content: str, mode: int = 0o644) -> Path:
        """A file below the installation's folder."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def folder_for_all(self, name: str) -> Path:
        """A folder in which everybody may write, as tests may not be root's."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
        return path

    def write(self, changes: Mapping[str, str | None], more: str = "") -> Path:
        """The `.env` with these changes, None for what is left out; one variable a line, then `more`."""
        env = {name: value for name, value in {**self.env, **changes}.items() if value is not None}
        self.file.write_text("".join(f"{name}='{value}'\n" for name, value in env.items()) + more)
        return self.file

    def case(
        self, changes: Mapping[str, str | None] | None = None, more: str = "", services: tuple[str, ...] = ()
    ) -> Case:
        """What `check` looks at then."""
        file = parse(self.write(changes or {}, more))
        wanted = map(find, services or names())
        return Case.of_file(file, wanted if services else in_use(wanted, file.values))

    def look(
        self, changes: Mapping[str, str | None] | None = None, more: str = "", services: tuple[str, ...] = ()
    ) -> list[Finding]:
        """What `check` finds then."""
        return examine(self.case(changes, more, services))

    def line_of(self, name: str) -> int:
        """Where a variable is in the file as it was written last."""
        lines = self.file.read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if line.startswith(f"{name}="))
