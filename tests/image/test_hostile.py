"""Whatever is written into a free text, the daemon's own parser reads just that; or it is refused, by name.

Exim expands its strings (-be), Dovecot and rspamd show what they have read (doveconf, rspamadm configdump), Redis is
asked for its password (CONFIG GET), dnsmasq tests its file and answers. That no other variable takes such values is
tested without daemons (tests/unit/test_hostile.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoint.settings.kinds import has_controls
from tests.containers import HARDENED, IMAGES
from tests.hostile import EXAMPLES, PLACES, Free, Place, texts

pytestmark = pytest.mark.image

READER = Path(__file__).with_name("reader.py")
# Each question costs rspamd, which reads all of Debian's rules, a second or more, Exim a tenth.
QUESTIONS = {"rspam": 8}
WITH_TEXTS = sorted(name for name, place in PLACES.items() if place.free)


class Reader:
    """A container that answers what a daemon reads out of its rendered files."""

    def __init__(self, process: subprocess.Popen[str], place: Place) -> None:
        self.process = process
        self.place = place

    def ask(self, changes: Mapping[str, str]) -> dict[str, Any]:
        """The mistakes, or the values."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps({"env": {**self.place.env, **changes}}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, "the reader has ended; its last words are above"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def reading(service: str) -> Iterator[Reader]:
    """The reader of a service, in its image and as its user."""
    place = PLACES[service]
    command = (
        *("docker", "run", "--rm", "--interactive", *HARDENED, f"--user={place.user}:0"),
        f"--volume={READER}:/reader.py:ro",
        *("--entrypoint=/opt/postern/venv/bin/python", f"postern-{place.image}:{IMAGES}", "/reader.py", service),
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Reader(process, place)
        finally:
            assert process.stdin
            process.stdin.close()  # its sign to end


@pytest.fixture(scope="module", params=WITH_TEXTS)
def reader(request: pytest.FixtureRequest) -> Iterator[tuple[str, Reader]]:
    with reading(request.param) as running:
        yield request.param, running


def require_that_it_reads(reader: Reader, written: Mapping[str, str]) -> int:
    """Fail for a text that is read as another one, or refused without reason; how many were read back."""
    free = reader.place.free
    while "refused" in (answer := reader.ask({name: free[name].given(text) for name, text in written.items()})):
        refused = {name for name in written for sentence in answer["refused"] if sentence.startswith(name)}
        assert refused, f"refused, but not by name: {answer['refused']}"
        for name in refused:
            given = free[name].given(written[name])
            assert may_be_refused(written[name]) or may_be_refused(given), f"{name} refused {written[name]!r}"
        written = {name: text for name, text in written.items() if name not in refused}
    assert read_back(free, written, answer["values"]) == expected(free, written)
    return len(written)


def may_be_refused(value: str) -> bool:
    """Control characters, too long, or in quotes as a whole: what no text may be."""
    return has_controls(value) or len(value) > 16384 or (len(value) > 1 and value[0] == value[-1] and value[0] in "'\"")


def read_back(free: Mapping[str, Free], written: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    return {key: values[key] for name in written for key in free[name].read}


def expected(free: Mapping[str, Free], written: Mapping[str, str]) -> dict[str, str]:
    return {key: meant(text) for name, text in written.items() for key, meant in free[name].read.items()}


def test_each_of_the_usual_suspects_is_read_as_it_is_or_refused(reader: tuple[str, Reader]) -> None:
    """In each question, each variable has another one; in the end each has had all, where that costs little."""
    service, running = reader
    names = sorted(running.place.free)
    suspects = [text for text in EXAMPLES if text.strip()]
    step = len(suspects) // QUESTIONS.get(service, len(suspects))
    asked = [
        {name: suspects[(number * step + place * 7) % len(suspects)] for place, name in enumerate(names)}
        for number in range(len(suspects) // step)
    ]
    read = sum(require_that_it_reads(running, written) for written in asked)
    assert read > 0


def test_any_other_text_is_read_as_it_is_or_refused(reader: tuple[str, Reader]) -> None:
    service, running = reader
    names = sorted(running.place.free)

    @settings(
        max_examples=QUESTIONS.get(service, 60),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=False,
    )
    @given(st.lists(texts.filter(str.strip), min_size=len(names), max_size=len(names)))
    def try_them(found: list[str]) -> None:
        require_that_it_reads(running, dict(zip(names, found, strict=True)))

    try_them()


def test_the_reader_would_notice_another_text(reader: tuple[str, Reader]) -> None:
    """The twin of all the above: what was not written is not read."""
    _, running = reader
    name = min(name for name, free in running.place.free.items() if free.read)
    values = running.ask({name: running.place.free[name].given("abc")})["values"]
    assert read_back(running.place.free, {name: "abc"}, values) == expected(running.place.free, {name: "abc"})
    assert read_back(running.place.free, {name: "abc"}, values) != expected(running.place.free, {name: "abd"})


def test_dnsmasq_answers_for_the_longest_and_oddest_names_that_are_allowed() -> None:
    label = "a" + "_" * 61 + "z"
    with reading("mail-dnsmasq") as running:
        for name in ("a_b.example.net", "1-2.example.net", ".".join([label] * 3 + ["b" * 61])):
            values = running.ask({"DNS_HOSTS": f"{name}=192.0.2.77"})["values"]
            assert values == {"name": name, "address": f"{name} 192.0.2.77"} or values["address"].endswith("192.0.2.77")
        for name in ("a,b", "a b", "a=b", "-a", "é", "a#b", "a" * 64):
            assert "DNS_HOSTS" in running.ask({"DNS_HOSTS": f"{name}=192.0.2.77"})["refused"][0]
