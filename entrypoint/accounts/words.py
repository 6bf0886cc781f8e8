"""What a person types, looked at before anything is done: each error says what is accepted, with an example."""

from __future__ import annotations

import re
import secrets

from entrypoint.errors import UsageError
from entrypoint.settings import kinds
from entrypoint.settings.schema import short

# As they are usual. Others would be allowed in mail (RFC 5322, 3.2.3), and mean something in paths, shells or filters.
_LOCAL = re.compile(r"[a-z0-9_](?:[a-z0-9_+'&=.-]*[a-z0-9_+'&=-])?")
_LOCAL_LIMIT, _ADDRESS_LIMIT = 64, 254  # RFC 5321, 4.5.3.1
_PASSWORD_LEAST, _PASSWORD_LIMIT = 8, 1024
_NAME_LIMIT = 128
_MB = 1024**2
MADE_BYTES = 15


def address(text: str) -> str:
    """A mail address in lower case, as directory and mailboxes have it."""
    try:
        return _address(text.strip().lower())
    except ValueError as error:
        raise UsageError(
            f"cannot use {short(text)}: it {error}; accepted are up to {_LOCAL_LIMIT} letters a to z, digits and "
            "_ . + - ' & = before the @, and a domain behind it, for example alice@example.org"
        ) from None


def _address(text: str) -> str:
    local, _, domain = text.rpartition("@")
    if not _LOCAL.fullmatch(local) or ".." in local or len(local) > _LOCAL_LIMIT or len(text) > _ADDRESS_LIMIT:
        raise ValueError("is no mail address")
    return f"{local}@{kinds.domain_part.parse(domain)}"


def person(text: str) -> str:
    """A person's name."""
    return _text(text, "as a name", "Alice Example")


def group(text: str) -> str:
    """The name of a group."""
    return _text(text, "as a group's name", "teachers")


def _text(text: str, what: str, example: str) -> str:
    found = " ".join(text.split())
    if not found or len(found) > _NAME_LIMIT or kinds.has_controls(found):
        raise UsageError(
            f"cannot use {short(text)} {what}: accepted are 1 to {_NAME_LIMIT} characters of one line, "
            f"for example {example}"
        )
    return found


def quota(text: str) -> int | None:
    """Megabytes; 0: no limit; None: what all have who have none of their own."""
    if text.strip().lower() == "default":
        return None
    try:
        return _megabytes(kinds.quota.parse(text))
    except ValueError as error:
        raise UsageError(
            f"cannot use {short(text)} as a quota: it {error}; accepted are whole megabytes or gigabytes, 0 for no "
            "limit, or default, for example 500M or 2G"
        ) from None


def _megabytes(size: int) -> int:
    if size % _MB:
        raise ValueError("is not a whole number of megabytes")
    return size // _MB


def password(text: str) -> str:
    """A password that is worth the name; errors never show it."""
    if not _PASSWORD_LEAST <= len(text) <= _PASSWORD_LIMIT:
        raise UsageError(
            f"cannot take this password: it has {len(text)} characters, and must have {_PASSWORD_LEAST} to "
            f"{_PASSWORD_LIMIT}; --generate makes a good one"
        )
    if kinds.has_controls(text):
        raise UsageError("cannot take this password: it has characters that nobody can type (control characters)")
    return text


def made_password() -> str:
    """A password of 120 bits that can be typed."""
    return secrets.token_urlsafe(MADE_BYTES)
