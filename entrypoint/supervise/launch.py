"""Processes and FIFOs, with nothing but system calls.

The second stage launches the programs first and imports the rest of itself, which takes longer
than that, while they start. So this module imports as little as possible.
"""

from __future__ import annotations

import os
import stat
import time

from entrypoint.light import TYPE_CHECKING, read_json, signal, suppress
from entrypoint.supervise.become import HANDLED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# Python ignores SIGPIPE and SIGXFSZ; a program that inherits that does not end as it should.
_RESET = (*HANDLED, signal.SIGPIPE, signal.SIGXFSZ)
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Process:
    """A process just started: its PID, the ends to read of its pipes, when (monotonic) it was."""

    def __init__(self, pid: int, pipes: tuple[int, int]) -> None:
        self.pid = pid
        self.pipes = pipes
        self.at = time.monotonic()


class Launched:
    """What there was before the supervisor: processes by program, descriptors by FIFO."""

    def __init__(self, processes: Mapping[str, Process], fifos: Mapping[str, int]) -> None:
        self.processes = processes
        self.fifos = fifos


def launch_plan(path: str) -> Launched:
    """Start the programs of the plan in the file `path` that have nothing to wait for; jobs have.

    What cannot be started is left out.
    """
    programs: list[dict[str, Any]] = read_json(path)["programs"]
    keep_descriptors()
    adopt_orphans()
    fifos = {fifo: open_fifo(fifo) for program in programs for fifo in program["pipes"]}
    processes = {}
    for program in programs:
        if program["kind"] == "job" or program["requires"]:
            continue
        with suppress(OSError, ValueError):  # the supervisor tries again, and says why it cannot
            processes[program["name"]] = launch(program["argv"], program["env"])
    return Launched(processes, fifos)


def launch(argv: Sequence[str], env: Mapping[str, str]) -> Process:
    """Start a command in a process group of its own; OSError or ValueError if it cannot be executed.

    It gets `env` and nothing else, nothing to read, and two pipes to write to, because partial
    lines on standard output and error would mix in one.

    posix_spawn makes no copy of our memory, has no moment in which our signal handlers run in the
    child, and reports what goes wrong here instead of in the child.
    """
    if not argv:
        raise ValueError("the command is empty")
    (out, child_out), (err, child_err) = os.pipe(), os.pipe()
    try:
        pid = os.posix_spawn(
            find_executable(argv[0], env),
            tuple(argv),
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, child_out, 1),
                (os.POSIX_SPAWN_DUP2, child_err, 2),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=_RESET,
        )
    except BaseException:
        os.close(out)
        os.close(err)
        raise
    finally:
        os.close(child_out)
        os.close(child_err)
    os.set_blocking(out, False)
    os.set_blocking(err, False)
    return Process(pid, (out, err))


def find_executable(command: str, env: Mapping[str, str]) -> str:
    """The file that `command` names, looked for in the PATH of `env`; FileNotFoundError if none."""
    if "/" in command:
        return command
    for folder in os.get_exec_path(env):
        file = os.path.join(folder, command)  # noqa: PTH118  # pathlib takes 5 ms to import
        if os.access(file, os.X_OK) and not os.path.isdir(file):  # noqa: PTH112
            return file
    raise FileNotFoundError(2, "no such command in the PATH", command)


def open_fifo(path: str) -> int:
    """A descriptor that reads what is written to the FIFO `path`, and never comes to its end.

    The FIFO is made, with its folders, unless it is there; anything else in its place but a
    folder is replaced.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120  # as above
    with suppress(FileNotFoundError):
        if not stat.S_ISFIFO(os.lstat(path).st_mode):
            os.unlink(path)  # noqa: PTH108
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    # Open for writing as well: with a writer there is no end of file.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, as PID 1 is anyway (prctl(2))."""
    if os.getpid() != 1:
        import ctypes  # as PID 1 the programs need not wait for this

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def keep_descriptors() -> None:
    """Let no program inherit what we have inherited; what we open ourselves Python closes."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError, ValueError):  # the one that listdir used
            if int(name) > 2:
                os.set_inheritable(int(name), False)
