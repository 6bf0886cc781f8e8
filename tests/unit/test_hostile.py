"""Hostile values are taken only where a test with the real daemon shows that it reads them back (tests/hostile.py)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from entrypoint.copies import with_copies
from entrypoint.render import Files, render_tree
from entrypoint.service import find, known_variables
from entrypoint.settings import read
from entrypoint.settings.schema import Var, variables
from tests.hostile import EXAMPLES, PLACES

# No syntax makes anything of these.
HARMLESS = re.compile(r"[A-Za-z0-9._:/+@=-]*")
OTHERS = [
    (service, v)
    for service in PLACES
    for v in variables(find(service).settings).values()
    if v.name not in PLACES[service].free
]


def rendered(service: str, **changes: str) -> Files:
    chosen = find(service)
    reading = read({**PLACES[service].env, **changes}, chosen.settings, known=known_variables())
    return render_tree(chosen, with_copies(reading.settings))


def parsed(v: Var, text: str) -> Any:
    """What becomes of a text; None when it is refused."""
    try:
        return v.kind.parse(text) if text.strip() else None
    except ValueError:
        return None


def is_harmless(value: Any) -> bool:
    """Whether it holds no character that could be something else than itself, in none of its items."""
    if isinstance(value, tuple):
        return all(map(is_harmless, value))
    return value is None or bool(HARMLESS.fullmatch(str(value)))


@pytest.mark.parametrize(("service", "v"), OTHERS, ids=[f"{service}-{v.name}" for service, v in OTHERS])
def test_what_is_no_free_text_is_refused_or_in_no_file(service: str, v: Var) -> None:
    """What is taken all the same (a path, which is copied from; a secret that is asked for later) changes no file."""
    shaped = [shape for text in EXAMPLES for shape in (text, f"/run/{text}")]
    odd = sorted((text for text in shaped if not is_harmless(parsed(v, text))), key=len)
    for text in (*odd[:1], *odd[-1:]):
        usual = rendered(service, **{v.name: "/run/usual" if text.startswith("/") else "usual"})
        assert rendered(service, **{v.name: text}) == usual, f"{v.name} takes {text!r}, and no test reads it back"


@pytest.mark.parametrize(("service", "name"), [(s, name) for s, place in PLACES.items() for name in place.free])
def test_what_is_free_text_is_in_a_file(service: str, name: str) -> None:
    """The twin: a variable that reaches nothing has no place in the table."""
    given = PLACES[service].free[name].given
    assert rendered(service, **{name: given("abc")}) != rendered(service, **{name: given("abd")})
