"""What clamd searches for: official signatures that freshclam fetches, and files of one's own.

    python -m entrypoint.signatures check|first|update download|own

All are in one folder, since clamd reads one. Own files lie there as `own-NAME`; when one is taken away from where its
owner keeps it, its copy goes, too; when it is changed into one that is no good, the copy stays. None comes in without
having been tried: freshclam tries what it fetches, and own files are loaded once by clamscan. `own` instead of
`download` says that freshclam has nothing to fetch.

Without any signature clamd cannot start. So the program `first-signatures` comes before it, and does not end, and does
not give up, until there are some: a mirror that is away, or far, is no reason for a new container.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from entrypoint.errors import CheckError, EntrypointError, ProbeError
from entrypoint.probe import Probe
from entrypoint.probes.clamd import ask_reload
from entrypoint.probes.talk import Talk
from entrypoint.services.clamav import LIBRARY, OWN, PORT

CLAMSCAN = ("/usr/bin/clamscan", "--no-summary")
FRESHCLAM = ("/usr/bin/freshclam", "--config-file=/run/config/freshclam.conf", "--stdout")
PREFIX = "own-"
# Formats that a person writes or is given, and the official ones (ClamAV's manual, "Signatures").
KINDS = frozenset(
    """
    .cat .cbc .cdb .cfg .cld .crb .cud .cvd .fp .ftm .hdb .hdu .hsb .hsu .idb .ign .ign2 .imp .info .ldb .ldu
    .mdb .mdu .msb .msu .ndb .ndu .pdb .pwdb .sfp .wdb .yar .yara
    """.split()  # noqa: SIM905
)
CONTAINERS = frozenset({".cvd", ".cld"})  # these are signed as a whole
PAUSE_S, LONGEST_PAUSE_S = 15.0, 600.0
PROGRESS_S = 10.0
MIB = 2**20


@dataclass(frozen=True)
class Library:
    """The folder that clamd reads, the one with own files, and commands that fetch new ones (if any) and try them."""

    folder: Path = Path(LIBRARY)
    own: Path = Path(OWN)
    fetch: tuple[str, ...] = FRESHCLAM
    trial: tuple[str, ...] = CLAMSCAN
    port: int = PORT

    def check(self) -> None:
        """CheckError for the first own file that clamd could not load, and where nothing can ever be there."""
        files = self.own_files()
        for file in files:
            self.try_file(file)
        if not files and not self.fetch and not self.has_any():
            raise CheckError(
                f"cannot scan without signatures: FRESHCLAM_MIRROR is none, FRESHCLAM_URLS is empty, and there is no "
                f"file in CLAMAV_SIGNATURES_DIR ({self.own}); set one of them, or ENABLE_CLAMAV=no"
            )

    def first(self) -> None:
        """Return when there is something to load; with pauses between tries that grow."""
        self.put_aside_damaged()
        self.take_over_own()
        pause_s = PAUSE_S
        while not self.has_any():
            _say("there are no signatures yet: mail that is to be scanned has to wait until the first ones are here")
            code = self.freshen()
            if self.has_any():
                return
            _say(f"WARNING: no signatures (freshclam ended with {code}); the next try is in {pause_s:g} s")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def update(self) -> int:
        """Take over what is new and good, and tell clamd; freshclam's exit code, or 78 for a bad own file."""
        before = self.contents()
        refused = self.take_over_own()
        code = self.freshen() if self.fetch else 0
        if self.contents() != before:
            self.tell_clamd()
        return code or (CheckError.exit_code if refused else 0)

    def own_files(self) -> list[Path]:
        """Those of their owner, sorted. CheckError for one that is of no kind that clamd knows."""
        try:
            found = sorted(path for path in self.own.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckError(f"cannot read {self.own} (CLAMAV_SIGNATURES_DIR): {error.strerror}") from None
        for path in found:
            if path.suffix not in KINDS:
                raise CheckError(
                    f"cannot take {path.name} in {self.own} (CLAMAV_SIGNATURES_DIR) for signatures: clamd knows files "
                    f"by their endings, such as .ndb, .ldb, .hdb or .yara; name it so, or keep it elsewhere"
                )
        return found

    def has_any(self) -> bool:
        """Whether clamd would find something to load."""
        return any(path.suffix in KINDS for path in self.folder.iterdir())

    def contents(self) -> dict[str, tuple[int, int]]:
        """Names of what clamd would load, with something that changes when they do."""
        found = [(path.name, path.stat()) for path in self.folder.iterdir() if path.suffix in KINDS]
        return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in found}

    def take_over_own(self) -> bool:
        """Copy own files that are other ones than before, each at once, and remove copies of others.

        One that is no good, which is told, leaves the copy as it was; whether there are such.
        """
        try:
            files = {f"{PREFIX}{path.name}": path for path in self.own_files()}
        except CheckError as error:
            _say(f"ERROR: {error}; all own files stay as they were")
            return True
        for copy in self.folder.glob(f"{PREFIX}*"):
            if copy.name not in files:
                copy.unlink()
                _say(f"{copy.name.removeprefix(PREFIX)} is no longer used")
        taken = [self._take_over(path, self.folder / name) for name, path in files.items()]
        return not all(taken)

    def _take_over(self, path: Path, copy: Path) -> bool:
        try:
            if not copy.exists() or copy.read_bytes() != path.read_bytes():
                self.try_file(path)
                aside = copy.with_name(f".{copy.name}.new")
                shutil.copyfile(path, aside)
                aside.replace(copy)
                _say(f"{path.name} is taken over")
        except (CheckError, OSError) as error:
            _say(f"ERROR: {error}; {'the one before stays' if copy.exists() else 'it is not used'}")
            return False
        return True

    def try_file(self, file: Path) -> None:
        """CheckError with clamscan's words when it cannot load the file."""
        if not os.access(file, os.R_OK):
            raise CheckError(
                f"cannot read {file} (CLAMAV_SIGNATURES_DIR): permission denied; make it readable for group 0"
            )
        done = _run(*self.trial, f"--database={file}", "-")
        complaints = _complaints(done)
        if done.returncode or complaints:  # it passes over rules of YARA's that it does not understand, and ends with 0
            words = "; ".join(complaints) or f"clamscan ended with {done.returncode}"
            raise CheckError(f"cannot load {file.name} (CLAMAV_SIGNATURES_DIR): {words}")

    def put_aside_damaged(self) -> None:
        """Rename official databases that are not whole: clamd would not start, and freshclam not replace them."""
        for path in sorted(self.folder.iterdir()):
            if path.suffix in CONTAINERS and not path.name.startswith(PREFIX):
                done = _run("/usr/bin/sigtool", f"--info={path}")
                if done.returncode:
                    path.replace(path.with_name(f"{path.name}.damaged"))
                    _say(f"WARNING: {path.name} is damaged ({_last_line(done)}): put aside as {path.name}.damaged")

    def freshen(self) -> int:
        """Run freshclam, and tell how far it is, which it only does on a terminal; its exit code."""
        begin = time.monotonic()
        with subprocess.Popen(self.fetch) as process, _now_and_then(lambda: self._tell_progress(begin)):
            return process.wait()

    def _tell_progress(self, begin: float) -> None:
        size = sum(map(_size, self.folder.glob("tmp.*/*")))
        if size:
            _say(f"downloading: {size / MIB:.1f} MiB after {time.monotonic() - begin:.0f} s")

    def tell_clamd(self) -> None:
        """Have it load what has changed. While it does not answer, it will load that anyway."""
        try:
            with Talk(Probe(kind="clamd", host="127.0.0.1", port=self.port)) as talk:
                _say(f"clamd says: {ask_reload(talk)}")
        except ProbeError as error:
            _say(f"clamd cannot be told: {error}")


class _now_and_then:  # noqa: N801  # used as contextlib's are
    """A time in which something is done every PROGRESS_S."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def _go_on(self) -> None:
        while not self._over.wait(PROGRESS_S):
            self._work()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def _complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^(?:LibClamAV Error|ERROR): (.+)$", done.stdout, re.MULTILINE)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout.strip().splitlines() or ["no reason given"])[-1]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # ready in this moment


def _say(line: str) -> None:
    # In clamd's manner, whose parser reads freshclam's lines out of the same pipe.
    print(line, flush=True)


def main(what: str, source: str, library: Library | None = None) -> int:
    """Do what the command line says; the exit code."""
    library = library or Library(fetch=FRESHCLAM if source == "download" else ())
    try:
        if what == "update":
            return library.update()
        {"check": library.check, "first": library.first}[what]()
    except EntrypointError as error:
        _say(str(error) if what == "check" else f"ERROR: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
