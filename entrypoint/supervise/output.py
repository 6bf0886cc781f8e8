"""A stderr that never blocks PID 1. Lines are kept while nobody reads, up to a limit.

A slow reader slows the daemons down, as a pipe would, and loses nothing. A reader that reads
nothing for a while holds nobody up: what does not fit is dropped, and the number of dropped
lines is logged when it reads again.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog

HIGH_WATER_BYTES = 256 * 1024  # from here on the daemons wait …
LIMIT_BYTES = 2 * 1024 * 1024  # … and here lines are dropped
PATIENCE_S = 1.0  # a reader that has read nothing for so long does not count as slow
_CHUNK_BYTES = 64 * 1024
_OPEN_FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND | os.O_CLOEXEC


class Output:
    """A sink for log lines (`write`), and a dispatcher in supervisor's loop (the rest)."""

    closed = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.fd, self._restore = _unblocked(descriptor)
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0  # since it was told last
        self.dropped_lines = 0  # in all
        self._progress = time.monotonic()
        self._retry = 0.0

    def write(self, text: str) -> int:
        """Take one or more whole lines, or drop and count them."""
        data = text.encode("utf-8", "backslashreplace")
        self._tell_dropped()
        if self._full(len(data)):
            self._drop(data)
        else:
            self._append(data)
        return len(text)

    def _append(self, data: bytes) -> None:
        if not self._size:
            self._progress = time.monotonic()
        self._lines.append(data)
        self._size += len(data)

    def flush(self) -> None:
        """Nothing: the loop writes when the reader is ready."""

    def isatty(self) -> bool:
        """Whether a person is reading."""
        return os.isatty(self._descriptor)

    def congested(self) -> bool:
        """Whether daemons should wait for the reader."""
        return self._size > HIGH_WATER_BYTES and time.monotonic() - self._progress < PATIENCE_S

    def deadline_s(self) -> float | None:
        """Seconds until the daemons need not wait any longer."""
        if self._size <= HIGH_WATER_BYTES:
            return None
        left = PATIENCE_S - (time.monotonic() - self._progress)
        return left if left > 0 else None

    def readable(self) -> bool:
        """Never: it is for writing."""
        return False

    def writable(self) -> bool:
        """Whether there is something to write."""
        return bool(self._lines)

    def handle_read_event(self) -> None:
        """Never called: not readable."""

    def handle_error(self) -> None:
        """Nothing: handle_write_event deals with its errors."""

    def handle_write_event(self) -> None:
        """Write as much as the reader takes now."""
        data = self._take()
        written = self._write(data)
        if written is None:
            return
        if written < len(data):
            self._lines.appendleft(data[written:])
        self._size -= written
        if written:
            self._progress = time.monotonic()
        self._tell_dropped()

    def _take(self) -> bytes:
        """The first lines, about as much as a pipe holds."""
        taken: list[bytes] = []
        size = 0
        while self._lines and size < _CHUNK_BYTES:
            taken.append(self._lines.popleft())
            size += len(taken[-1])
        return b"".join(taken)

    def _write(self, data: bytes) -> int | None:
        """How many bytes were written; None when everything is lost."""
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # no reader any more, a closed terminal, a full disk: try again later
            self._retry = time.monotonic() + PATIENCE_S
            self._drop(data, *self._lines)
            self._lines.clear()
            self._size = 0
            return None

    def _drop(self, *pieces: bytes) -> None:
        """Count the lines in them: what is taken to be written, or was written in part, is many in one."""
        lines = sum(piece.count(b"\n") for piece in pieces)
        self._dropped += lines
        self.dropped_lines += lines

    def _full(self, more: int) -> bool:
        """Whether `more` bytes have no room. Once lines are dropped, there is room again only
        when the reader has really read, so that not every other line is missing.
        """
        if self._dropped:
            return self._size > HIGH_WATER_BYTES or time.monotonic() < self._retry
        return self._size + more > LIMIT_BYTES

    def _tell_dropped(self) -> None:
        """Log how many lines are missing here."""
        if self._dropped and not self._full(0):
            count, self._dropped = self._dropped, 0
            structlog.get_logger().warning("log lines dropped: stderr was not read", count=count)

    def close(self, limit_s: float) -> None:
        """Write what the reader takes within `limit_s`, and leave stderr as it was."""
        deadline = time.monotonic() + limit_s
        waiter = select.poll()
        waiter.register(self.fd, select.POLLOUT)
        while self._lines and (left := deadline - time.monotonic()) > 0:
            if waiter.poll(left * 1000):
                self.handle_write_event()
        self._restore()
        self.closed = True


def _unblocked(descriptor: int) -> tuple[int, Callable[[], None]]:
    """A descriptor that does not block, for what `descriptor` writes to, and how to undo it.

    O_NONBLOCK belongs to the open file, which others may share (a terminal's shell, say); so it
    is opened anew where that is possible.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.dup(descriptor), lambda: None  # never blocks, and has its place to share
    with suppress(OSError):  # a socket, or a pipe of another user
        return os.open(f"/proc/self/fd/{descriptor}", _OPEN_FLAGS), lambda: None
    return _shared(descriptor)


def _shared(descriptor: int) -> tuple[int, Callable[[], None]]:
    before = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    return os.dup(descriptor), lambda: os.set_blocking(descriptor, before)
