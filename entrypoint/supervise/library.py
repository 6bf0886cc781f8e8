"""What we use of supervisor 4.3 (and structlog), imported without what we do not use.

supervisor imports its web server, XML-RPC and e-mail on the way, structlog imports asyncio: 7 MiB
and 0.2 s in each container for nothing. While they are imported, empty modules stand in for those.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType

_UNUSED = (
    "asyncio",
    "html.entities",
    "html.parser",
    "http.client",
    "importlib.metadata",
    "importlib.resources",
    "supervisor.xmlrpc",
    "xmlrpc.client",
)


class _Absent(ModuleType):
    """A module with every name in it: each stands for a class that nobody makes a value of."""

    __path__: list[str] = []  # noqa: RUF012  # as a package has it

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextlib.contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Have empty modules under `names`, unless they are there; afterwards they can be imported."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update((name, _Absent(name)) for name in absent)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


# ServerOptions asks for a temporary directory that it never uses here, and raises where none
# is writable.
tempfile.tempdir = tempfile.tempdir or "/"

with _without(_UNUSED):
    importlib.import_module("structlog")
    from supervisor import events
    from supervisor.medusa.asyncore_25 import ExitNow
    from supervisor.options import ProcessConfig, ProcessGroupConfig, ServerOptions
    from supervisor.poller import BasePoller
    from supervisor.process import Subprocess
    from supervisor.states import STOPPED_STATES, ProcessStates, SupervisorStates
    from supervisor.supervisord import Supervisor

__all__ = [
    "STOPPED_STATES",
    "BasePoller",
    "ExitNow",
    "ProcessConfig",
    "ProcessGroupConfig",
    "ProcessStates",
    "ServerOptions",
    "Subprocess",
    "Supervisor",
    "SupervisorStates",
    "events",
]
