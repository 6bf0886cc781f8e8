"""The exceptions of the package, each with the exit code that it ends the container with.

EntrypointError               70  a bug in entrypoint
├── UsageError                64  wrong command line
├── Unavailable               69  a needed service did not answer in time
│   └── ProbeError            69  one probe found no, or a wrong, answer
└── Refused                   78  settings or configuration refused
    ├── SettingsError         78  the environment is wrong: all mistakes at once
    ├── RenderError           78  a template and its values do not fit
    ├── CheckError            78  the daemon's own checker said no
    └── NeedRefused           78  waiting cannot cure what a needed service answered

A daemon that cannot be executed ends with 127; otherwise the daemon's own code counts.
"""

from __future__ import annotations


class EntrypointError(Exception):
    """Everything that this package raises on purpose."""

    exit_code = 70


class UsageError(EntrypointError):
    """The command line cannot be understood."""

    exit_code = 64


class Unavailable(EntrypointError):
    """A needed service did not answer in time."""

    exit_code = 69


class ProbeError(Unavailable):
    """A probe did not get the answer it wants.

    `stage` is the step that failed ("name", "tcp", "tls", "login", "answer"); `curable` says
    whether asking again later may help: refused connections heal, wrong passwords do not.
    """

    def __init__(self, stage: str, reason: str, *, curable: bool = True) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason
        self.curable = curable


class Refused(EntrypointError):
    """What was given cannot become a running service; a person has to change it."""

    exit_code = 78


class SettingsError(Refused):
    """The environment is wrong. `mistakes` holds one sentence for each, sorted by variable."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("cannot read the settings:\n" + "\n".join(f"  {m}" for m in mistakes))
        self.mistakes = mistakes


class RenderError(Refused):
    """A template and its values do not fit together."""


class CheckError(Refused):
    """The daemon's own checker refused what was rendered; the text ends with its words."""


class NeedRefused(Refused):
    """A needed service gave an answer that no waiting will change."""
