"""What Dovecot says of a recipient or a login: whose mailbox it is, where, how full; whether a password is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrypoint.errors import Unavailable
from entrypoint.explain.daemons import Daemon, Said
from entrypoint.explain.directory import Directory
from entrypoint.explain.findings import BAD, GOOD, NOTE, UNKNOWN, Finding, Part, of_state
from entrypoint.explain.people import Examined, Filter, examine
from entrypoint.explain.questions import Question
from entrypoint.services.imap import CONFIG

_DOVEADM = ("/usr/bin/doveadm", "-c", CONFIG)
# What doveadm ends with (sysexits.h).
_NO_USER, _TEMPORARY, _REFUSED = 67, 75, 77
_KIB, _MIB = 1024, 1024**2
MX = "exim-external"
_SCRIPT = ".dovecot.sieve"
QUOTA = ("LDAP_QUOTA_ATTRIBUTE", "MAILBOX_SIZE_LIMIT")


def answer(question: Question, settings: Any, daemon: Daemon, directory: Directory) -> Part:
    """imap's part."""
    asked = _Dovecot(question, settings, daemon, directory)
    findings: list[Finding] = []
    try:
        findings.extend(asked.login() if question.about == "login" else asked.route())
    except Unavailable as error:
        findings.append(_says("ask", UNKNOWN, str(error)))
    return Part(findings=tuple(findings), further=((MX, question),) if question.about == "login" else ())


def _says(step: str, state: str, text: str, *settings: str, asked: str = "") -> Finding:
    return Finding(service="imap", step=step, state=state, text=text, settings=settings, asked=asked)


class _Dovecot:
    def __init__(self, question: Question, settings: Any, daemon: Daemon, directory: Directory) -> None:
        self.name, self.password = question.name, question.password
        self.settings, self.daemon, self.directory = settings, daemon, directory

    # --- a recipient

    def route(self) -> Iterator[Finding]:
        user = self._user()
        if isinstance(user, Finding):
            yield user
            if user.state != UNKNOWN:
                yield from self._examined("LDAP_USER_FILTER").findings
            return
        yield from self._mailbox(user)

    # --- a login

    def login(self) -> Iterator[Finding]:
        found = self._examined("LDAP_PASS_FILTER")
        yield from found.findings
        yield self._may_log_in(found)
        user = self._user()
        if isinstance(user, Finding):
            yield user
        else:
            yield from self._mailbox(user)
        if self.password:
            yield self._with_password(self.password.reveal())

    def _may_log_in(self, found: Examined) -> Finding:
        said = self._asked("auth", "lookup", "--", self.name)
        settings, asked = ("LDAP_PASS_FILTER",), "doveadm auth lookup"
        if said.code == 0:
            text = f"Dovecot knows the login {self.name}; its password decides"
            return _says("login", GOOD, text, *settings, asked=asked)
        if said.code == _NO_USER:
            # The filter of the settings, to which the configuration adds only that.
            but = not of_state(found.findings, BAD) and ", since its primary address is no name for a folder"
            return _says("login", BAD, f"Dovecot knows no login {self.name}{but or ''}", *settings, asked=asked)
        return _says("login", UNKNOWN, f"Dovecot cannot say: {self._words(said)}", "LDAP_HOSTS", asked=asked)

    def _with_password(self, password: str) -> Finding:
        """A real try; a wrong password is in Dovecot's log, as anybody's."""
        said = self._asked("auth", "test", "--", self.name, stdin=f"{password}\n")
        asked = "doveadm auth test"
        if said.code == 0:
            return _says("password", GOOD, "the password is right for reading", asked=asked)
        if said.code == _REFUSED:
            return _says("password", BAD, "a login to read is refused: wrong password, or no such login", asked=asked)
        return _says("password", UNKNOWN, f"Dovecot cannot say: {self._words(said)}", asked=asked)

    # --- both

    def _examined(self, variable: str) -> Examined:
        by = Filter(variable=variable, pattern=getattr(self.settings, variable.lower()))
        return examine(self.directory, "imap", self.name, by)

    def _user(self) -> dict[str, str] | Finding:
        """Dovecot's fields of the mailbox; or why there are none."""
        nobody = _says(
            "mailbox", BAD, f"Dovecot knows no mailbox of {self.name}", "LDAP_USER_FILTER", asked="doveadm user"
        )
        if set(self.name) & set("*?"):  # for doveadm a pattern, and it would list everybody
            return nobody
        said = self._asked("-f", "json", "user", "--", self.name)
        if said.code == _NO_USER:
            return nobody
        if said.code != 0:
            text = f"Dovecot cannot say whether {self.name} has a mailbox: {self._words(said)}"
            return _says("mailbox", UNKNOWN, text, "LDAP_HOSTS", asked="doveadm user")
        return {each["field"]: each["value"] for each in self._json(said)}

    def _mailbox(self, user: dict[str, str]) -> Iterator[Finding]:
        owner, home = user.get("user", self.name), Path(user["home"])
        text = f"the mailbox of {owner}, below {home}"
        yield _says("mailbox", GOOD, text, "LDAP_USER_FILTER", "VMAIL_DATA", asked="doveadm user")
        if not home.is_dir():  # asking for its quota would make it
            megabytes = user.get("quota_storage_size", "0M").removesuffix("M")
            text = f"no mail has come to it yet; its limit is {f'{megabytes} MiB' if int(megabytes) else 'none'}"
            yield _says("quota", NOTE, text, *QUOTA, asked="doveadm user")
            return
        yield self._quota(owner)
        if (home / _SCRIPT).exists():
            yield _says("script", NOTE, f"a script of the member's own decides what becomes of it ({home / _SCRIPT})")

    def _quota(self, owner: str) -> Finding:
        said = self._asked("-f", "json", "quota", "get", "-u", owner)
        if said.code:
            return _says(
                "quota", UNKNOWN, f"Dovecot cannot say how full it is: {self._words(said)}", asked="doveadm quota"
            )
        storage = next(each for each in self._json(said) if each["type"] == "STORAGE")
        used = f"{int(storage['value']) * _KIB / _MIB:.1f} MiB"
        if storage["limit"] == "-":
            return _says("quota", GOOD, f"{used} in it, without a limit", *QUOTA, asked="doveadm quota")
        limit = f"{int(storage['limit']) * _KIB / _MIB:g} MiB"
        full = int(storage["value"]) >= int(storage["limit"])
        text = f"{used} of {limit} are used ({storage['percent']} %){', so that it takes no more mail' if full else ''}"
        return _says("quota", BAD if full else GOOD, text, *QUOTA, asked="doveadm quota")

    def _asked(self, *arguments: str, stdin: str = "") -> Said:
        return self.daemon.ask(*_DOVEADM, *arguments, stdin=stdin)

    def _words(self, said: Said) -> str:
        lines = [line for line in (said.err or said.out).splitlines() if line.strip()]
        return self.daemon.plain(lines[-1]) if lines else f"it ended with {said.code}"

    def _json(self, said: Said) -> Any:
        try:
            return json.loads(said.out)
        except ValueError:
            raise Unavailable(f"cannot ask doveadm: it answers {self.daemon.plain(said.out[:80])!r}") from None
