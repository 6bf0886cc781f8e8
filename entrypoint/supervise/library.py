"""What we use of supervisor 4.3 (and structlog), imported without what we do not use.

supervisor imports its web server, XML-RPC and e-mail on the way, structlog imports asyncio: 7 MiB
and 0.2 s in each container for nothing. While they are imported, empty modules stand in for those.
"""

from __future__ import annotations

import importlib
import tempfile

from entrypoint.absent import without

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

# ServerOptions asks for a temporary directory that it never uses here, and raises where none
# is writable.
tempfile.tempdir = tempfile.tempdir or "/"

with without(*_UNUSED):
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
