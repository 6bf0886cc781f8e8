"""Whether files that others write are still as they were read.

Asked for by stat and not by inotify: Kubernetes swaps a symlink some folders above, which no watch
on the file tells.
"""

from __future__ import annotations

from pathlib import Path


def signature(path: str) -> str:
    """What changes when the file does, or, for a folder, anything in it; empty when it is not there."""
    try:
        real = Path(path).resolve()
        status = real.stat()
        entries = sorted(real.iterdir()) if real.is_dir() else []
    except OSError:
        return ""
    own = f"{real} {status.st_ino} {status.st_size} {status.st_mtime_ns}"
    return "\n".join([own, *(signature(str(entry)) for entry in entries)])
