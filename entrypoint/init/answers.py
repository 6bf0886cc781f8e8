"""What a person has answered, as values; a password is a Secret, so that no summary shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from entrypoint.settings import Secret
from entrypoint.settings.kinds import Address

# The services with host names of their own, and the directory, where that is embedded.
HOSTS = ("mail", "imap", "smtp", "mailout", "smarthost")
LDAP_PORT = 1636


@dataclass(frozen=True, kw_only=True)
class Directory:
    """The directory; `password` is set where it is to be written into a file, or made, and is not in one already."""

    hosts: str
    user: str
    base: str
    group: str
    password_file: str = ""
    password: Secret | None = None
    embedded: bool = False


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Files on the host; without them an own authority is made, and a certificate of it."""

    fullchain: str = ""
    key: str = ""

    @property
    def self_made(self) -> bool:
        return not self.fullchain


@dataclass(frozen=True, kw_only=True)
class RelayLogin:
    """The relay for all mail to the world, and the login there; without a user it wants none."""

    place: str
    user: str = ""
    password: Secret | None = None


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Everything that the files are made of."""

    domain: str
    tz: str
    directory: Directory
    certificate: Certificate
    relay: RelayLogin | None
    selector: str  # "": mail is not signed
    addresses: tuple[Address, ...]

    def hosts(self) -> list[str]:
        """The names that the certificate has to be for."""
        names = (*HOSTS, "ldap") if self.directory.embedded else HOSTS
        return [f"{name}.{self.domain}" for name in names]

    def summary(self) -> Iterator[str]:
        """A line for each subject."""
        yield f"domain       {self.domain} ({', '.join(self.hosts())})"
        kind = "embedded" if self.directory.embedded else self.directory.hosts
        yield f"directory    {kind}, members below {self.directory.base}, of the group {self.directory.group}"
        made = "self-made, of an authority of its own: for trying out"
        yield f"certificate  {made if self.certificate.self_made else self.certificate.fullchain}"
        login = f", logged in as {self.relay.user}" if self.relay and self.relay.user else ""
        yield f"relay        {self.relay.place + login if self.relay else 'none: mail goes straight to its receivers'}"
        yield f"signatures   {f'DKIM, selector {self.selector}' if self.selector else 'none'}"
        addresses = " and ".join(map(str, self.addresses))
        yield f"address      {addresses or 'not known yet: a placeholder in the DNS records'}"


def suffix(domain: str) -> str:
    """The root of a directory for a domain: dc=example,dc=org."""
    return ",".join(f"dc={label}" for label in domain.split("."))
