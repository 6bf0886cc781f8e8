"""Commands that run once before the daemon: preparing its files, and its own checker's verdict."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote as percent

from entrypoint import quoting
from entrypoint.errors import CheckError
from entrypoint.service import Command
from entrypoint.settings import Secret

_LINES = 20


def run_all(commands: Iterable[Command], env: Mapping[str, str], secrets: Iterable[Secret]) -> None:
    """Run the commands in order; CheckError with the words of the first that refuses."""
    hidden = faces(secrets)
    for command in commands:
        _run(command, env, hidden)


def _run(command: Command, env: Mapping[str, str], hidden: list[str]) -> None:
    try:
        done = subprocess.run(
            command.argv,
            env={**env, **command.env},
            input=command.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            timeout=command.timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckError(f"cannot {command.purpose}: no answer in {command.timeout_s:g} s") from None
    except OSError as error:
        raise CheckError(f"cannot {command.purpose}: {command.argv[0]}: {error.strerror}") from None
    if not _accepted(command, done.returncode, done.stdout):
        end = _ending(done.returncode)
        raise CheckError(f"cannot {command.purpose}: {command.argv[0]} {end}\n{_last_words(done.stdout, hidden)}")


def _accepted(command: Command, code: int, output: str) -> bool:
    if command.refused_by and re.search(command.refused_by, output):
        return False
    return code == 0 or bool(command.accepted_by and re.search(command.accepted_by, output))


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with {code}"


def _last_words(output: str, hidden: list[str]) -> str:
    """The end of what a command said, without the secrets that it may have quoted."""
    lines = [line for line in masked(output, hidden).splitlines() if line.strip()][-_LINES:]
    return "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"


_QUOTINGS: tuple[Callable[[str], str], ...] = (
    percent,
    quoting.base64,
    quoting.dovecot,
    quoting.exim,
    quoting.fetchmail,
    quoting.ldap_filter,
    quoting.redis,
    quoting.slapd,
    quoting.ucl,
)


def faces(secrets: Iterable[Secret]) -> list[str]:
    """All forms in which secrets may be quoted, the longest first: what `masked` hides."""
    return sorted({face for secret in secrets for face in _faces(secret)}, key=len, reverse=True)


def masked(text: str, hidden: Iterable[str]) -> str:
    """The text with stars for what is hidden."""
    for secret in hidden:
        text = text.replace(secret, "********")
    return text


def _faces(secret: Secret) -> set[str]:
    """The secret as it is, and as it stands in files whose lines a checker may quote."""
    text = secret.reveal()
    return {text, *(quote(text).removeprefix('"').removesuffix('"') for quote in _QUOTINGS)}
