"""The step from the first stage to the second: the same PID, a new process image.

The new image has no secrets in its environment, and none of the memory of templates and probes.
"""

from __future__ import annotations

import os
import sys

from entrypoint.light import TYPE_CHECKING, signal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import NoReturn

# All that are handled; held back until they are, so that none is lost in the meantime. As PID 1
# the kernel would drop them: it delivers to PID 1 only what has a handler or is blocked.
HANDLED = (
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)

_KEPT = frozenset({"PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "NO_COLOR"})


def hold_signals() -> None:
    """Let the signals that stop, reload or report wait until somebody handles them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def bare_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of `environment` the second stage needs: paths, locale, time zone, Python's flags."""
    return {k: v for k, v in environment.items() if k in _KEPT or k.startswith("PYTHON")}


def command(plan_file: Path | str) -> list[str]:
    """What the second stage is started with.

    Without Python's site module (-S), whose search takes as long as the rest of the way to the first
    daemon: the first stage knows what it finds, and passes that on.
    """
    places = [place for place in sys.path if os.path.isabs(place) and os.path.isdir(place)]  # noqa: PTH112, PTH117
    main = os.path.join(os.path.dirname(__file__), "__main__.py")  # noqa: PTH118, PTH120  # pathlib takes 5 ms
    flags = "-IBS" if sys.dont_write_bytecode else "-IS"
    return [sys.executable, flags, main, str(plan_file), *places]


def become_supervisor(plan_file: Path | str = "/run/entrypoint/plan.json") -> NoReturn:
    """Replace this process by the supervisor of the plan in `plan_file`."""
    hold_signals()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command(plan_file), bare_environment(os.environ))  # noqa: S606  # no shell is the point
