"""PID 1: runs the programs of a plan until it is told to stop. Nothing here knows about mail.

    become_supervisor(plan_file)   replaces this process by a supervisor of that plan
    supervise(plan)                runs the plan's programs here, and returns the exit code

The modules, in the order in which they come into play: `become` (the change of process image),
`launch` (processes and FIFOs), `library` (what we use of supervisor 4.3), `orphans` (processes
nobody waits for), `output` (a stderr that never blocks us), `channels` (lines out of pipes),
`daemon` (one program: death, backoff, stop), `loop` (signals, deadlines, the loop), `state`
(state.json). The first two import next to nothing, so that the daemons start before the rest of
the supervisor is loaded.
"""

from __future__ import annotations

from entrypoint.supervise.become import become_supervisor

TYPE_CHECKING = False  # as in typing, which takes 5 ms to import
if TYPE_CHECKING:
    from pathlib import Path

    from entrypoint.plan import Plan
    from entrypoint.supervise.launch import Launched

__all__ = ["become_supervisor", "supervise"]


def supervise(plan: Plan, state_file: Path | None = None, launched: Launched | None = None) -> int:
    """Run all programs of `plan` until a signal or a hopeless program ends it; the exit code.

    0 after an orderly stop. When one program has died `deaths_limit` times within
    `deaths_window_s`: its own exit code, 128+N for signal N, 127 if it cannot be executed, and
    1 where it ended with 0, since a daemon that ends by itself has not done its job.

    The state is kept in `state_file` (default: /run/entrypoint/state.json). What has been
    `launched` already is taken over.
    """
    from importlib import import_module

    import_module("entrypoint.supervise.library")  # first, since it imports less of what others import
    from entrypoint.supervise.loop import run

    return run(plan, state_file, launched)
