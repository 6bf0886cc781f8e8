"""The folders that outlive the container: there, writable, and with room, before a daemon needs them.

A folder that Docker made on the host belongs to root; a daemon would say so in its own way, late.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from entrypoint.errors import CheckError


def check_writable(folders: Iterable[str]) -> None:
    """CheckError for the first folder in which this user cannot write, with the cure."""
    for folder in folders:
        if not Path(folder).is_dir():
            raise CheckError(f"cannot use {folder}: it does not exist; mount a volume there")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise CheckError(
                f"cannot write in {folder} as uid {os.getuid()}, gid {os.getgid()}: on the host, let group 0 "
                "write in the folder that is mounted there (chgrp -R 0 FOLDER; chmod -R g+rwX FOLDER)"
            )
