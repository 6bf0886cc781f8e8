"""What the demo makes and decides, without an engine: its settings, its world, when a start has failed, its report."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import threading
from pathlib import Path

import pytest

from entrypoint import service
from entrypoint.settings import read
from entrypoint.settings.schema import Var
from tools.commands import ROOT
from tools.console import ToolError
from tools.demo import keys, people, report, world
from tools.demo.people import Member
from tools.demo.report import Event
from tools.demo.settings import ANY_PORT, DEMO_ENV, moved, read_env
from tools.demo.stack import Container, Stuck, Watch, images_are_made_with, words_of_compose

DEMO = read_env(DEMO_ENV)
COMPOSE_FILE = (ROOT / "docker-compose.yaml").read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> world.World:
    """A world as the demo has it."""
    return world.make_world(tmp_path_factory.mktemp("worlds") / "demo", DEMO)


# --- settings --------------------------------------------------------------------------------------------------------


def test_env_file_is_names_and_values(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# a comment\n\nDOMAIN=example.test\nLDAP_BASE=ou=people,dc=test\nEMPTY=\n")
    expected = {"DOMAIN": "example.test", "LDAP_BASE": "ou=people,dc=test", "EMPTY": ""}
    assert read_env(tmp_path / "env") == expected


def test_line_that_sets_nothing_is_an_error_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DOMAIN=example.test\nexport TZ=UTC\n")
    with pytest.raises(ToolError, match="line 2"):
        read_env(tmp_path / "env")


def test_missing_env_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="nowhere"):
        read_env(tmp_path / "nowhere")


@pytest.mark.parametrize("name", DEMO)
def test_compose_file_knows_each_variable_of_the_demo(name: str) -> None:
    own = {"COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"}
    assert name in own or re.search(rf"\b{name}\b", COMPOSE_FILE)


def test_demo_keeps_to_itself() -> None:
    published = [value for value in DEMO.values() if value.startswith("127.0.0.1:")]
    assert len(published) == COMPOSE_FILE.count("_PORT:-") == len(set(published))
    assert DEMO["COMPOSE_PROJECT_NAME"] != "postern"


def test_moved_stack_has_everything_somewhere_else() -> None:
    there = moved(DEMO, project="test", folder=Path("/elsewhere"), network="172.30.77.0/24")
    assert there.keys() == DEMO.keys()
    assert not [name for name, value in there.items() if "172.30.25." in value or "./.demo" in value]
    assert there["IMAP_IP"] == "172.30.77.5"
    assert there["MAIL_NETWORK"] == "172.30.77.0/24"
    assert there["IMAPS_PORT"] == ANY_PORT
    assert there["TLS_CA_FILE"] == "/elsewhere/ca.pem"
    assert there["COMPOSE_PROJECT_NAME"] == "test"


def test_moved_stack_is_the_same_otherwise() -> None:
    there = moved(DEMO, project="test", folder=Path("/elsewhere"), network="172.30.77.0/24")
    same = ("DOMAIN", "LDAP_HOSTS", "LDAP_GROUP", "VMAIL_DATA", "HEALTH_INTERVAL")
    assert all(there[name] == DEMO[name] for name in same)


# --- people ----------------------------------------------------------------------------------------------------------


def ldif(*members: Member) -> str:
    passwords = {member.uid: "secret" for member in members}
    base, group = DEMO["LDAP_BASE"], DEMO["LDAP_GROUP"]
    return people.directory(members, passwords, domain="example.test", base=base, group=group)


def test_member_has_address_aliases_and_quota() -> None:
    found = ldif(Member("bob", aliases=("info",), quota_mb=50))
    assert "\nmail: bob@example.test\ngosaMailAlternateAddress: info@example.test\ngosaMailQuota: 50\n" in found


def test_member_without_quota_has_no_such_attribute() -> None:
    assert "gosaMailQuota" not in ldif(Member("alice"))


def test_only_those_who_may_mail_are_in_the_group() -> None:
    group = ldif(Member("alice"), Member("carol", may_mail=False)).partition("dn: cn=mail")[2]
    assert "member: uid=alice," in group
    assert "carol" not in group


def test_group_without_members_is_still_a_group() -> None:
    assert f"member: {DEMO['LDAP_BASE']}\n" in ldif(Member("carol", may_mail=False))


def test_password_is_not_in_the_clear() -> None:
    assert "secret" not in ldif(Member("alice"))


@pytest.mark.parametrize(
    ("content", "written"),
    [
        ("alice", "x: alice"),
        ("a: b", "x: a: b"),
        ("", "x: "),
        (" alice", "x:: IGFsaWNl"),
        ("alice ", "x:: YWxpY2Ug"),
        (":alice", "x:: OmFsaWNl"),
        ("<alice", "x:: PGFsaWNl"),
        ("a\nb", "x:: YQpi"),
        ("ä", "x:: w6Q="),
    ],
)
def test_value_that_would_read_otherwise_is_in_base64(content: str, written: str) -> None:
    assert people.line("x", content) == written


@pytest.mark.parametrize(
    ("uid", "escaped"),
    [
        ("alice", "alice"),
        ("o'brien (x*)", "o'brien (x*)"),
        ("a,b+c", "a\\2cb\\2bc"),
        ("#a=\\", "\\23a\\3d\\5c"),
        (" a ", "\\20a\\20"),
        ("ä", "ä"),
    ],
)
def test_uid_becomes_one_value_of_a_dn(uid: str, escaped: str) -> None:
    assert people.rdn(uid) == escaped


# --- world -----------------------------------------------------------------------------------------------------------


def test_world_is_made_once(made: world.World) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    assert world.make_world(made.folder, DEMO) == made
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before


def test_world_for_other_settings_is_refused(made: world.World) -> None:
    with pytest.raises(ToolError, match="other settings"):
        world.make_world(made.folder, {**DEMO, "DOMAIN": "other.test"})


def test_world_with_other_members_is_refused(made: world.World) -> None:
    with pytest.raises(ToolError, match="other settings"):
        world.make_world(made.folder, DEMO, [Member("dave")])


def test_half_a_world_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(keys, "make_dkim_key", lambda _folder: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.make_world(tmp_path / "demo", DEMO)
    assert not (tmp_path / "demo").exists()
    assert world.make_world(tmp_path / "demo", DEMO).ca_file.is_file()


def test_two_worlds_share_no_password(made: world.World, tmp_path: Path) -> None:
    other = world.make_world(tmp_path / "demo", DEMO)
    assert other.password("alice") != made.password("alice")
    name = "secrets/LDAP_PASSWORD"
    assert (other.folder / name).read_text() != (made.folder / name).read_text()


def test_given_passwords_are_taken(tmp_path: Path) -> None:
    odd = "/&\\|$%\"'{} #"
    made = world.make_world(tmp_path / "demo", DEMO, passwords={"alice": odd, "LDAP_PASSWORD": odd})
    assert made.password("alice") == odd
    assert (made.folder / "secrets/LDAP_PASSWORD").read_text() == odd


def test_uid_with_a_slash_stays_in_the_folder(tmp_path: Path) -> None:
    made = world.make_world(tmp_path / "demo", DEMO, [Member("../a/b")])
    assert made.password_file("../a/b").parent == made.folder / "members"
    assert made.password("../a/b")


def test_folder_is_for_its_owner_and_files_for_group_0(made: world.World) -> None:
    expected = 0o640 if os.getegid() == 0 else 0o644
    assert made.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (made.folder / "secrets").iterdir()} == {expected}
    assert (made.folder / "ca.key").stat().st_mode & 0o777 == 0o600


def test_every_file_that_the_demo_names_is_there(made: world.World) -> None:
    named = [value for value in DEMO.values() if value.startswith("./.demo/")]
    assert len(named) > 5
    assert all((made.folder / value.removeprefix("./.demo/")).exists() for value in named)


def handshake(made: world.World, name: str) -> None:
    """A TLS connection to a server with the world's certificate; an exception when the client does not believe it."""
    here, there = socket.socketpair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.folder / "secrets/server.pem", made.folder / "secrets/server.key")

    def serve() -> None:
        with there:
            try:
                server.wrap_socket(there, server_side=True).close()
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    client = ssl.create_default_context(cafile=str(made.ca_file))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        with here, client.wrap_socket(here, server_hostname=name):
            pass
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize("name", ["imap.example.test", "sink.outside.test", "localhost", "127.0.0.1"])
def test_certificate_is_good_for_each_name(made: world.World, name: str) -> None:
    handshake(made, name)


def test_certificate_is_not_good_for_another_name(made: world.World) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, "www.example.test")


def given(_var: Var, _path: Path) -> str:
    """What stands in every file with a secret."""
    return "secret"


@pytest.mark.parametrize("name", service.names())
def test_certificate_has_the_names_that_each_service_wants(name: str) -> None:
    found = service.find(name)
    env = {**DEMO, "DKIM_KEYS": "/"}
    settings = read(env, found.settings, known=service.known_variables(), read_file=given)
    wanted = {host.removesuffix(".example.test") for host in found.certificate_for(settings.settings)}
    assert wanted <= set(world.SERVICES)


def test_txt_record_is_cut_into_strings_that_dns_takes() -> None:
    text = "v=DKIM1; p=" + "x" * 600
    strings = re.findall(r'"([^"]*)"', world.txt("a.test", text))
    assert "".join(strings) == text
    assert max(map(len, strings)) == 255


def test_world_outside_is_where_the_settings_say(made: world.World) -> None:
    records = (made.folder / "dnsmasq.d/outside.conf").read_text()
    assert "mx-host=outside.test,sink.outside.test,10\n" in records
    assert f"host-record=sink.outside.test,{DEMO['SINK_IP']}\n" in records
    assert 'txt-record=demo._domainkey.example.test,"v=DKIM1; k=rsa; p=MIIB' in records


# --- start -----------------------------------------------------------------------------------------------------------


def container(name: str, state: str, exit_code: int = 0, said: str = "") -> Container:
    return Container(name, state, exit_code, said)


def history(*looks: tuple[list[Container], int | None], deadline_s: float = 60) -> tuple[bool, list[str]]:
    """What a watch for imap and rspam says to what it sees, second by second."""
    now = 0.0
    said: list[str] = []
    watch = Watch(["rspam", "imap"], said.append, deadline_s, clock=lambda: now)
    complete = False
    for containers, up_code in looks:
        now += 1
        complete = watch.complete(up_code, {found.service: found for found in containers})
    return complete, said


BOTH = [container("imap", "healthy"), container("rspam", "healthy")]


def test_start_is_complete_when_all_are_healthy_and_compose_has_ended() -> None:
    assert history(([], None), (BOTH, 0))[0]
    assert not history(([], None), (BOTH, None))[0]
    assert not history((BOTH[:1], 0))[0]


def test_each_service_is_told_once_when_it_is_healthy() -> None:
    said = history((BOTH[:1], None), (BOTH[:1], None), (BOTH, 0))[1]
    assert [line.split("  ")[-1] for line in said] == ["imap is healthy", "rspam is healthy"]


def test_service_that_compose_replaces_is_waited_for_again() -> None:
    replaced = [container("imap", "starting"), BOTH[1]]
    assert not history((BOTH, None), (replaced, 0))[0]
    assert history((BOTH, None), (replaced, 0), (BOTH, 0))[0]


def test_long_wait_gives_signs_of_life_with_the_last_check() -> None:
    starting = [container("rspam", "starting", said="waiting for redis")]
    said = history(*[(starting, None)] * 25)[1]
    assert [line.split("  ")[-1] for line in said] == ["waiting for rspam (waiting for redis), imap"] * 2


def test_service_that_refuses_its_settings_ends_the_wait_at_once() -> None:
    with pytest.raises(Stuck, match="78") as stuck:
        history(([container("imap", "restarting", exit_code=78)], None))
    assert stuck.value.service == "imap"


@pytest.mark.parametrize("code", [0, 69, 137])
def test_service_that_may_do_better_next_time_is_waited_for(code: int) -> None:
    assert not history(([container("imap", "restarting", exit_code=code)], None))[0]


def test_failed_service_explains_why_compose_failed() -> None:
    ill = container("rspam", "unhealthy", said="no PONG")
    with pytest.raises(Stuck, match="no PONG") as stuck:
        history(([container("imap", "starting"), ill], 1))
    assert stuck.value.service == "rspam"


def test_nobody_is_blamed_when_only_compose_failed() -> None:
    with pytest.raises(Stuck, match="code 1") as stuck:
        history(([container("imap", "starting")], 1))
    assert stuck.value.service is None


def test_wait_ends_at_the_deadline_with_who_is_missing() -> None:
    looks = [([container("imap", "starting", said="no greeting"), BOTH[1]], None)] * 12
    with pytest.raises(Stuck, match="no greeting") as stuck:
        history(*looks, deadline_s=10)
    assert stuck.value.service == "imap"


def test_container_is_read_out_of_what_docker_says() -> None:
    inspected = {
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "Health": {"Status": "starting", "Log": [{"Output": "old"}, {"Output": "first\nlast\n"}]},
        },
        "Config": {"Labels": {"com.docker.compose.service": "imap"}},
    }
    assert Container.of(inspected) == container("imap", "starting", said="last")
    ended = {"State": {"Status": "exited", "ExitCode": 78}, "Config": inspected["Config"]}
    assert Container.of(ended).gave_up


def test_stack_takes_from_a_real_installation_only_which_images_it_has(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOMAIN=example.org\nvmail_uid='1234'\nPOSTERN_VERSION=1.0\nREDIS_PASSWORD=x\n")
    assert images_are_made_with(tmp_path / ".env") == {"vmail_uid": "1234", "POSTERN_VERSION": "1.0"}
    assert images_are_made_with(tmp_path / "nowhere") == {}


def test_progress_of_compose_is_left_out_of_its_error() -> None:
    lines = [" Container a  Started", " Network b  Created", "Error response: port is taken"]
    assert words_of_compose(lines) == ["Error response: port is taken"]
    assert words_of_compose(lines[:1]) == lines[:1]


# --- report ----------------------------------------------------------------------------------------------------------

EVENTS = [Event("a wrote to b", "taken", 0.25), Event("b read it", "fine", 12)]


def test_report_has_events_ports_accounts_and_commands_below_each_other(made: world.World) -> None:
    text = report.as_text(EVENTS, made, DEMO)
    assert "  a wrote to b  taken     0.2 s\n  b read it     fine     12.0 s\n" in text
    assert f"  bob@example.test    {made.password('bob')}  also info@example.test, quota 50 MB\n" in text
    assert "  127.0.0.1:10993  IMAPS\n" in text
    assert "  remove all  make demo-down\n" in text


def test_report_for_programs_names_files_and_no_passwords(made: world.World) -> None:
    data = json.dumps(report.as_data(EVENTS, made, DEMO))
    assert json.loads(data)["events"][1] == {"what": "b read it", "result": "fine", "seconds": 12}
    assert made.password("alice") not in data
    assert str(made.password_file("alice")) in data
