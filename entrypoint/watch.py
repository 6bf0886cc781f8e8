"""Whether files that others write are still as they were read.

Asked for by stat and not by inotify: Kubernetes swaps a symlink some folders above, which no watch
on the file tells.
"""

from __future__ import annotations

from pathlib import Path


def signature(path: str) -> str:
    """What changes when the file does, or, for a folder, anything in it; empty when it is not there."""
    return _signature(Path(path), frozenset())


def _signature(path: Path, above: frozenset[Path]) -> str:
    """The same; `above` are the folders that it is in: a link to one of them leads nowhere else."""
    try:
        real = path.resolve()
        status = real.stat()
        entries = sorted(real.iterdir()) if real.is_dir() and real not in above else []
    except (OSError, RuntimeError):  # RuntimeError: a link to itself, before Python 3.13
        return ""
    own = f"{real} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
    return "\n".join([own, *(_signature(entry, above | {real}) for entry in entries)])
