"""The settings as JSON Schema: right by the library, right for our own files, and never stricter than the code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from entrypoint.cli import main
from entrypoint.environment import read_env_file
from entrypoint.reference.catalogue import COMPOSE_OWN, sections
from entrypoint.reference.json_schema import schema
from entrypoint.service import find, known_variables, names
from entrypoint.settings.kinds import LONGEST
from entrypoint.settings.schema import REQUIRED, Var, variables

ROOT = Path(__file__).parents[2]
SCHEMA = schema(sections())
VALIDATOR = Draft202012Validator(SCHEMA)
VALIDATORS = {name: Draft202012Validator(part) for name, part in SCHEMA["properties"].items()}
EVERY: dict[str, Var] = {v.name: v for v in [*COMPOSE_OWN, *reversed(known_variables())]}
YES, NO = {"1", "yes", "true", "on"}, {"0", "no", "false", "off"}

GOOD = {
    "DOMAIN": "example.org",
    "LDAP_HOSTS": "ldap.example.org",
    "LDAP_USER": "cn=mail,dc=example,dc=org",
    "LDAP_PASSWORD_FILE": "./secrets/ldap-password",
    "LDAP_BASE": "ou=people,dc=example,dc=org",
    "REDIS_PASSWORD": "x",
}


def instance(env: Mapping[str, str]) -> dict[str, Any]:
    """The variables as docs/reference/cli.md asks for them: numbers and booleans as JSON has them."""
    return {name: typed(name, text.strip()) for name, text in env.items() if text.strip()}


def typed(name: str, text: str) -> Any:
    kind = resolved(name).get("type")
    if kind == "boolean" and text.lower() in YES | NO:
        return text.lower() in YES
    if kind == "integer" and re.fullmatch("-?[0-9]{1,18}", text):
        return int(text)
    if kind == "number" and re.fullmatch(r"-?[0-9.]{1,20}", text):
        return float(text)
    return text


def resolved(name: str) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA["properties"].get(name, {})
    return resolved(found["$ref"].rpartition("/")[2]) if "$ref" in found else found


def mistakes(env: Mapping[str, Any]) -> list[str]:
    """Where, and what."""
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in VALIDATOR.iter_errors(env)]


def env_file(name: str) -> dict[str, str]:
    found = read_env_file(ROOT / "examples" / name)
    assert found
    return found


def test_is_a_schema_of_its_draft() -> None:
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMA)


def test_would_not_be_one_with_a_wrong_type() -> None:
    with pytest.raises(Exception, match="'port' is not valid"):
        Draft202012Validator.check_schema({**SCHEMA, "properties": {"SMTP_PORT": {"type": "port"}}})


@pytest.mark.parametrize("name", ["minimal.env", "demo.env"])
def test_examples_are_valid(name: str) -> None:
    assert mistakes(instance(env_file(name))) == []


def test_full_env_is_valid_without_its_signs(tmp_path: Path) -> None:
    text = (ROOT / "examples/full.env").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(re.sub(r"(?m)^#(?=\w+=)", "", text))
    env = read_env_file(tmp_path / ".env")
    assert len(env) == len(EVERY)
    assert mistakes(instance(env)) == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"REDIS_PORT": 70000}, "REDIS_PORT: 70000 is greater than the maximum of 65535"),
    ({"REDIS_PORT": "25x"}, "REDIS_PORT: '25x' is not of type 'integer'"),
    ({"SMTP_PORT": 0}, "SMTP_PORT: 0 is less than the minimum of 1"),
    ({"SMTP_PORT": "host:25"}, "SMTP_PORT: 'host:25' does not match"),
    ({"ENABLE_POP3": "maybe"}, "ENABLE_POP3: 'maybe' is not of type 'boolean'"),
    ({"TLS_LEVEL": "ancient"}, "TLS_LEVEL: 'ancient' is not one of"),
    ({"SA_KILL": 2000}, "SA_KILL: 2000 is greater than the maximum"),
    ({"MESSAGE_SIZE_LIMIT": "10 apples"}, "MESSAGE_SIZE_LIMIT: '10 apples' does not match"),
    ({"MESSAGE_SIZE_LIMIT": 5}, "MESSAGE_SIZE_LIMIT: 5 is less than the minimum"),
    ({"POSTFIX_MESSAGE_SIZE_LIMIT": "10 apples"}, "POSTFIX_MESSAGE_SIZE_LIMIT: '10 apples' does not match"),
    ({"IMAP_IP": "172.20.0.256"}, "IMAP_IP: '172.20.0.256' does not match"),
    ({"IMAP_HOST": "192.0.2.1"}, "IMAP_HOST: '192.0.2.1' does not match"),
    ({"EXIM_LOCAL_DOMAINS": "example.org:*"}, "EXIM_LOCAL_DOMAINS: 'example.org:*' does not match"),
    ({"TZ": "../../etc/passwd"}, "TZ: '../../etc/passwd' does not match"),
    ({"LDAP_USER": "two\nlines"}, "LDAP_USER: 'two\\nlines' does not match"),
    ({"LDAP_BASE": "example.org"}, "LDAP_BASE: 'example.org' does not match"),
    ({"LDAP_PASSWORD": "x"}, "False schema does not allow './secrets/ldap-password'"),
    ({"LDAP_HOST": "x"}, ": 'LDAP_HOST' is not valid under any of the given schemas"),
    ({"DEFAULT_RELAY_HOST": "a:b:c"}, "DEFAULT_RELAY_HOST: 'a:b:c' does not match"),
    ({"COMPOSE_PROFILES": "locale"}, "COMPOSE_PROFILES: 'locale' does not match"),
    ({"DOMAIN": None}, ": 'DOMAIN' is a required property"),
    ({"LDAP_PASSWORD_FILE": None}, "is not valid under any of the given schemas"),
    ({"COMPOSE_PROFILES": "demo", "LDAP_BASE": None}, ": 'LDAP_BASE' is a required property"),
]


def test_what_is_asked_for_is_enough() -> None:
    assert mistakes(GOOD | {"PATH": "/bin", "MY_OWN": "x"}) == []


@pytest.mark.parametrize(("change", "mistake"), WRONG, ids=lambda value: str(value)[:40])
def test_refuses(change: dict[str, Any], mistake: str) -> None:
    found = mistakes({name: value for name, value in (GOOD | change).items() if value is not None})
    assert any(mistake in each for each in found), found


def test_a_place_without_members_needs_no_directory() -> None:
    without = {name: text for name, text in GOOD.items() if not name.startswith("LDAP_")}
    assert mistakes(without | {"COMPOSE_PROFILES": "global"}) == []
    assert mistakes(without | {"COMPOSE_PROFILES": "local,global"}) != []


@pytest.mark.parametrize("name", names())
def test_for_one_service_it_has_its_variables_and_what_it_cannot_do_without(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["settings", "--service", name, "--format", "json-schema"]) == 0
    found = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(found)
    known = variables(find(name).settings).values()
    assert set(found["properties"]) == {spelling for v in known for spelling in v.spellings()}
    required = {v.name for v in known if v.default is REQUIRED and not v.secret}
    assert set(found["allOf"][0]["required"]) == required


@pytest.mark.parametrize("v", EVERY.values(), ids=EVERY)
class TestEveryVariable:
    def test_is_described_as_it_is_declared(self, v: Var) -> None:
        told = SCHEMA["properties"][v.name]
        assert v.meaning in told["description"]
        assert told["x-since"] == v.since
        assert told.get("writeOnly", False) is v.secret
        assert told.get("x-old-names", []) == list(v.old)
        assert told.get("x-does-nothing-yet", False) is not v.kind.used
        for old in v.old:
            assert SCHEMA["properties"][old]["deprecated"] is True
        readers = {each for each in names() if v.name in {w.name for w in variables(find(each).settings).values()}}
        assert readers == set(told["x-read-by"]) - {"docker-compose.yaml"}

    def test_has_valid_defaults_and_examples(self, v: Var) -> None:
        told = SCHEMA["properties"][v.name]
        for value in (*([told["default"]] if "default" in told else []), *told.get("examples", [])):
            assert mistakes_of(v.name, value) == []


LIKELY = st.text("0123456789.:/=-_%[] ,;@abkKmMgG*\\'\"$(){}|&<>+~#?!äß\x7f\u2028", max_size=30) | st.sampled_from(
    [
        *(text for v in EVERY.values() for text in (v.sample, v.sample.upper(), f" {v.sample}.") if text),
        *YES,
        *NO,
        "System",
        "NONE",
        "LDAPS://Ldap1.Example.org:636/",
        "[192.0.2.1]:25",
        "::1",
        "2001:DB8::/32",
        "192.0.2.0/255.255.255.0",
        "A.Example=[b.example]:25",
        "1G",
        "1 kb",
        "+1",
        "007",
        "-5",
        "6.5",
        "ou=people+l=x,dc=example",
        "x" * LONGEST,
    ]
)


# One variable of each sort, as many have the same; what Compose itself reads is not parsed.
SORTS = {str((v.kind.parse, v.kind.pattern, dict(v.kind.json))): v for v in EVERY.values() if v not in COMPOSE_OWN}


@pytest.mark.parametrize("v", SORTS.values(), ids=lambda v: v.kind.accepts)
@settings(max_examples=50)
@given(data=st.data())
def test_whatever_the_code_takes_is_valid(v: Var, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(v.kind.pattern, fullmatch=True) | LIKELY if v.kind.pattern else LIKELY).strip()
    try:
        v.kind.parse(text)
    except ValueError:
        return
    if text:
        assert mistakes_of(v.name, typed(v.name, text.lower() if "enum" in v.kind.json else text)) == []


LISTS = [v for v in SORTS.values() if v.kind.is_list]


@pytest.mark.parametrize("v", LISTS, ids=lambda v: v.kind.accepts)
def test_the_code_takes_words_of_a_list_also_in_capitals_and_with_blanks(v: Var) -> None:
    assert v.kind.parse(f" {v.sample.upper()} ") == v.kind.parse(v.sample)


def mistakes_of(name: str, value: Any) -> list[str]:
    """What is wrong with one value, whatever else there is."""
    return [error.message for error in VALIDATORS[name].iter_errors(value)]
