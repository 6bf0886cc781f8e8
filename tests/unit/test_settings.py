"""From an environment to settings: what is read, what is refused, and what is never shown."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entrypoint.errors import SettingsError
from entrypoint.service import find, known_variables, names
from entrypoint.settings import Reading, Secret, concern, read
from entrypoint.settings import kinds as k
from entrypoint.settings.relays import RelayLogin, relay_logins
from entrypoint.settings.schema import Like, Var, var, variables


@concern
class Sample:
    """One variable of each way to be declared."""

    domain: str = var(k.domain, "the domain", example="example.org")
    sample_host: str = var(k.host, "a name", default=Like("sample.$DOMAIN"))
    sample_zone: str = var(k.time_zone, "a zone", default="UTC", old=("OLD_ZONE",))
    sample_size: int = var(k.integer(1, 9), "a size", default="5")
    sample_note: str | None = var(k.text, "a note", default=None)
    sample_twice: str = var(k.text, "two notes", default=Like("$SAMPLE_NOTE $SAMPLE_NOTE"))
    sample_password: Secret = var(k.text, "a password", secret=True, old=("OLD_password",))
    sample_logins: tuple[RelayLogin, ...] = var(relay_logins, "logins", default="", secret=True)

    def contradictions(self) -> Iterator[str]:
        if self.sample_size == 9 and self.sample_note == "small":
            yield "SAMPLE_NOTE and SAMPLE_SIZE do not agree"


A_SECRET = "a text of one line, best in a file: SAMPLE_PASSWORD_FILE=./secrets/sample-password"
A_FILE = (
    "it accepts the path of a file that holds a text of one line, "
    "for example SAMPLE_PASSWORD_FILE=./secrets/sample-password"
)
GOOD = {"DOMAIN": "example.org", "SAMPLE_NOTE": "n", "SAMPLE_PASSWORD": "s3cr3t-"}


def sample(**env: str) -> Sample:
    return read(GOOD | env, Sample).settings


def mistakes(**env: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        read(GOOD | env, Sample)
    return refused.value.mistakes


def mistakes_of(declared: type[Any], env: Mapping[str, str]) -> list[str]:
    """None, or those that `declared` has with `env` among all variables of the system."""
    try:
        read(env, declared, known=known_variables())
    except SettingsError as refused:
        return refused.mistakes
    return []


class TestReading:
    def test_values_are_typed_and_defaults_derived(self) -> None:
        found = sample(SAMPLE_SIZE=" 7 ")
        assert (found.sample_size, found.sample_host, found.sample_zone) == (7, "sample.example.org", "UTC")

    def test_a_given_value_wins_over_a_derived_one(self) -> None:
        assert sample(SAMPLE_HOST="other.example.net").sample_host == "other.example.net"

    @pytest.mark.parametrize("nothing", ["", " ", "\t"])
    def test_an_empty_value_is_none(self, nothing: str) -> None:
        assert sample(SAMPLE_SIZE=nothing, SAMPLE_PASSWORD_FILE=nothing, OLD_ZONE=nothing) == sample()

    def test_an_empty_value_does_not_satisfy_what_is_needed(self) -> None:
        assert mistakes(DOMAIN="") == ["DOMAIN is missing: the domain (a domain, for example example.org)"]

    def test_settings_cannot_be_changed(self) -> None:
        with pytest.raises(FrozenInstanceError):
            sample().domain = "example.net"  # type: ignore[misc]
        with pytest.raises(FrozenInstanceError):
            del sample().domain

    def test_settings_are_values(self) -> None:
        other = sample(SAMPLE_SIZE="6")
        assert sample() == sample() != other
        assert hash(sample()) == hash(Sample(**dict(reversed(vars(sample()).items()))))
        assert replace(other, sample_size=5) == sample()
        assert {field.name for field in fields(other)} == set(vars(other))
        assert "sample_size=6" in repr(other)

    def test_a_field_cannot_be_left_out_or_invented(self) -> None:
        for wrong in (vars(sample()) | {"more": 1}, {"domain": "example.org"}):
            with pytest.raises(TypeError, match="Sample wants each of its fields once: "):
                Sample(**wrong)

    def test_an_old_name_works_and_is_told_once(self) -> None:
        reading = read(GOOD | {"OLD_ZONE": "Europe/Berlin"}, Sample)
        assert reading.settings.sample_zone == "Europe/Berlin"
        assert reading.warnings == ("OLD_ZONE is an old name: write SAMPLE_ZONE",)

    def test_the_new_name_is_not_told(self) -> None:
        assert read(GOOD | {"SAMPLE_ZONE": "Europe/Berlin"}, Sample).warnings == ()

    def test_an_old_and_a_new_name_may_agree(self) -> None:
        assert sample(OLD_ZONE="Europe/Berlin", SAMPLE_ZONE="Europe/Berlin").sample_zone == "Europe/Berlin"

    def test_an_old_and_a_new_name_may_not_contradict(self) -> None:
        found = mistakes(OLD_ZONE="Europe/Berlin", SAMPLE_ZONE="UTC")
        told = "SAMPLE_ZONE and OLD_ZONE are both set, to 'UTC' and 'Europe/Berlin': keep one of them; "
        assert found == [f"{told}it accepts a time zone, for example UTC"]

    @pytest.mark.parametrize("written", ["example", " example ", "example."])
    def test_a_domain_without_a_dot_is_in_de_with_one_warning(self, written: str) -> None:
        reading: Reading[Sample] = read(GOOD | {"DOMAIN": written}, Sample)
        assert (reading.settings.domain, reading.settings.sample_host) == ("example.de", "sample.example.de")
        (warning,) = reading.warnings
        assert warning.startswith("DOMAIN: example")
        assert "means example.de" in warning

    def test_a_domain_with_a_dot_is_no_warning(self) -> None:
        assert read(GOOD, Sample).warnings == ()


class TestMistakes:
    def test_all_are_told_at_once_and_sorted(self) -> None:
        found = mistakes(SAMPLE_SIZE="99", SAMPLE_ZONE="Nowhere", SAMPLE_HORST="x", DOMAIN="")
        assert [m.split()[0] for m in found] == ["DOMAIN", "SAMPLE_HORST", "SAMPLE_SIZE", "SAMPLE_ZONE"]

    def test_each_says_what_it_got_and_what_it_accepts(self) -> None:
        assert mistakes(SAMPLE_SIZE="many") == [
            "SAMPLE_SIZE got 'many', which is no whole number: it accepts a number from 1 to 9, for example 5"
        ]

    def test_an_old_name_is_named_as_it_was_written(self) -> None:
        assert mistakes(OLD_ZONE="Nowhere")[0].startswith("OLD_ZONE got 'Nowhere', which is no known time zone")

    def test_a_bad_default_names_the_variable_that_would_cure_it(self) -> None:
        (found,) = mistakes(DOMAIN=".".join(["a" * 62] * 4))
        assert found.startswith("SAMPLE_HOST is by default 'sample.aaa")

    def test_what_a_default_is_made_of_is_told_once(self) -> None:
        (found,) = mistakes(SAMPLE_NOTE="")
        assert found == "SAMPLE_NOTE is missing: a note (a text of one line); or set SAMPLE_TWICE"

    def test_what_a_default_is_made_of_is_not_needed_when_that_is_given(self) -> None:
        assert sample(SAMPLE_NOTE="", SAMPLE_TWICE="x").sample_note is None

    def test_a_mistake_in_a_part_is_not_told_again_for_the_whole(self) -> None:
        assert len(mistakes(DOMAIN="no domain")) == 1

    def test_contradictions_between_good_values_are_mistakes(self) -> None:
        assert mistakes(SAMPLE_SIZE="9", SAMPLE_NOTE="small") == ["SAMPLE_NOTE and SAMPLE_SIZE do not agree"]

    @pytest.mark.parametrize("text", ["''", '""', "'UTC'", '"UTC"'])
    def test_quotes_that_came_with_the_value_are_found(self, text: str) -> None:
        (found,) = mistakes(SAMPLE_ZONE=text)
        assert found.startswith("SAMPLE_ZONE got ")
        assert "with the quotes as part of its value: write it without them" in found

    def test_a_password_may_be_in_quotes(self) -> None:
        assert sample(SAMPLE_PASSWORD="'x'").sample_password.reveal() == "'x'"

    def test_an_overlong_value_is_shortened(self) -> None:
        (found,) = mistakes(SAMPLE_SIZE="1" * 5000)
        assert len(found) < 250
        assert "(5000 characters)" in found

    def test_terminal_escapes_are_not_passed_on(self) -> None:
        (found,) = mistakes(SAMPLE_SIZE="\x1b[31mred\n")
        assert found.isprintable()


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("SAMPLE_ZONES", "SAMPLE_ZONE"),
            ("SAMPLE_PASSWORT", "SAMPLE_PASSWORD"),
            ("SAMPLE_NOTE_FILE", "SAMPLE_NOTE"),
            ("sample_size", "SAMPLE_SIZE"),
            ("OLD_PASSWORD", "OLD_password"),
        ],
    )
    def test_with_a_known_prefix_they_are_mistakes_with_a_suggestion(self, name: str, near: str) -> None:
        assert mistakes(**{name: "x"}) == [f"{name} is not known: {near}?"]

    def test_without_a_near_one_there_is_no_suggestion(self) -> None:
        assert mistakes(SAMPLE_QQQQQQQQQQQQQQQQ="x") == [
            "SAMPLE_QQQQQQQQQQQQQQQQ is not known: `entrypoint settings` lists all names"
        ]

    @pytest.mark.parametrize("name", ["PATH", "HOME", "HOSTNAME", "SAMPLES", "PYTHONUNBUFFERED", "DOMAINS"])
    def test_others_are_of_no_concern(self, name: str) -> None:
        assert sample(**{name: "x"}) == sample()

    def test_an_empty_one_is_not_set(self) -> None:
        assert sample(SAMPLE_ZONES="") == sample()

    def test_the_variables_of_other_services_are_no_mistakes(self) -> None:
        @concern
        class Other:
            sample_other: str = var(k.text, "another's", default="", old=("SAMPLE_OLD",))

        known = variables(Other).values()
        env = GOOD | {"SAMPLE_OTHER": "x", "SAMPLE_OLD": "x"}
        assert read(env, Sample, known=known).settings == sample()

    @pytest.mark.parametrize(("wrong", "right"), [("LDAP_HOST", "LDAP_HOSTS"), ("RSPAM_PASSWORD", "RSPAM_password")])
    def test_of_the_real_variables(self, wrong: str, right: str) -> None:
        assert f"{wrong} is not known: {right}?" in mistakes_of(Sample, GOOD | {wrong: "x"})


class TestSecretFiles:
    @pytest.mark.parametrize("name", ["SAMPLE_PASSWORD_FILE", "OLD_password_FILE"])
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_every_spelling_of_a_secret_may_be_a_file(self, name: str, end: str, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_bytes(b"  s3cr3t' \xc3\xa4 " + end.encode())
        assert sample(SAMPLE_PASSWORD="", **{name: str(file)}).sample_password.reveal() == "  s3cr3t' ä "

    def test_an_old_spelling_of_a_file_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("x")
        env = GOOD | {"SAMPLE_PASSWORD": "", "OLD_password_FILE": str(tmp_path / "secret")}
        assert read(env, Sample).warnings == ("OLD_password_FILE is an old name: write SAMPLE_PASSWORD_FILE",)

    @pytest.mark.parametrize("other", ["SAMPLE_PASSWORD_FILE", "OLD_password_FILE"])
    def test_value_and_file_at_once_are_a_mistake(self, other: str, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text(GOOD["SAMPLE_PASSWORD"])
        assert mistakes(**{other: str(tmp_path / "secret")}) == [
            f"SAMPLE_PASSWORD and {other} are both set: keep one of them; it accepts {A_SECRET}"
        ]

    def test_two_files_at_once_are_a_mistake(self, tmp_path: Path) -> None:
        file = str(tmp_path / "secret")
        (found,) = mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE=file, OLD_password_FILE=file)
        assert found.startswith("SAMPLE_PASSWORD_FILE and OLD_password_FILE are both set: keep one of them; ")

    def test_what_is_no_secret_has_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "zone").write_text("UTC")
        assert mistakes(SAMPLE_ZONE_FILE=str(tmp_path / "zone")) == ["SAMPLE_ZONE_FILE is not known: SAMPLE_ZONE?"]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "which is empty"),
            (b"\n", "which is empty"),
            (b"\xff\xfe", "which is not UTF-8 text"),
        ],
    )
    def test_an_unusable_file_is_named(self, content: bytes, reason: str, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_bytes(content)
        assert mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE=str(file)) == [
            f"SAMPLE_PASSWORD_FILE names '{file}', {reason}: {A_FILE}"
        ]

    def test_a_missing_file_is_named(self) -> None:
        assert mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE="/nowhere/secret") == [
            f"SAMPLE_PASSWORD_FILE names '/nowhere/secret', which cannot be read: No such file or directory: {A_FILE}"
        ]

    def test_a_folder_and_a_device_are_no_files(self, tmp_path: Path) -> None:
        for path, why in ((str(tmp_path), "Is a directory"), ("/dev/zero", "Not a regular file")):
            (found,) = mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE=path)
            assert found.endswith(f"{why}: {A_FILE}")

    def test_a_file_that_is_too_large_for_a_secret_is_not_read_to_its_end(self, tmp_path: Path) -> None:
        with (tmp_path / "image").open("wb") as file:
            file.truncate(2**40)
        (found,) = mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE=str(tmp_path / "image"))
        assert "which cannot be read: Larger than 256 KiB" in found

    @pytest.mark.parametrize("path", ["/run/\0", "/run/\udcff/\ud800"])
    def test_what_can_be_no_path_is_told(self, path: str) -> None:
        (found,) = mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE=path)
        assert "No such file" in found or "which is no path" in found
        assert found.isprintable()

    def test_a_second_line_in_a_password_is_found_and_not_shown(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("s3cr3t\nsecond\n")
        (found,) = mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE=str(file))
        assert found == (
            f"SAMPLE_PASSWORD_FILE={file} holds a value that has control characters or a line break: "
            f"it accepts {A_SECRET}"
        )

    @pytest.mark.parametrize("text", ["s3cr3t", "czNj/cjN0Cg=="])
    def test_a_password_in_the_place_of_a_path_is_not_shown(self, text: str) -> None:
        (found,) = mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE=text)
        assert found == f"SAMPLE_PASSWORD_FILE got a value that is no path: {A_FILE}"

    def test_a_path_that_begins_in_a_folder_here_is_shown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "secrets").mkdir()
        monkeypatch.chdir(tmp_path)
        (found,) = mistakes(SAMPLE_PASSWORD="", SAMPLE_PASSWORD_FILE="secrets/none")
        assert found.startswith("SAMPLE_PASSWORD_FILE names 'secrets/none', which cannot be read: ")


class TestSecretsAreNeverShown:
    SECRET = "s3cr3t-"

    def test_not_by_any_way_to_print(self) -> None:
        secret = Secret(self.SECRET)
        shown = [f"{secret}", f"{secret!r:>20}", f"{secret:>20}", str(secret), repr(secret), ascii(secret)]
        shown += ["%s %r" % (secret, secret), "{0} {0!r}".format(secret), repr([secret]), repr({secret: secret})]  # noqa: UP031, UP032
        assert all(self.SECRET not in text and "****" in text for text in shown)

    def test_not_in_what_holds_them(self) -> None:
        found = sample(SAMPLE_LOGINS=f"relay.example.net user:{self.SECRET}")
        assert found.sample_logins[0].password.reveal() == self.SECRET
        assert self.SECRET not in repr(found)
        assert self.SECRET not in repr(read(GOOD, Sample))

    def test_a_secret_equals_only_its_like(self) -> None:
        assert Secret("a") == Secret("a") != Secret("b")
        assert Secret("a") != "a"

    @pytest.mark.parametrize("bad", ["s3cr3t-\n2", "s3cr3t-\x00", "s3cr3t-\udcff", "s3cr3t-" * 9999])
    def test_not_in_errors_and_tracebacks_about_themselves(self, bad: str) -> None:
        self.read_in_vain(GOOD | {"SAMPLE_PASSWORD": bad, "SAMPLE_ZONE": "Nowhere"})

    @pytest.mark.parametrize(
        "bad",
        ["s3cr3t-", "relay.example.net s3cr3t-", "re=lay user:s3cr3t-", "relay.example.net user:s3cr3t-\x07"],
    )
    def test_not_when_a_login_cannot_be_read(self, bad: str) -> None:
        self.read_in_vain(GOOD | {"SAMPLE_LOGINS": bad})

    def read_in_vain(self, env: Mapping[str, str]) -> None:
        with pytest.raises(SettingsError) as refused:
            read(env, Sample)
        shown = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
        assert self.SECRET not in shown

    def test_only_who_asks_for_it_can_keep_one(self) -> None:
        assert pickle.loads(pickle.dumps(Secret("x"))).reveal() == "x"


ANY_TEXT = st.text(st.characters(codec=None, exclude_characters="\0"), max_size=60) | st.text(
    "$%{}()\\&|='\"/:;, @.#-_\n\t*ab1[]", max_size=40
)


def made_of(v: Var, part: Var) -> bool:
    return isinstance(v.default, Like) and f"${part.name}" in v.default.pattern


class TestAnything:
    """Whatever text a variable has: it is read, or refused by name."""

    ENV: ClassVar = {
        "DOMAIN": "example.org",
        "LDAP_HOSTS": "ldap.example.org",
        "LDAP_USER": "cn=mail,dc=example,dc=org",
        "LDAP_PASSWORD": "x",
        "LDAP_BASE": "ou=people,dc=example,dc=org",
        "LDAP_GROUP": "cn=mail,ou=groups,dc=example,dc=org",
        "REDIS_PASSWORD": "x",
        "RSPAM_password": "x",
        "RSPAM_enable_password": "x",
    }

    @pytest.mark.parametrize("service", names())
    @settings(max_examples=50)
    @given(data=st.data())
    def test_no_value_of_any_variable_does_more_than_be_refused(self, service: str, data: st.DataObject) -> None:
        declared = find(service).settings
        v: Var = data.draw(st.sampled_from(list(variables(declared).values())))
        name = data.draw(st.sampled_from(v.spellings()))
        text = data.draw(ANY_TEXT)
        env = {n: t for n, t in self.ENV.items() if n not in v.spellings()} | {name: text}
        culprits = (name, v.name, *(other.name for other in variables(declared).values() if made_of(other, v)))
        for mistake in mistakes_of(declared, env):
            assert any(culprit in mistake for culprit in culprits)
            assert mistake.isprintable()

    @pytest.mark.parametrize("service", names())
    @settings(max_examples=50)
    @given(text=st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1))
    @example(text="a/&\\|$%\"'{} #")
    def test_a_password_arrives_as_it_is(self, service: str, text: str) -> None:
        declared = find(service).settings
        for field, v in variables(declared).items():
            if v.secret and v.kind is k.text and text.strip():
                env = self.ENV | {"EXIM_EXT_MSACCOUNT": "us", "EXIM_EXT_PW": "x", v.name: text}
                found: Secret = getattr(read(env, declared, known=known_variables()).settings, field)
                assert found.reveal() == text

    @settings(max_examples=50)
    @given(env=st.dictionaries(st.sampled_from([s for v in known_variables() for s in v.spellings()]), ANY_TEXT))
    def test_any_environment_at_all(self, env: dict[str, str]) -> None:
        for service in names():
            found = mistakes_of(find(service).settings, env)
            assert found == sorted(set(found))
