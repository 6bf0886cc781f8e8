"""docker-compose.yaml and the settings say the same: what a service knows reaches it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from entrypoint.reference.catalogue import COMPOSE_OWN
from entrypoint.service import find, known_variables, names
from entrypoint.settings import concerns
from entrypoint.settings.schema import REQUIRED, Var, variables

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
KNOWN: dict[str, Var] = {spelling: v for v in known_variables() for spelling in v.spellings()}

# ${NAME}, ${NAME:-default} and their like, without comments; a default may hold another one.
CODE = re.sub(r"(?m)^\s*#.*$", "", TEXT)
USED = re.findall(r"\$\{(\w+)(?::?([-+?])([^${}]*))?", CODE)
DEFAULTS = set(re.findall(r"\$\{(\w+):-((?:[^${}]|\$\{\w+\})*)\}", CODE))


def environment(service: str) -> dict[str, str | None]:
    found: dict[str, str | None] = COMPOSE["services"][service].get("environment", {})
    return found


def test_every_service_is_there() -> None:
    assert set(COMPOSE["services"]) == {*names(), "base", "sink"}


@pytest.mark.parametrize("service", names())
class TestEveryService:
    def test_is_given_all_spellings_of_its_variables_and_no_other(self, service: str) -> None:
        known = {spelling for v in variables(find(service).settings).values() for spelling in v.spellings()}
        given = set(environment(service))
        assert (sorted(known - given), sorted(given - known)) == ([], [])

    def test_finds_its_secrets_where_it_is_told(self, service: str) -> None:
        for name, value in environment(service).items():
            if name.endswith("_FILE"):
                secret = KNOWN[name].name
                assert value == f"${{{name}:+/run/secrets/{secret}}}"
                assert secret in COMPOSE["services"][service]["secrets"]

    def test_is_in_the_profiles_that_its_module_says(self, service: str) -> None:
        declared = COMPOSE["services"][service]["profiles"]
        profiles = [profile.removeprefix("${COMPOSE_PROFILES:+").removesuffix("}") for profile in declared]
        assert list(find(service).profiles) == profiles

    def test_runs_the_image_and_the_role_that_its_module_says(self, service: str) -> None:
        declared = COMPOSE["services"][service]
        assert declared["image"].startswith(f"postern-{find(service).image}:")
        assert declared.get("command", ["run", service]) == ["run", service]

    def test_has_no_more_rights_than_it_needs(self, service: str) -> None:
        declared = COMPOSE["services"][service]
        assert declared["read_only"] is True
        assert declared["cap_drop"] == ["ALL"]
        assert declared["security_opt"] == ["no-new-privileges:true"]
        assert (declared["restart"], declared["stop_grace_period"]) == ("unless-stopped", "1m")
        assert declared["mem_limit"]
        assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(declared)


def test_every_secret_that_a_service_may_have_is_a_file_of_that_name() -> None:
    for name, v in KNOWN.items():
        if v.name in COMPOSE["secrets"] and name.endswith("_FILE"):
            assert f"${{{name}:-" in COMPOSE["secrets"][v.name]["file"]


def test_every_secret_of_a_service_is_declared() -> None:
    wanted = {secret for service in COMPOSE["services"].values() for secret in service.get("secrets", ())}
    assert wanted <= set(COMPOSE["secrets"])


@pytest.mark.parametrize("name", sorted({name for name, _, _ in USED} - {"COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"}))
def test_what_compose_uses_is_known_to_check(name: str) -> None:
    assert name in KNOWN


@pytest.mark.parametrize(("name", "default"), sorted(DEFAULTS))
def test_defaults_are_those_of_the_settings(name: str, default: str) -> None:
    v = next((v for v in COMPOSE_OWN if v.name == name), None) or KNOWN[name]
    if name == "LDAP_IP":  # that of the embedded directory; of another one there is no default
        assert default == "172.20.0.10"
    elif v.secret or default == "/dev/null":  # an empty file for what is not given
        assert v.default is REQUIRED or not v.default
    else:
        assert default.replace("${DOMAIN}", "$DOMAIN") == str(v.default)


def test_defaults_are_found_with_what_is_in_them() -> None:
    assert {("VMAIL_DATA", "/data/${DOMAIN}/vmail"), ("IMAP_IP", "172.20.0.5")} <= DEFAULTS


def test_what_only_compose_uses_is_used_by_it() -> None:
    own = {v.name for v in variables(concerns.Compose).values() if v.kind.used}
    assert own - {name for name, _, _ in USED} == set()
