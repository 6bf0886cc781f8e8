"""What `entrypoint firewall` lets in: the ports that .env publishes to others, and nothing else.

That the rules are good ones, and do what they say, is tested with the real programs (tests/image/test_firewall.py).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from entrypoint.errors import SettingsError, UsageError
from entrypoint.firewall import nftables, ufw
from entrypoint.firewall.openings import Openings, openings

ROOT = Path(__file__).parents[2]
ENV = {"DOMAIN": "example.org"}
ALL = [25, 143, 465, 587, 993, 1465, 1587, 2526, 2587, 4190]


def ports(found: Openings, version: int = 4) -> list[int]:
    """The ports that are open, as each of the two says it."""
    of_ufw = sorted({int(port) for port in re.findall(r"--ctorigdstport (\d+)", ufw.rules(found, version))})
    family = {4: "ip", 6: "ip6"}[version]
    chain = nftables.rules(found).partition(f"chain mail_{family} {{")[2].partition("}\n")[0]
    assert sorted({int(port) for port in re.findall(r"proto-dst (\d+)", chain)}) == of_ufw
    return of_ufw


def test_all_that_is_published_by_default() -> None:
    assert ports(openings(ENV)) == ALL


def test_only_of_the_services_that_this_machine_has() -> None:
    assert ports(openings(ENV | {"COMPOSE_PROFILES": "global"})) == [1465, 1587, 2526]


def test_none_that_is_for_this_machine_only() -> None:
    env = ENV | {"EXT_MAILOUT_SMTP_PORT": "127.0.0.1:2526", "IMAP_PORT": "[::1]:143", "SMTP_PORT": "0.0.0.0:25"}
    assert ports(openings(env)) == [port for port in ALL if port not in {2526, 143}]


def test_a_port_that_is_somewhere_else() -> None:
    assert ports(openings(ENV | {"IMAPS_PORT": "10993"})) == sorted({*ALL, 10993} - {993})


def test_at_one_address_only() -> None:
    text = ufw.rules(openings(ENV | {"IMAPS_PORT": "192.0.2.7:993"}))
    assert "--ctorigdst 192.0.2.7 --ctorigdstport 993" in text
    assert text.count("--ctorigdst ") == 1
    assert "ct original ip daddr 192.0.2.7 ct original proto-dst 993" in nftables.rules(
        openings(ENV | {"IMAPS_PORT": "192.0.2.7:993"})
    )


def test_ports_and_networks_of_an_override_file() -> None:
    found = openings(ENV | {"IMAP_PORT": "[2001:db8::7]:143"}, more_ports=["995"], more_networks=["fd00:25::/64"])
    assert ports(found) == sorted({*ALL, 995} - {143})
    assert ports(found, 6) == sorted({*ALL, 995})
    assert "-d fd00:25::/64" in ufw.rules(found, 6)
    assert "ip6 daddr fd00:25::/64" in nftables.rules(found)


def test_without_ipv6_in_the_network_there_are_no_rules_for_it() -> None:
    assert "ip6" not in nftables.rules(openings(ENV))


def test_rules_are_about_the_mail_network_and_what_comes_from_outside() -> None:
    found = openings(ENV | {"MAIL_NETWORK": "172.30.25.0/24"}, interface="eth0")
    assert "-A DOCKER-USER -i eth0 ! -s 172.30.25.0/24 -d 172.30.25.0/24 -j POSTERN\n" in ufw.rules(found)
    assert 'iifname "eth0" ip saddr != 172.30.25.0/24 ip daddr 172.30.25.0/24 jump mail_ip\n' in nftables.rules(found)
    assert len(re.findall(r"-A DOCKER-USER", ufw.rules(found))) == 1


@pytest.mark.parametrize("which", ["2587", "INT_MAILOUT_SUBMISSION_PORT"])
def test_a_port_for_some_networks(which: str) -> None:
    found = openings(ENV, limits=[f"{which}=192.0.2.0/24", f"{which}=198.51.100.7"])
    lines = [line for line in ufw.rules(found).splitlines() if " 2587 " in line]
    assert [line.split(" -p ")[0] for line in lines] == ["-A POSTERN -s 192.0.2.0/24", "-A POSTERN -s 198.51.100.7/32"]
    assert "ip saddr { 192.0.2.0/24, 198.51.100.7/32 } meta" in nftables.rules(found)
    assert "meta nfproto ipv6 tcp dport 2587 counter drop" in nftables.rules(found)


def test_a_port_for_networks_of_the_other_family_is_closed() -> None:
    assert ports(openings(ENV, limits=["4190=2001:db8::/48"])) == [port for port in ALL if port != 4190]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"limits": ["2587"]}, "cannot use --from '2587': it is not PORT=NETWORK, for example 2587=192.0.2.0/24"),
        (
            {"limits": ["22=192.0.2.0/24"]},
            "22 is not published to others; these are: 25 (SMTP_PORT, exim-external), 587",
        ),
        ({"limits": ["25=192.0.2.1/24"]}, "cannot use --from '192.0.2.1/24': it has host bits set; it accepts a netw"),
        ({"more_ports": ["pop3"]}, "cannot use --port 'pop3': it is no whole number; it accepts a port from 1"),
        ({"more_networks": ["x"]}, "cannot use --network 'x': it is no network; it accepts a network"),
        ({"interface": 'eth0" drop'}, "cannot use --interface"),
        ({"interface": "eth+"}, "it is the name of one interface, for example eth0"),
    ],
)
def test_a_wrong_option_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        openings(ENV, **options)
    assert told in str(caught.value)


def test_a_wrong_variable_is_told() -> None:
    with pytest.raises(SettingsError, match="SMTP_PORT got 'smtp', which is no whole number"):
        openings(ENV | {"SMTP_PORT": "smtp"})


def test_the_env_file_of_this_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOMAIN=example.org\nSMTP_PORT=10025\n")
    command = [sys.executable, "-m", "entrypoint", "firewall", "ufw"]
    env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--ctorigdstport 10025" in done.stdout
    done = subprocess.run([*command, "--ipv6"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert "no network of the containers has it, so ufw's own rules hold" in done.stderr
