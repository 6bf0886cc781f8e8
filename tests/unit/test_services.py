"""All services with the least that a person sets: settings, files, plans; and the variables of old."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from entrypoint import boot
from entrypoint.environment import read_env_file
from entrypoint.plan import Need, Plan
from entrypoint.render import install_dir, render_tree
from entrypoint.service import Service, find, known_variables, names
from entrypoint.settings import Secret, read, secrets_of
from entrypoint.settings.concerns import Compose, Mailman
from entrypoint.settings.reading import Reading
from entrypoint.settings.schema import REQUIRED, Like, Var, variables

ROOT = Path(__file__).parents[2]
SECRET = "s3cr3t a/&\\|$%\"'{} #"

# The variables of the older installation, and those that have the same name in the set-up it is compared with.
OF_OLD = """
LDAP_HOSTS LDAP_IP LDAP_USER LDAP_PASSWORD LDAP_BASE LDAP_USER_FILTER LDAP_PASS_FILTER LDAP_ITERATE_FILTER
EXIM_LDAP_USER_FILTER EXIM_INT_MAILOUT_LDAP_AUTH EXIM_INT_MAILOUT_LDAP_PLAIN EXIM_PUBLIC_LDAP_USER_FILTER
DOMAIN EXIM_LOCAL_DOMAINS EXIM_RELAY_HOSTS EXIM_WHITELIST_NET EXIM_DKIM_SELECTOR EXIM_EXT_MSACCOUNT EXIM_EXT_PW
EXIM_SMARTHOST_MAILOUT_IP IMAP_IP EXIM_EXTERNAL_IP EXIM_INT_MAILOUT_IP EXIM_EXT_MAILOUT_IP RSPAM_IP CLAMAV_IP REDIS_IP
DNSMASQ_IP REDIS_PASSWORD REDIS_PORT REDIS_PRODECTED_MODE REDIS_PROTECTED_MODE RSPAM_password RSPAM_enable_password
RSPAMD_password RSPAMD_enable_password RSPAM_NEIGHBOURS RSPAM_REDIS_DB IMAP_AUTH_VERBOSE IMAP_MAIL_DEBUG
IMAP_REPLICA_SERVER IMAP_REPLICA_PORT IMAP_REPLICA_PASSWORD vmail_uid vmail_gid TIMEZONE TZ
ENABLE_POP3 ENABLE_MANAGESIEVE ENABLE_CLAMAV SA_TAG SA_TAG2 SA_KILL SA_SPAM_SUBJECT ENABLE_POSTGREY POSTGREY_DELAY
POSTGREY_MAX_AGE POSTGREY_TEXT SPOOF_PROTECTION RELAY_HOST DEFAULT_RELAY_HOST SASL_PASSWD TLS_LEVEL
POSTFIX_MESSAGE_SIZE_LIMIT POSTFIX_MAILBOX_SIZE_LIMIT POSTMASTER_ADDRESS DOVECOT_MAILBOX_FORMAT LOG_FORMAT
""".split()  # noqa: SIM905
# Read, but for docker-compose.yaml or for services that do not exist yet.
OF_OTHERS = """
CLAMAVLIB EXIM_EXTERNAL_SPOOL EXIM_INT_MAILOUT_SPOOL EXIM_EXT_MAILOUT_SPOOL HAVE_MM3 MM3_DATA_DIR MM3_WEB_DIR
MM3_DATABASE_URL MM3_WEB_DATABASE_URL MM3_HYPERKITTY_API_KEY MM3_SMTP_PORT MM3_DOMAINS EXIM_INT_MM3_DOMAINS MM3_CORE_IP
MM3_WEB_IP
""".split()  # noqa: SIM905


def minimal(folder: Path, secret: str = SECRET) -> dict[str, str]:
    """examples/minimal.env, with files for its secrets, and nothing switched off."""
    env = read_env_file(ROOT / "examples/minimal.env") | {"ENABLE_CLAMAV": "yes"}
    file = folder / "secret"
    file.write_text(secret)
    return env | {name: str(file) for name in env if name.endswith("_FILE") and env[name].startswith("./")}


@pytest.fixture(params=names())
def service(request: pytest.FixtureRequest) -> Service[Any]:
    return find(request.param)


@pytest.fixture
def reading(service: Service[Any], tmp_path: Path) -> Reading[Any]:
    """The service's settings, by the least that a person sets."""
    return read(minimal(tmp_path), service.settings, known=known_variables())


class TestEveryService:
    def test_the_least_that_a_person_sets_is_enough(self, reading: Reading[Any]) -> None:
        assert reading.warnings == ()

    def test_files_are_rendered_below_run(self, service: Service[Any], reading: Reading[Any]) -> None:
        files = render_tree(service, reading.settings)
        assert files
        assert all(path.is_relative_to("/run") for path in files)

    def test_rendering_twice_gives_the_same(self, service: Service[Any], reading: Reading[Any]) -> None:
        assert render_tree(service, reading.settings) == render_tree(service, reading.settings)

    def test_a_secret_as_a_value_gives_the_same_as_one_in_a_file(
        self, service: Service[Any], reading: Reading[Any], tmp_path: Path
    ) -> None:
        env = minimal(tmp_path)
        values = {n.removesuffix("_FILE"): SECRET for n in env if env[n] == str(tmp_path / "secret")}
        env = {n: t for n, t in env.items() if n.removesuffix("_FILE") not in values} | values
        assert read(env, service.settings, known=known_variables()).settings == reading.settings

    def test_the_plan_survives_json_and_holds_no_secret(self, service: Service[Any], reading: Reading[Any]) -> None:
        plan = boot.plan(service, reading.settings)
        text = plan.to_json()
        assert Plan.from_json(text) == plan
        assert "s3cr3t" not in text
        assert plan.programs
        assert plan.probes or not [program for program in plan.programs if program.kind == "daemon"]

    def test_switched_off_it_does_nothing(self, tmp_path: Path) -> None:
        """With a container all the same, whose supervisor looks after itself."""
        clamav = find("clamav")
        for text, wanted in (("no", False), ("yes", True)):
            settings = read(
                minimal(tmp_path) | {"ENABLE_CLAMAV": text}, clamav.settings, known=known_variables()
            ).settings
            here = clamav.for_these(settings)
            plan = boot.plan(here, settings)
            assert {"clamd", "freshclam"}.issubset({program.name for program in plan.programs}) == wanted
            assert {program.name for program in plan.programs} >= {"look", "reload"}
            found = (plan.probes, plan.measures, here.checks(settings), here.writes, here.reads)
            assert all(found) if wanted else not any(found)

    def test_no_command_need_or_setting_shows_a_secret(self, service: Service[Any], reading: Reading[Any]) -> None:
        settings = reading.settings
        shown = repr((settings, service.checks(settings), service.needs(settings), service.certificate_for(settings)))
        assert "s3cr3t" not in shown

    def test_files_of_secrets_are_those_that_probes_read(self, service: Service[Any], reading: Reading[Any]) -> None:
        needs: tuple[Need, ...] = service.needs(reading.settings)
        probes = [*service.probes(reading.settings), *(probe for need in needs for probe in need.probes)]
        files = {str(path) for path in render_tree(service, reading.settings)}
        assert {probe.password_file for probe in probes if probe.password_file} <= files

    def test_every_part_of_a_default_is_a_setting_of_the_service(self, service: Service[Any]) -> None:
        fields = variables(service.settings)
        known = {v.name for v in fields.values()}
        for v in fields.values():
            if isinstance(v.default, Like):
                assert set(re.findall(r"\$([A-Z][A-Z0-9_]*)", v.default.pattern)) <= known

    def test_fields_are_called_as_their_variables(self, service: Service[Any]) -> None:
        assert all(field.upper() == v.name.upper() for field, v in variables(service.settings).items())

    def test_no_variable_is_called_as_another_one_was(self, service: Service[Any]) -> None:
        spellings = [spelling for v in variables(service.settings).values() for spelling in v.spellings()]
        assert len(spellings) == len(set(spellings))

    def test_defaults_and_examples_are_good_values(self, service: Service[Any]) -> None:
        for v in variables(service.settings).values():
            for text in (v.default, v.example):
                if isinstance(text, str) and text:
                    v.kind.parse(text)

    def test_secrets_have_no_default(self, service: Service[Any]) -> None:
        assert not [
            v.name for v in variables(service.settings).values() if v.secret and v.default not in {REQUIRED, None, ""}
        ]

    def test_a_typing_error_is_found(self, service: Service[Any], tmp_path: Path) -> None:
        with pytest.raises(Exception, match="LDAP_BASES is not known: LDAP_BASE"):
            read(minimal(tmp_path) | {"LDAP_BASES": "x"}, service.settings, known=known_variables())


def of_services() -> set[str]:
    return {s for name in names() for v in variables(find(name).settings).values() for s in v.spellings()}


@pytest.mark.parametrize("name", OF_OLD)
def test_a_variable_of_old_reaches_a_service(name: str) -> None:
    assert name in of_services()


@pytest.mark.parametrize("name", OF_OTHERS)
def test_a_variable_of_old_that_no_service_needs_is_known(name: str) -> None:
    known = {s for cls in (Compose, Mailman) for v in variables(cls).values() for s in v.spellings()}
    assert name in known


def test_every_variable_has_a_meaning_and_says_what_it_accepts() -> None:
    v: Var
    for v in known_variables():
        assert v.meaning, v.name
        assert v.kind.accepts, v.name


def test_every_variable_is_used_by_somebody() -> None:
    apart = {v.name for cls in (Compose, Mailman) for v in variables(cls).values()}
    assert {v.name for v in known_variables()} - apart <= of_services()


def test_every_variable_does_something_or_tells_that_it_does_not() -> None:
    """A name in a template, in code, in the compose file or in another one's default is a use."""
    root = Path(__file__).parents[2]
    places = [*(root / "install").rglob("*.j2"), *(root / "entrypoint").rglob("*.py")]
    code = "\n".join(place.read_text(encoding="utf-8") for place in places if place.name != "concerns.py")
    words = {*re.findall(r"\w+", code), *re.findall(r"\$\{(\w+)", (root / "docker-compose.yaml").read_text())}
    words |= {name for v in known_variables() for name in re.findall(r"\$([A-Z_]+)", str(v.default))}
    declared = [
        (f, v) for cls in (*(find(name).settings for name in names()), Compose) for f, v in variables(cls).items()
    ]
    idle = {v.name for field, v in declared if not {field, v.name} & words}
    assert idle == {v.name for _, v in declared if not v.kind.used}


def test_secrets_of_all_depths_are_found() -> None:
    env = {"DOMAIN": "example.org", "RELAY_LOGINS": "a.example u:one\nb.example u:two"}
    env |= {"EXIM_EXT_MSACCOUNT": "u", "EXIM_EXT_PW": "three"}
    settings = read(env, find("exim-ext-mailout").settings).settings
    assert set(secrets_of(settings)) == {Secret("one"), Secret("two"), Secret("three")}


MACRO = re.compile(r"(?m)^\s*[A-Z]\w*\s*=(?!=)")


def test_exims_templates_define_no_macros() -> None:
    """A macro is replaced anywhere in a line, also in a value; quoting.exim knows of Exim's own only."""
    for template in install_dir("exim").rglob("*"):
        if template.is_file():
            assert not MACRO.search(template.read_text(encoding="utf-8")), template
    assert MACRO.search("ROLE = x")
