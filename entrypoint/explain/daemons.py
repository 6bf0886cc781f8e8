"""Programs of the daemons, asked: by argv, with the rest on stdin, and their answers without secrets.

What Exim says of an expansion that fails has the directory's password in it, cut off anywhere: only the reason behind
it is passed on.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entrypoint.check import masked
from entrypoint.errors import Unavailable

_LIMIT_S = 40.0
# Words of Exim's that quote a query: expansion of "…pass=…" failed …: lookup of "…pass=…" gave DEFER: the reason.
_QUERY = re.compile(r"pass=|\blookup ldap")
_REASON = "gave DEFER: "
_WITHOUT = "the directory, or what else has to be looked up, does not answer"


@dataclass(frozen=True)
class Said:
    """What a program has said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Daemon:
    """How programs are run here."""

    env: Mapping[str, str]
    hidden: Sequence[str]

    def ask(self, *argv: str, stdin: str = "") -> Said:
        """Unavailable when there is no answer, or no program."""
        program = argv[0].rpartition("/")[2]
        try:
            done = subprocess.run(
                argv,
                env=dict(self.env),
                input=stdin.encode(),
                capture_output=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"cannot ask {program}: no answer within {_LIMIT_S:g} s") from None
        except OSError as error:
            raise Unavailable(f"cannot ask {program}: {error.strerror}") from None
        return Said(done.returncode, *(each.decode(errors="backslashreplace") for each in (done.stdout, done.stderr)))

    def plain(self, text: str) -> str:
        """Words of a program's, fit to be shown: one line, without queries and secrets."""
        if _QUERY.search(text):
            _, told, reason = text.rpartition(_REASON)
            text = f"{_WITHOUT}: {reason}" if told and not _QUERY.search(reason) else _WITHOUT
        return " ".join(masked(text, self.hidden).split())
