"""One stack for all tests of this folder: started once, always removed; what failed is shown with what was logged."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from datetime import UTC, datetime

import pytest

from tests.stack import recording
from tests.stack.system import System, leaks, make_system, remove, remove_left_overs, without_secrets
from tools.console import ToolError

BEGIN = pytest.StashKey[str]()
SYSTEM = pytest.StashKey[System]()
LOG_LINES = 60


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[System]:
    """The running stack. When it is removed, no secret of its world may be in what it has logged."""
    # Whoever ends the tests politely gets the same as with Ctrl-C: the stack is removed.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    remove_left_overs()
    # The folder's own folder is not for the world; containers only get single files of it.
    made = make_system(tmp_path_factory.mktemp("stack") / "world")
    try:
        start(made)
        pytestconfig.stash[SYSTEM] = made
        yield made
        if recording.FOLDER:
            recording.write(made.logs_since() | made.old_logs)
        else:
            require_no_leak(made)
    finally:
        remove(made.stack.project)
        signal.signal(signal.SIGTERM, before)


def start(system: System) -> None:
    """Start it; what it says meanwhile is shown when that fails."""
    try:
        system.up()
    except ToolError as error:
        pytest.fail("\n".join((str(error), *error.help_lines)), pytrace=False)


def require_no_leak(system: System) -> None:
    """Fail, without showing them, for secrets that any container has logged."""
    secrets = system.secrets()
    found = {name: leaks(text, secrets) for name, text in (system.logs_since() | system.old_logs).items()}
    if any(found.values()):
        pytest.fail(f"secrets in logs: { {name: what for name, what in found.items() if what} }", pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the whole start."""
    for item in items:
        if item.path.parent.name == "stack" and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(400))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember when the test began."""
    item.stash[BEGIN] = datetime.now(UTC).isoformat()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failure what the containers have said since the test began."""
    report = yield
    system = item.config.stash.get(SYSTEM, None)
    if report.failed and system:
        for name, text in system.logs_since(item.stash[BEGIN]).items():
            if lines := text.splitlines()[-LOG_LINES:]:
                shown = without_secrets("\n".join(lines), system.secrets())
                report.sections.append((f"log of {name}", shown))
    return report
