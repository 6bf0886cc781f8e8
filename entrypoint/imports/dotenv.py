"""The new `.env`: a comment for each name of the source, and values that Compose and `check` read back as they are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from entrypoint.imports.assignment import assignment
from entrypoint.imports.explain import Imported
from entrypoint.imports.findings import NONE, TAKEN, TRANSLATED, UNSET, YOU, Finding, one_line
from entrypoint.imports.ours import is_secret

_WIDTH = 118
HEADINGS = {
    TAKEN: "Taken as they are",
    TRANSLATED: "Translated",
    NONE: "Without an equal here",
    UNSET: "Empty there, so that our default counts",
}


def as_text(found: Imported, secrets_dir: str | None, *, with_secrets: bool) -> str:
    """The whole file. Without `with_secrets` and a folder for them, secrets are only named."""
    writer = _Writer(found, secrets_dir, with_secrets=with_secrets)
    return "".join(f"{line}\n" for line in writer.lines())


def secret_name(variable: str) -> str:
    """The file of a secret in the folder: `ldap-password`."""
    return variable.lower().replace("_", "-")


def secret_files(found: Imported) -> dict[str, str]:
    """The secrets that go into files, by file name."""
    return {secret_name(name): value for name, value in found.sets.items() if is_secret(name)}


class _Writer:
    """Each variable is set once, where it first belongs to."""

    def __init__(self, found: Imported, secrets_dir: str | None, *, with_secrets: bool) -> None:
        self.found = found
        self.secrets_dir = secrets_dir
        self.with_secrets = with_secrets
        self.left = dict(found.sets)

    def lines(self) -> Iterator[str]:
        source = self.found.source
        of = f", service {source.service}" if source.service else ""
        yield from _comment(f"Made of {source.file.name}{of} by `entrypoint import {self.found.system}`.")
        yield from _comment(
            'Every name of that file is told below. Fill in what stands under "Needs you", then: '
            "entrypoint check --env-file .env"
        )
        yield from self._for_you()
        for verdict, heading in HEADINGS.items():
            findings = [each for each in self.found.findings if each.outcome.verdict == verdict]
            if findings:
                yield from ("", f"# --- {heading}")
            for finding in findings:
                yield from self._finding(finding)

    def _for_you(self) -> Iterator[str]:
        yield from ("", "# --- Needs you")
        for v in self.found.missing():
            yield from _comment(f"{v.name} is missing: {v.meaning} ({v.accepts()})")
            yield f"#{v.name}{'_FILE=./secrets/' + secret_name(v.name) if v.secret else '=' + v.example}"
        for objection in self.found.objections():
            yield from _comment(objection)
        for finding in self.found.findings:
            if finding.outcome.verdict == YOU:
                yield from self._finding(finding)

    def _finding(self, finding: Finding) -> Iterator[str]:
        equals = f"={finding.shown()}" if finding.value and not finding.name.endswith(":") else f" {finding.shown()}"
        yield from _comment(f"{finding.name}{equals.rstrip()}: {finding.outcome.because}")
        for name, value in finding.outcome.sets.items():
            if finding.outcome.verdict == YOU:
                yield f"#{_proposed(name, value)}"
            elif name in self.left:
                del self.left[name]
                yield from self._set(name, value)

    def _set(self, name: str, value: str) -> Iterator[str]:
        if not is_secret(name):
            yield assignment(name, value)
        elif self.secrets_dir is not None:
            yield assignment(f"{name}_FILE", f"{self.secrets_dir}/{secret_name(name)}")
        elif self.with_secrets:
            yield f"# A secret: better in a file (--secrets-dir), as {name}_FILE=./secrets/{secret_name(name)}"
            yield assignment(name, value)
        else:
            yield "# A secret: written only into a file, by --out, or --secrets-dir"
            yield f"#{name}=********"


def _proposed(name: str, value: str) -> str:
    """As it may be written once somebody has looked at it; of one line, which a # makes a comment."""
    if is_secret(name):
        return f"{name}=********"
    return assignment(name, value) if value.isprintable() else f"{name}={one_line(value)}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
