"""Lines out of pipes: dispatchers for supervisor's loop, which calls them when there is something
to read. None of them closes because of an exception: a daemon whose pipe nobody reads stops.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import structlog

LINE_LIMIT_BYTES = 16 * 1024
_READ_BYTES = 64 * 1024

TakeLine = Callable[[str, int], None]


class Dispatcher:
    """What supervisor's loop asks of the owner of a descriptor."""

    closed = False

    def __init__(self, descriptor: int) -> None:
        self.fd = descriptor

    def readable(self) -> bool:
        """Whether to wait for something to read."""
        return not self.closed

    def writable(self) -> bool:
        """Whether to wait for room to write."""
        return False

    def handle_read_event(self) -> None:
        """Read."""

    def handle_write_event(self) -> None:
        """Write."""

    def handle_error(self) -> None:
        """Called with an exception being handled. supervisor would close the channel."""
        structlog.get_logger().exception("exception in a channel")


class Lines:
    """Whole lines out of pieces: joined when partial, cut when overlong. Empty lines are left out."""

    def __init__(self, take: TakeLine) -> None:
        self._take = take
        self._partial = b""
        self._cut = 0

    def feed(self, data: bytes) -> None:
        """Take each line that ends in `data`, and keep what follows."""
        first, *others = data.split(b"\n")
        self._keep(first)
        if others:
            self.end()
            last = others.pop()
            for line in others:  # whole, as nearly all are: nothing to keep
                self._hand_on(line[:LINE_LIMIT_BYTES], max(0, len(line) - LINE_LIMIT_BYTES))
            self._keep(last)

    def _keep(self, piece: bytes) -> None:
        room = LINE_LIMIT_BYTES - len(self._partial)
        self._partial += piece[:room]
        self._cut += max(0, len(piece) - room)

    def end(self) -> None:
        """Take what there is as a line."""
        line, cut = self._partial, self._cut
        self._partial, self._cut = b"", 0
        self._hand_on(line, cut)

    def _hand_on(self, line: bytes, cut: int) -> None:
        if line:
            try:
                self._take(line.decode("utf-8", "backslashreplace"), cut)
            except Exception:  # noqa: BLE001  # the lines that follow count more
                structlog.get_logger().exception("cannot log a line")


class Channel(Dispatcher):
    """A daemon's output, from one descriptor, until its end."""

    def __init__(self, descriptor: int, take: TakeLine, hold: Callable[[], bool]) -> None:
        """`hold` says whether the daemon has to wait, because nobody takes the lines away."""
        super().__init__(descriptor)
        self._lines = Lines(take)
        self._hold = hold

    def readable(self) -> bool:
        """Whether a line would find room."""
        return not self.closed and not self._hold()

    def handle_read_event(self) -> None:
        """Read what there is, once, so that one daemon does not hold up the others."""
        self._read()

    def _read(self) -> bool:
        """Whether there was something to read."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.closed = True
        self._lines.feed(data)
        return bool(data)

    def drain(self, limit_bytes: int = 2 * 1024 * 1024) -> None:
        """Read all there is, room or not: the writer has died. What it left behind still may write."""
        while not self.closed and limit_bytes > 0 and self._read():
            limit_bytes -= _READ_BYTES
        self._lines.end()


class Wakeup(Dispatcher):
    """The pipe that the interpreter writes to when a signal arrives (signal.set_wakeup_fd).

    Without it the loop would notice a signal only after its poll, as Python goes on waiting after
    a signal (PEP 475).
    """

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(self.writing, False)
        super().__init__(reading)

    def wake(self) -> None:
        """Let the next poll return at once."""
        os.write(self.writing, b"\0")

    def handle_read_event(self) -> None:
        """Forget the bytes: what they stand for is found out by asking."""
        with suppress(BlockingIOError):
            os.read(self.fd, _READ_BYTES)
