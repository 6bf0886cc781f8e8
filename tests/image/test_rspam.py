"""rspam: verdicts with a real Redis behind it, the console's doors, and lists that people keep."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.containers import Container, container, docker, network, prefix, wait_until

pytestmark = pytest.mark.image

NET = prefix(2)
# What ends or begins something in some syntax, rspamd's own templates, and what is not ASCII.
HOSTILE = "a \"b'c\\d $VAR ${DBDIR} %s {{ env }} {% if %} {= x =} #;/* ünï 😀"
ENV = {
    "DOMAIN": "example.org",
    "IMAP_IP": f"{NET}.5",
    "REDIS_IP": f"{NET}.4",
    "REDIS_PASSWORD": HOSTILE,
    "RSPAM_MAPS_ONLINE": "no",
    "RSPAM_DNS_LISTS": "no",
    "LOG_FORMAT": "json",
}
CONSOLE = {"RSPAM_password": "look " + HOSTILE, "RSPAM_enable_password": "change " + HOSTILE}
SPAM = "Cheap pills, many of them, more than you ever wanted, come to your house tomorrow without any prescription"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
# From imap, which is one of us: not greylisted, and nobody asks DNS about it.
INSIDE = {"From": "alice@example.org", "Rcpt": "bob@example.org", "Ip": f"{NET}.5", "Helo": "imap.example.org"}
OUTSIDE = {"From": "alice@example.net", "Rcpt": "bob@example.org", "Ip": "192.0.2.1", "Helo": "mail.example.net"}


def message(body: str = "See you tomorrow at ten.") -> bytes:
    lines = (
        "From: Alice <alice@example.org>",
        "To: Bob <bob@example.org>",
        "Subject: Tomorrow",
        "Date: Sun, 22 Nov 2026 20:00:00 +0000",
        "Message-ID: <1@example.org>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        body,
        "",
    )
    return "\r\n".join(lines).encode()


def scan(rspam: Container, content: bytes, envelope: dict[str, str]) -> dict[str, Any]:
    """The verdict, as rspamd's HTTP protocol has it."""
    request = urllib.request.Request(f"http://{rspam.address()}:11333/checkv2", data=content, headers=envelope)
    with urllib.request.urlopen(request, timeout=30) as reply:
        verdict: dict[str, Any] = json.load(reply)
    return verdict


def console(rspam: Container, path: str, password: str, data: bytes | None = None) -> int:
    """The status of the console's answer."""
    headers = {"Password": password.encode().decode("latin-1")}
    request = urllib.request.Request(f"http://{rspam.address()}:11334/{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture(scope="module")
def net() -> Iterator[str]:
    """A network with a mail-redis."""
    with network(f"{NET}.0/24") as name, container("redis", env=ENV, options=options(name, ".4")) as redis:
        redis.wait_healthy()
        yield name


def options(net: str, host: str) -> list[str]:
    return [f"--network={net}", f"--ip={NET}{host}"]


@contextmanager
def rspamd(net: str, env: dict[str, str] | None = None, files: dict[str, Path] | None = None) -> Iterator[Container]:
    more = [f"--network={net}", "--user=12345:0"]
    with container("rspamd", env=ENV | (env or {}), files=files, options=more) as running:
        running.wait_healthy()
        yield running


@pytest.fixture(scope="module")
def rspam(net: str) -> Iterator[Container]:
    with rspamd(net, CONSOLE) as running:
        yield running


def test_ham_passes_and_spam_is_refused(rspam: Container) -> None:
    assert scan(rspam, message(), INSIDE)["action"] == "no action"
    assert scan(rspam, message(GTUBE), INSIDE)["action"] == "reject"


def test_doubtful_strangers_have_to_wait_and_redis_remembers_them(rspam: Container) -> None:
    first = scan(rspam, message("Buy now"), OUTSIDE)
    assert first["action"] == "soft reject"
    assert first["messages"]["smtp_message"] == "Try again later"
    assert "new record" in str(first["symbols"]["GREYLIST"])
    again = scan(rspam, message("Buy now"), OUTSIDE)
    assert "too early" in str(again["symbols"]["GREYLIST"])


def test_the_gateway_of_the_network_is_a_stranger(rspam: Container) -> None:
    """Hosts of the whole world may appear under its address, so they are checked like all."""
    assert "R_SPF_NA" not in scan(rspam, message(), INSIDE)["symbols"]
    assert "R_SPF_NA" in scan(rspam, message(), OUTSIDE | {"Ip": f"{NET}.1"})["symbols"]


def test_the_console_has_one_password_for_looking_and_one_for_changing(rspam: Container) -> None:
    look, change = CONSOLE.values()
    assert console(rspam, "stat", "") in (401, 403)
    assert console(rspam, "stat", "q1") in (401, 403)  # Debian's own
    assert console(rspam, "stat", look) == 200
    assert console(rspam, "learnspam", look, message("Cheap pills")) in (401, 403)
    assert console(rspam, "learnspam", change, message(SPAM)) == 200


def test_it_uses_its_own_database_with_the_password(rspam: Container) -> None:
    settings = json.loads(rspam.run("rspamadm", "configdump", "--json", "redis"))
    assert settings["password"] == HOSTILE
    assert settings["db"] == "7"


def test_scans_are_parsed_and_secrets_are_in_no_line(rspam: Container) -> None:
    scan(rspam, message(GTUBE), INSIDE | {"Queue-Id": "1vM0Cx-000001-AA"})

    def found() -> dict[str, Any]:
        lines = (event for event in rspam.events() if event.get("exim_id") == "1vM0Cx-000001-AA")
        return next(lines, {})

    line = wait_until(found, 10, "the scan is in the log")
    assert (line["service"], line["program"], line["level"]) == ("rspam", "rspamd", "info")
    assert (line["message_id"], line["action"], line["score"]) == ("1@example.org", "reject", 15.0)
    assert (line["sender"], line["recipients"]) == ("alice@example.org", ["bob@example.org"])
    assert "$VAR" not in rspam.logs()


@pytest.mark.parametrize(
    ("list_", "entry", "envelope", "action"),
    [
        ("blocked_senders", "alice@example.org", {}, "reject"),
        ("blocked_domains", "example.org", {}, "reject"),
        ("blocked_ips", f"{NET}.0/28", {}, "reject"),
        ("blocked_domains", "example.org", {"From": "alice@example.com"}, "no action"),
    ],
)
def test_lists_on_the_volume_count_without_a_restart(
    rspam: Container, list_: str, entry: str, envelope: dict[str, str], action: str
) -> None:
    path = f"/var/lib/rspamd/maps.d/{list_}.map"
    before = rspam.run("cat", path)
    symbol = {"senders": "SENDER", "domains": "DOMAIN", "ips": "IP"}[list_.split("_")[1]]
    rspam.run("sh", "-c", f"cat > {path}", stdin=before + entry + "\n")
    try:
        if action == "reject":
            wait_until(
                lambda: f"BLOCKED_{symbol}" in scan(rspam, message(), INSIDE)["symbols"], 90, f"{list_} is read again"
            )
        assert scan(rspam, message(), INSIDE | envelope)["action"] == action
    finally:
        rspam.run("sh", "-c", f"cat > {path}", stdin=before)
        wait_until(lambda: scan(rspam, message(), INSIDE)["action"] == "no action", 90, f"{list_} is read again")


def test_values_are_read_back_as_given(net: str) -> None:
    texts = {"POSTGREY_TEXT": HOSTILE, "SA_SPAM_SUBJECT": HOSTILE, "RSPAM_NEIGHBOURS": "b=http://b.example.org:11334"}
    with rspamd(net, texts | CONSOLE) as running:
        dump = json.loads(running.run("rspamadm", "configdump", "--json"))
    assert dump["greylist"]["message"] == HOSTILE
    assert dump["actions"]["subject"] == HOSTILE.replace("%", "%%") + " %s"
    assert dump["options"]["neighbours"] == {"b": {"host": "http://b.example.org:11334"}}
    controller = next(worker["controller"] for worker in dump["worker"] if "controller" in worker)
    assert [controller["password"], controller["enable_password"]] == list(CONSOLE.values())


def test_the_subject_tells_spam_when_it_has_a_text(net: str) -> None:
    low = {"SA_TAG": "-50", "SA_TAG2": "-50", "ENABLE_POSTGREY": "no"}
    with ExitStack() as stack:
        plain = stack.enter_context(rspamd(net, low))
        told = stack.enter_context(rspamd(net, low | {"SA_SPAM_SUBJECT": "100% SPAM"}))
        assert scan(plain, message(), INSIDE)["action"] == "add header"
        verdict = scan(told, message(), INSIDE)
        assert (verdict["action"], verdict["subject"]) == ("rewrite subject", "100% SPAM Tomorrow")


def test_without_greylisting_strangers_need_not_wait(net: str) -> None:
    with rspamd(net, {"ENABLE_POSTGREY": "no"}) as running:
        verdict = scan(running, message("Buy now"), OUTSIDE)
        assert "GREYLIST" not in verdict["symbols"]
        assert verdict["action"] != "soft reject"


def test_a_mark_as_high_as_the_refusal_is_no_mistake(net: str) -> None:
    """Older installations have SA_TAG2 and SA_KILL at the same score."""
    with rspamd(net, {"SA_TAG2": "6.31", "SA_KILL": "6.31"}) as running:
        found = scan(running, message(), INSIDE)["thresholds"]
    assert found["reject"] == pytest.approx(6.31)
    assert found["add header"] == pytest.approx(6.3)


def test_while_clamav_is_away_mail_has_to_wait(net: str) -> None:
    with rspamd(net, {"ENABLE_CLAMAV": "yes", "CLAMAV_IP": f"{NET}.4"}) as running:
        verdict = scan(running, message(), INSIDE)
        assert verdict["action"] == "soft reject"
        assert "virus scanner" in verdict["messages"]["smtp_message"]
        assert scan(running, message(GTUBE), INSIDE)["action"] == "reject"


def test_with_all_of_debians_rules_it_stops_with_0_and_starts_again_the_same(net: str) -> None:
    """With the lists on the internet too, which nobody reaches here: rspamd goes on without."""
    with rspamd(net, {"RSPAM_MAPS_ONLINE": "yes", "RSPAM_DNS_LISTS": "yes"}) as running:
        for _ in range(2):
            running.wait_healthy()
            assert scan(running, message(GTUBE), INSIDE)["action"] == "reject"
            code, took_s = running.stop()
            assert code == 0
            assert took_s < 10
            running.start()


def test_patterns_are_not_compiled_again(net: str) -> None:
    """What the image was built with is what rspamd looks for: no other names appear."""
    with rspamd(net) as running:
        shipped = running.run("ls", "/opt/postern/hyperscan").split()
        used = [name for name in running.run("ls", "/var/lib/rspamd/hyperscan").split() if not name.endswith(".unser")]
        assert set(used) == set(shipped)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"SA_TAG2": "20"}, "SA_TAG2=20"),
        ({"RSPAM_REDIS_DB": "x"}, "RSPAM_REDIS_DB"),
        ({"RSPAM_NEIGHBOURS": "b.example.org"}, "RSPAM_NEIGHBOURS"),
    ],
)
def test_wrong_settings_are_refused_by_name(net: str, wrong: dict[str, str], named: str) -> None:
    with container("rspamd", env=ENV | wrong, options=[f"--network={net}"]) as refused:
        assert refused.wait_end() == 78
        assert named in refused.logs()


def test_own_configuration_is_read_and_refused_when_rspamd_cannot_read_it(net: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    own = tmp_path / "own.conf"
    own.write_text("actions { reject = 21; }\n")
    files = {"/etc/postern/rspamd.d": tmp_path}
    with rspamd(net, files=files) as running:
        assert scan(running, message(), INSIDE)["required_score"] == 21
    own.write_text("actions { reject = \n")
    with container("rspamd", env=ENV, files=files, options=[f"--network={net}"]) as refused:
        assert refused.wait_end() == 78
        assert "cannot check rspamd's configuration" in refused.logs()


def test_a_wrong_password_of_redis_ends_the_start_at_once(net: str) -> None:
    wrong = {"REDIS_PASSWORD": "another one"}
    with container("rspamd", env=ENV | wrong, options=[f"--network={net}"]) as refused:
        assert refused.wait_end() == 78
        assert "the password is wrong" in refused.logs()
        assert "another one" not in refused.logs()


def test_passwords_that_nobody_has_given_are_made_and_shared(net: str) -> None:
    """mail-redis and rspam agree by their volume; the console's are on rspam's own; without the volume it is told."""
    env = {name: text for name, text in ENV.items() if name != "REDIS_PASSWORD"} | {"REDIS_IP": f"{NET}.14"}
    volume = f"postern-test-{uuid.uuid4()}"
    docker("volume", "create", volume)
    shared = [f"--volume={volume}:/var/lib/passwords", f"--network={net}"]
    try:
        with (
            container("redis", env=env, options=[*shared, f"--ip={NET}.14"]) as redis,
            container("rspamd", env=env, options=[*shared, "--user=12345:0"]) as running,
        ):
            redis.wait_healthy()
            running.wait_healthy()
            look, change = (running.run("cat", f"/var/lib/rspamd/{name}").strip() for name in CONSOLE)
            assert look != change
            assert console(running, "stat", "made at the first start") in (401, 403)
            assert console(running, "stat", look) == 200
            assert console(running, "learnspam", look, message(SPAM)) in (401, 403)
            assert console(running, "learnspam", change, message(SPAM)) == 200
            of_redis = running.run("cat", "/var/lib/passwords/REDIS_PASSWORD").strip()
            assert [word for word in (look, change, of_redis) if word in running.logs() + redis.logs()] == []
            other = ["--tmpfs=/var/lib/passwords:mode=0770", f"--network={net}"]
            with container("rspamd", env=env, options=other) as elsewhere:
                assert elsewhere.wait_end() == 78
                assert "at different places, give REDIS_PASSWORD to both" in elsewhere.logs()
    finally:
        docker("volume", "rm", "--force", volume, check=False)
