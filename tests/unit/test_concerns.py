"""What the concerns say about values that do not go together, above all about who may relay."""

from __future__ import annotations

from typing import Any

import pytest

from entrypoint.errors import SettingsError
from entrypoint.service import find, known_variables
from entrypoint.settings import read

BASE = {
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


def settings(service: str, **env: str) -> Any:
    return read(BASE | env, find(service).settings, known=known_variables()).settings


def mistake(service: str, **env: str) -> str:
    with pytest.raises(SettingsError) as refused:
        settings(service, **env)
    (found,) = refused.value.mistakes
    return found


class TestWhoMayRelay:
    @pytest.mark.parametrize("variable", ["EXIM_WHITELIST_NET", "EXIM_RELAY_HOSTS"])
    @pytest.mark.parametrize(
        "net",
        [
            "172.20.0.0/16",
            "172.16.0.0/12",
            "172.20.0.1/32",
            "0.0.0.0/0",
            "::ffff:172.20.0.0/112",
            "::/0",
            "::ffff:0:0/96",
        ],
    )
    def test_never_a_network_with_the_gateway(self, variable: str, net: str) -> None:
        found = mistake("exim-ext-mailout", **{variable: f"192.0.2.7 {net}"})
        assert found.startswith(f"{variable} has ")
        assert "which holds 172.20.0.1, the container network's gateway (MAIL_NETWORK)" in found

    @pytest.mark.parametrize("variable", ["EXIM_WHITELIST_NET", "EXIM_RELAY_HOSTS"])
    def test_never_the_gateway_itself(self, variable: str) -> None:
        assert "gateway" in mistake("exim-ext-mailout", **{variable: "172.20.0.1"})

    @pytest.mark.parametrize("net", ["0.0.0.0/1", "10.0.0.0/7", "2000::/3"])
    def test_never_half_the_world(self, net: str) -> None:
        assert "which is wider than /" in mistake("exim-ext-mailout", EXIM_WHITELIST_NET=net)

    def test_the_gateway_is_that_of_the_network_that_is_set(self) -> None:
        elsewhere = {"MAIL_NETWORK": "10.9.0.0/24"}
        assert "10.9.0.1" in mistake("exim-ext-mailout", EXIM_WHITELIST_NET="10.9.0.0/28", **elsewhere)
        assert settings("exim-ext-mailout", EXIM_WHITELIST_NET="172.20.0.0/16", **elsewhere)

    @pytest.mark.parametrize("net", ["192.0.2.0/28", "10.0.0.0/8", "172.20.0.2/31", "2001:db8::/32", ""])
    def test_others_may(self, net: str) -> None:
        found = settings("exim-ext-mailout", EXIM_WHITELIST_NET=net)
        assert [str(one) for one in found.exim_whitelist_net] == net.split()

    def test_by_default_it_is_the_services_of_the_stack(self) -> None:
        found = settings("exim-ext-mailout", IMAP_IP="172.20.0.50")
        assert found.exim_relay_hosts == ("172.20.0.9", "172.20.0.3", "172.20.0.50")
        assert found.exim_whitelist_net == ()


class TestPairs:
    @pytest.mark.parametrize(
        ("one", "told"),
        [
            ({"EXIM_EXT_MSACCOUNT": "us"}, "EXIM_EXT_MSACCOUNT got 'us', and EXIM_EXT_PW nothing: "),
            ({"EXIM_EXT_PW": "s3cr3t"}, "EXIM_EXT_MSACCOUNT got nothing, and EXIM_EXT_PW a value: "),
        ],
    )
    def test_an_account_and_its_password_need_each_other(self, one: dict[str, str], told: str) -> None:
        found = mistake("exim-ext-mailout", **one)
        assert found.startswith(f"{told}they need each other; set both, for example EXIM_EXT_MSACCOUNT=")
        assert "s3cr3t" not in found

    def test_both_are_good(self) -> None:
        assert settings("exim-ext-mailout", EXIM_EXT_MSACCOUNT="us@example.org", EXIM_EXT_PW="x")

    @pytest.mark.parametrize("service", ["imap", "exim-external", "exim-int-mailout"])
    def test_directory_servers_begin_tls_in_one_way(self, service: str) -> None:
        assert mistake(service, LDAP_HOSTS="ldap1 ldaps://ldap2").startswith(
            "LDAP_HOSTS got 'ldap://ldap1:389 ldaps://ldap2:636', which mixes ldaps://"
        )
        assert settings(service, LDAP_HOSTS="ldap1:636 ldaps://ldap2").ldap_scheme == "ldaps"
        assert settings(service, LDAP_HOSTS="ldap1 ldap://ldap2:1389").ldap_scheme == "ldap"

    def test_scores_rise(self) -> None:
        assert mistake("rspam", SA_TAG="7").startswith(
            "SA_TAG=7, SA_TAG2=6.31 and SA_KILL=15 do not rise: they accept "
        )
        assert settings("rspam", SA_TAG="6.31", SA_KILL="6.31")

    def test_the_embedded_directory_has_a_suffix(self) -> None:
        assert mistake("ldap", LDAP_BASE="ou=people,o=Example").startswith("LDAP_BASE got 'ou=people,o=Example', which")
        assert settings("ldap").ldap_suffix == "dc=example,dc=org"
