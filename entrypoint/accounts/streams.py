"""Where a backup goes to and comes from: a file or a pipe, and not a terminal."""

from __future__ import annotations

import os
import stat
import sys

from entrypoint.errors import UsageError


def insist_on_files(verb: str) -> None:
    """UsageError on a terminal, with how it is done; a warning for a file that others can read."""
    if verb == "restore":
        if sys.stdin.isatty():
            raise UsageError("cannot read the backup from a terminal: entrypoint directory restore <directory.ldif")
        return
    if sys.stdout.isatty():
        raise UsageError(
            "cannot write the backup to a terminal: it has the hashes of all passwords; "
            "(umask 077; entrypoint directory backup >directory.ldif)"
        )
    mode = os.fstat(sys.stdout.fileno()).st_mode
    if stat.S_ISREG(mode) and mode & 0o044:
        print("warning: others can read this file, which has the hashes of all passwords: chmod 600", file=sys.stderr)
