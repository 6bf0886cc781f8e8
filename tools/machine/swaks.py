"""swaks with TLS: a mail client that others know, as a judge beside Python's own in the stack tests."""

from __future__ import annotations

from tools.commands import ask
from tools.console import Step, ToolError
from tools.machine import apt

# swaks itself needs no more than Perl; TLS is a library that it looks for.
PACKAGES = ["swaks", "libnet-ssleay-perl"]
HELP = ("The stack tests send mail with swaks: `swaks --support` has to say that TLS is supported.",)


def set_up(step: Step) -> None:
    """Make `swaks --tls` work."""
    if ready():
        step.outcome = "ok: swaks"
        return
    try:
        apt.install(PACKAGES, step.say)
    except ToolError as error:
        raise ToolError(str(error), *error.help_lines, *HELP) from error
    if not ready():
        raise ToolError("cannot use the swaks that is installed", *HELP)
    step.done("installed swaks")


def ready() -> bool:
    """Whether there is a swaks that knows TLS."""
    return "TLS supported" in (ask("swaks", "--support") or "")
