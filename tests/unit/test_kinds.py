"""Each sort of value: what it takes, what it makes of it, and why it refuses the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.settings import Secret, kinds
from entrypoint.settings.relays import Relay, RelayLogin, relay, relay_logins, relay_map
from entrypoint.settings.schema import Kind

GOOD: list[tuple[Kind[Any], str, object]] = [
    (kinds.boolean, "1", True),
    (kinds.boolean, "Yes", True),
    (kinds.boolean, " on ", True),
    (kinds.boolean, "0", False),
    (kinds.boolean, "FALSE", False),
    (kinds.port, "25", 25),
    (kinds.integer(-5, 5), "-5", -5),
    (kinds.decimal(-100, 1000), "6.31", 6.31),
    (kinds.decimal(-100, 1000), "-1", -1.0),
    (kinds.choice("modern", "intermediate"), " Modern", "modern"),
    (kinds.host, "IMAP.Example.org.", "imap.example.org"),
    (kinds.host, "imap", "imap"),
    (kinds.host, "a_b.example.org", "a_b.example.org"),
    (kinds.domain, "example", "example.de"),
    (kinds.domain, "Example.Org", "example.org"),
    (kinds.domains, "example.org:example.net", ("example.org", "example.net")),
    (kinds.domains, " example.org, example.net;example.com ", ("example.org", "example.net", "example.com")),
    (kinds.domains, "", ()),
    (kinds.email, "postmaster@Example.org", "postmaster@example.org"),
    (kinds.email, "O'Neil+x@example.org", "O'Neil+x@example.org"),
    (kinds.path, "/run/secrets/a b", "/run/secrets/a b"),
    (kinds.address, " 2001:db8::1 ", ip_address("2001:db8::1")),
    (kinds.network, "192.0.2.0/24", ip_network("192.0.2.0/24")),
    (kinds.networks, "192.0.2.0/28:198.51.100.7 2001:db8::/32", (
        ip_network("192.0.2.0/28"), ip_network("198.51.100.7"), ip_network("2001:db8::/32"),
    )),
    (kinds.relay_hosts, "192.0.2.1:mail.example.org 2001:db8::1", ("192.0.2.1", "mail.example.org", "2001:db8::1")),
    (kinds.relay_hosts, "192.0.2.0/28 2001:db8::/32", ("192.0.2.0/28", "2001:db8::/32")),
    (kinds.message_size, "10480000", 10480000),
    (kinds.message_size, "50M", 50 * 1024**2),
    (kinds.message_size, "64 kb", 64 * 1024),
    (kinds.quota, "0", 0),
    (kinds.memory, "1g", 1024**3),
    (kinds.time_zone, "Europe/Berlin", "Europe/Berlin"),
    (kinds.ldap_hosts, "ldap1 ldap2:636 ldap3:1389", ("ldap://ldap1:389", "ldaps://ldap2:636", "ldap://ldap3:1389")),
    (kinds.ldap_hosts, "LDAPS://Ldap1.example.org/", ("ldaps://ldap1.example.org:636",)),
    (kinds.ldap_hosts, "ldap://192.0.2.1:636", ("ldap://192.0.2.1:636",)),
    (kinds.dn, "ou=people,dc=example,dc=org", "ou=people,dc=example,dc=org"),
    (kinds.dn, r"cn=Müller \2c (x) #1, o=Example\, Inc.+l=A", r"cn=Müller \2c (x) #1, o=Example\, Inc.+l=A"),
    (kinds.dns_upstream, "System", ("system",)),
    (kinds.dns_upstream, "9.9.9.9 2620:fe::fe", ("9.9.9.9", "2620:fe::fe")),
    (kinds.dns_hosts, "cloud.example.org=172.20.0.40", (("cloud.example.org", "172.20.0.40"),)),
    (kinds.neighbours, "b=http://b.example.org:11334/x", ("b=http://b.example.org:11334/x",)),
    (kinds.published, "127.0.0.1:10143", "127.0.0.1:10143"),
    (kinds.published, "[::1]:143", "[::1]:143"),
    (relay, "smtp.example.net", Relay("smtp.example.net", 587)),
    (relay, "[192.0.2.1]:25", Relay("192.0.2.1", 25)),
    (relay_map, "example.com=a.example:25 example.net=b.example", (
        ("example.com", Relay("a.example", 25)), ("example.net", Relay("b.example", 587)),
    )),
    (relay_logins, "# comment\n\n[a.example]:587\tuser@example.org:p w:d\n", (
        RelayLogin("a.example", "user@example.org", Secret("p w:d")),
    )),
]  # fmt: skip

BAD: list[tuple[Kind[Any], str, str]] = [
    (kinds.text, "a\nb", "has control characters or a line break"),
    (kinds.text, "a\u2028b", "has control characters or a line break"),
    (kinds.text, "a\udcffb", "has control characters or a line break"),
    (kinds.text, "a" * 16385, "is longer than 16384 characters"),
    (kinds.boolean, "maybe", "is neither yes nor no"),
    (kinds.boolean, "''", "is neither yes nor no"),
    (kinds.port, "0", "is out of range"),
    (kinds.port, "65536", "is out of range"),
    (kinds.port, "tcp://172.17.0.2:6379", "is no whole number"),
    (kinds.port, "٢٥", "is no whole number"),
    (kinds.port, "9" * 5000, "is no whole number"),
    (kinds.decimal(0, 9), "1e1", "is no number"),
    (kinds.decimal(0, 9), "nan", "is no number"),
    (kinds.choice("a", "b"), "c", "is none of them"),
    (kinds.host, "-a.example.org", "is no host name"),
    (kinds.host, "a..example.org", "is no host name"),
    (kinds.host, "a b", "is no host name"),
    (kinds.host, "münchen.example", "is no host name in ASCII (xn--…)"),
    (kinds.host, "192.0.2.1", "is an address, not a name"),
    (kinds.host, "a" * 64, "is no host name"),
    (kinds.host, ".".join(["a" * 60] * 5), "is no host name"),
    (kinds.domains, ":", "has nothing but separators"),
    (kinds.domains, "example.org:*", "has '*', which is no host name"),
    (kinds.email, "postmaster", "is no mail address"),
    (kinds.email, "a b@example.org", "is no mail address"),
    (kinds.path, "secrets/x", "is no absolute path"),
    (kinds.address, "fe80::1%eth0", "is the address of one interface (%)"),
    (kinds.address, "172.20.0.256", "is no IP address"),
    (kinds.network, "192.0.2.1/24", "has host bits set"),
    (kinds.network, "fe80::%x/128", "is a network of one interface (%)"),
    (kinds.networks, "192.0.2.0/24 host", "has 'host', which is no network"),
    (kinds.relay_hosts, "192.0.2.1/24", "has '192.0.2.1/24', which has host bits set"),
    (kinds.relay_hosts, "192.0.2.1:2001:db8::1", "has '2001', which is an address, not a name"),
    (kinds.container_network, "192.0.2.1/32", "is too small for the containers"),
    (kinds.message_size, "5", "is too small"),
    (kinds.message_size, "0", "is too small"),
    (kinds.message_size, "2G", "is too large"),
    (kinds.message_size, "10 apples", "is no size"),
    (kinds.memory, "1M", "is too small"),
    (kinds.time_zone, "Europe/Berln", "is no known time zone"),
    (kinds.time_zone, "Europe", "is no known time zone"),
    (kinds.time_zone, "../../etc/passwd", "is no time zone"),
    (kinds.time_zone, "x" * 5000, "is no time zone"),
    (kinds.ldap_hosts, " ", "has nothing but separators"),
    (kinds.ldap_hosts, "http://ldap1", "has 'http://ldap1', which is no directory server"),
    (kinds.ldap_hosts, "ldap1:99999", "has 'ldap1:99999', which is out of range"),
    (kinds.ldap_hosts, "ldap1,ldap2", "has 'ldap1,ldap2', which is no host name"),
    (kinds.dn, "example.org", "is no distinguished name"),
    (kinds.dn, "ou=people,", "is no distinguished name"),
    (kinds.dn, 'ou="people"', "is no distinguished name"),
    (kinds.dn, "ou=people\\", "is no distinguished name"),
    (kinds.dns_upstream, "dns.example.org", "has 'dns.example.org', which is no IP address"),
    (kinds.dns_hosts, "cloud.example.org", "has 'cloud.example.org', which has no ="),
    (kinds.neighbours, "b=javascript:x", "has 'b=javascript:x', which is not name=http://host:port"),
    (kinds.published, "host:143", "is no IP address"),
    (kinds.login, "two words", "is no login name"),
    (kinds.selector, "a/b", "is no DKIM selector"),
    (kinds.attribute, "mail)(uid=*", "is no LDAP attribute name"),
    (relay, "a:b:c", "is no relay"),
    (relay, "[a.example:25", "is no relay"),
    (relay_map, "example.com:a.example", "has 'example.com:a.example', which has no ="),
    (relay_map, "a.example=b.example a.example=c.example", "has 2 relays for a.example"),
    (relay_logins, "a.example user", "has a line 1 that is not: host user:password"),
    (relay_logins, "a.example us er:x", "has a line 1 that is not: host user:password"),
    (relay_logins, "\na.example u:x\x07", "has a line 2 that has control characters or a line break"),
    (relay_logins, "a=b u:x", "has no relay at the beginning of line 1"),
    (relay_logins, "a.example u:x\n[a.example]:25 u:y", "has 2 logins for a.example"),
]

ALL: list[Kind[Any]] = [value for value in vars(kinds).values() if isinstance(value, Kind)]
ALL += [relay, relay_map, relay_logins]


def texts(value: object) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, tuple):
        for part in value:
            yield from texts(part)
    elif isinstance(value, RelayLogin):
        yield from (value.host, value.user, value.password.reveal())
    else:
        yield str(value)


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_takes(kind: Kind[Any], text: str, value: object) -> None:
    found = kind.parse(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("kind", "text", "reason"), BAD)
def test_refuses(kind: Kind[Any], text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        kind.parse(text)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.accepts)
@given(text=st.text() | st.text("0123456789.:/=-_%[] ,;@abk*\\\n\x85\u2028\udcff"))
def test_any_text_is_refused_with_a_reason_or_a_value_without_control_characters(kind: Kind[Any], text: str) -> None:
    try:
        value = kind.parse(text)
    except ValueError as refused:
        said = str(refused)
    else:
        said = kind.note(text)
        assert not any(kinds.has_controls(part) for part in texts(value))
    assert said.isprintable()


@pytest.mark.parametrize(
    ("net", "address", "inside"),
    [
        ("172.20.0.0/16", "172.20.0.1", True),
        ("172.20.0.2/32", "172.20.0.1", False),
        ("::ffff:172.20.0.0/112", "172.20.0.1", True),
        ("::/0", "172.20.0.1", True),
        ("2001:db8::/32", "172.20.0.1", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("172.20.0.0/16", "2001:db8::1", False),
    ],
)
def test_a_network_holds_an_address_in_either_notation(net: str, address: str, inside: bool) -> None:
    assert kinds.holds(ip_network(net), ip_address(address)) is inside
