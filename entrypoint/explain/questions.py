"""What can be asked, as it goes from the host into a container: JSON."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass, replace

from entrypoint.errors import UsageError
from entrypoint.settings.kinds import has_controls
from entrypoint.settings.schema import Secret, short

ROLES = ("exim-external", "exim-int-mailout", "exim-ext-mailout")
_LONGEST = 1000


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question. `about` is route, send or login; `name` the address or the login that it is about.

    UsageError for names that no daemon could be asked about: empty, endless, or with line breaks, which would be
    commands in a simulated session.
    """

    about: str
    name: str
    sender: str = ""
    recipient: str = ""
    client: str = ""  # the address from which it comes, of a simulated session
    role: str = ""  # the Exim that is asked first
    password: Secret | None = None

    def __post_init__(self) -> None:
        _insist_on_name(self.name, "a login" if self.about in {"login", "send"} else "an address")
        if self.about == "send":
            _insist_on_name(self.sender, "a sender")
        for text in (self.sender, self.recipient):
            _insist_on_sense(text)
        if self.client and not _is_address(self.client):
            raise UsageError(f"cannot ask as {short(self.client)}: it is no IP address, such as 192.0.2.1")

    def of_same(self, other: Question) -> Question:
        """This one, with the password of another one of the same story."""
        return replace(self, password=other.password)

    def to_json(self) -> str:
        """With the password in it: for a pipe, and nothing else."""
        return json.dumps({**asdict(self), "password": self.password.reveal() if self.password else None})

    @classmethod
    def from_json(cls, text: str) -> Question:
        """The question that `to_json` wrote."""
        told = json.loads(text)
        return cls(**{**told, "password": Secret(told["password"]) if told["password"] else None})


def _insist_on_name(text: str, what: str) -> None:
    if not text.strip():
        raise UsageError(f"cannot explain {text!r}: {what} has at least one character, such as alice@example.org")
    _insist_on_sense(text)


def _insist_on_sense(text: str) -> None:
    if len(text) > _LONGEST:
        raise UsageError(f"cannot explain {short(text)}: it is longer than {_LONGEST} characters")
    if has_controls(text):
        raise UsageError(f"cannot explain {short(text)}: it has control characters, or is not UTF-8")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
