"""Filters and searches: placeholders are found, everything else is text, and no value becomes structure."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.quoting import ldap_dn
from entrypoint.settings import kinds, read
from entrypoint.settings.concerns import Common, Members, Recipients, Senders
from entrypoint.settings.ldap_filters import dovecot_pattern, exim_pattern, in_filter, in_url, login_search
from entrypoint.settings.schema import concern

exim = exim_pattern("local_part", "domain", needed="local_part")
dovecot = dovecot_pattern()
search = login_search()

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=30) | st.text(
    '$%\\()&|!*=,+#;<>" {}a', min_size=1, max_size=20
)


class TestPlaceholders:
    @pytest.mark.parametrize(
        "text",
        [
            "(mail=$local_part@$domain)",
            "(mail=${local_part}@${domain})",
            "(mail=${quote_ldap:$local_part}@${quote_ldap:${domain}})",
            "mail=$local_part@$domain",
            "  (mail=$local_part@$domain) ",
        ],
    )
    def test_exims_are_found_in_every_spelling(self, text: str) -> None:
        assert str(exim.parse(text)) == "(mail=<local_part>@<domain>)"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("(mail=%u)", "(mail=<user>)"),
            ("(mail=%Lu)", "(mail=<user>)"),
            ("(mail=%{user})", "(mail=<user>)"),
            ("(uid=%n)", "(uid=<user|username>)"),
            ("(&(uid=%{user | username})(o=%d))", "(&(uid=<user|username>)(o=<user|domain>))"),
        ],
    )
    def test_dovecots_are_found_in_every_spelling(self, text: str, expected: str) -> None:
        assert str(dovecot.parse(text)) == expected

    @pytest.mark.parametrize("login", ["$auth1", "${auth2}", "${quote_ldap:$auth1}", "${quote_ldap:${auth2}}"])
    def test_logins_are_found_in_every_spelling(self, login: str) -> None:
        found = search.parse(f"ldap:///ou=People,dc=example,dc=org??sub?(mail={login})")
        assert str(found) == "ldap:///ou=People,dc=example,dc=org??sub?(mail=<login>)"

    @pytest.mark.parametrize(
        "text",
        [
            "(mail=$local_part_data)",
            "(mail=$local_part)(x=$value)",
            "(mail=${lookup{$local_part}lsearch{/etc/passwd}})",
            "(mail=$local_part@$)",
        ],
    )
    def test_other_expansions_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"has a \$ in another place than the known names"):
            exim.parse(text)

    def test_a_dollar_is_text_for_dovecot_and_a_per_cent_sign_for_exim(self) -> None:
        assert str(dovecot.parse("(mail=%u$x)")) == "(mail=<user>$x)"
        assert str(exim.parse("(mail=$local_part%u)")) == "(mail=<local_part>%u)"

    @pytest.mark.parametrize("text", ["(memberOf=cn=mail,dc=example)", "(o=$domain)"])
    def test_a_filter_that_names_nobody_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="names nobody"):
            exim.parse(text)

    def test_a_filter_for_all_names_nobody(self) -> None:
        assert str(dovecot_pattern(needed=False).parse("(mail=*)")) == "(mail=*)"

    @pytest.mark.parametrize("text", ["(mail=)", "(&(objectClass=x)(mail= ))"])
    def test_what_compose_has_emptied_is_found(self, text: str) -> None:
        with pytest.raises(ValueError, match="compares with nothing"):
            exim.parse(text)

    def test_a_value_may_end_with_an_equals_sign(self) -> None:
        assert (
            str(exim.parse("(&(userPassword=YQ==)(mail=$local_part))")) == "(&(userPassword=YQ==)(mail=<local_part>))"
        )


class TestOldSpellings:
    @pytest.mark.parametrize("ampersand", ["&", r"\&", r"\\&", r"\\\\&"])
    def test_every_ampersand_that_sed_wanted_is_one(self, ampersand: str) -> None:
        assert str(dovecot.parse(f"({ampersand}(a=b)(mail=%u))")) == "(&(a=b)(mail=<user>))"

    def test_an_ampersand_in_a_value_stays(self) -> None:
        assert str(dovecot.parse(r"(&(o=A & B \& C)(mail=%u))")) == "(&(o=A & B & C)(mail=<user>))"

    def test_escapes_of_ldap_2_become_those_of_today(self) -> None:
        assert str(dovecot.parse(r"(&(cn=a\*\28b\))(mail=%u))")) == r"(&(cn=a\2a\28b\29)(mail=<user>))"


class TestFilters:
    @pytest.mark.parametrize(
        "text",
        [
            "(mail=%u)",
            "(&(a=b)(|(mail=%u)(alias=%u))(!(c=d)))",
            "( & (a=b) ( mail=%u) )",
            "(&(memberOf:1.2.840.113556.1.4.1941:=cn=x,dc=y)(mail=%u))",
            "(&(cn:dn:=x)(a>=1)(b<=2)(c~=d)(mail=%u*))",
            "(&(&)(mail=%u))",
            r"(&(cn=a\28b)(mail=%u))",
        ],
    )
    def test_good(self, text: str) -> None:
        assert "<user>" in str(dovecot.parse(text))

    @pytest.mark.parametrize(
        "text",
        [
            "(mail=%u",
            "(mail=%u))",
            "(a=b)(mail=%u)",
            "(&(a=b)(mail=%u)x)",
            "(mail=%u)x",
            "()(mail=%u)",
            "(!(a=b)(mail=%u))",
            "(%u=x)",
            "(%u)",
            "%u",
            r"(mail=%u\zz)",
            "(mail=%u\\",
            "",
            "(((((((",
        ],
    )
    def test_bad(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no LDAP filter"):
            dovecot.parse(text)

    # ldap3 2.9.1 still uses two names that pyasn1 deprecates
    @pytest.mark.filterwarnings("ignore:(tag|type)Map is deprecated:DeprecationWarning")
    @given(text=st.text("()&|!=*%u\\2a b", max_size=40))
    def test_what_is_accepted_is_a_filter_for_ldap3_too(self, text: str) -> None:
        from ldap3.operation.search import parse_filter  # not typed

        try:
            pattern = dovecot_pattern(needed=False).parse(text)
        except ValueError:
            return
        filled = "".join(literal if kind == "literal" else "x" for kind, literal in pattern.parts)
        without_empty_sets = re.sub(r"\([&|]\)", "(a=b)", filled.replace(" ", ""))  # ldap3 is older than RFC 4526
        parse_filter(without_empty_sets, None, False, True, {}, False)  # type: ignore[no-untyped-call]

    @pytest.mark.timeout(10)
    def test_a_deep_one_is_read_in_reasonable_time(self) -> None:
        assert dovecot.parse("(!" * 2000 + "(mail=%u)" + ")" * 2000).names() == {"user"}


class TestSearches:
    def test_all_parts(self) -> None:
        found = search.parse("ldap:///ou=a%20b,dc=example?mail,uid?one?(&(o=%41x)(mail=$auth1))")
        assert (found.base, found.attributes, found.scope) == ("ou=a b,dc=example", ("mail", "uid"), "one")
        assert str(found.filter) == "(&(o=Ax)(mail=<login>))"

    def test_without_a_scope_it_is_base_as_in_every_ldap_url(self) -> None:
        assert search.parse("ldap:///dc=example???(mail=$auth1)").scope == "base"

    def test_a_host_is_told_not_to_be_used(self) -> None:
        text = "ldap://ldap1.example.org/dc=example??sub?(mail=$auth1)"
        assert str(search.parse(text)).startswith("ldap:///dc=example")
        assert search.note(text) == "its host is not used, LDAP_HOSTS are asked"
        assert search.note(text.replace("ldap1.example.org", "")) == ""

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("(mail=$auth1)", "is no LDAP URL"),
            ("ldap:///dc=example??sub", "is no LDAP URL"),
            ("ldap:///dc=example??all?(mail=$auth1)", "has the scope 'all'"),
            ("ldap:///dc=example??sub?(mail=x)", "names nobody"),
            ("ldap:///no dn??sub?(mail=$auth1)", "is no distinguished name"),
            ("ldap:///dc=%0a??sub?(mail=$auth1)", "has control characters"),
            ("ldap:///dc=x??sub?(mail=%0a$auth1)", "has control characters"),
            ("ldap:///dc=x??sub?(&(o=%28x)(mail=$auth1))", "its parentheses do not match"),
            ("ldap:///dc=%ff??sub?(mail=$auth1)", "is not UTF-8"),
        ],
    )
    def test_bad(self, text: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            search.parse(text)


@concern
class Everyone(Common, Members, Recipients, Senders):
    """All concerns whose defaults are made of LDAP_GROUP and LDAP_BASE."""


class TestDefaults:
    @given(group=TEXT, base=TEXT)
    def test_no_name_of_a_group_or_base_becomes_structure_or_placeholder(self, group: str, base: str) -> None:
        group_dn = f"cn={ldap_dn(group)},dc=example"
        base_dn = f"ou={ldap_dn(base)},dc=example"
        found = read(
            {
                "DOMAIN": "example.org",
                "LDAP_HOSTS": "ldap",
                "LDAP_USER": "cn=x",
                "LDAP_PASSWORD": "x",
                "LDAP_BASE": base_dn,
                "LDAP_GROUP": group_dn,
            },
            Everyone,
        ).settings
        quoted = in_filter(group_dn)
        assert str(found.ldap_user_filter) == (
            f"(&(memberOf={quoted})(|(mail=<user>)(gosaMailAlternateAddress=<user>)))"
        )
        assert str(found.exim_ldap_user_filter) == (
            f"(&(memberOf={quoted})(|(mail=<local_part>@<domain>)(gosaMailAlternateAddress=<local_part>@<domain>)))"
        )
        for found_search in (found.exim_int_mailout_ldap_auth, found.exim_int_mailout_ldap_plain):
            assert (found_search.base, found_search.scope) == (base_dn, "sub")
            assert str(found_search.filter) == (
                f"(&(memberOf={quoted})(|(mail=<login>)(gosaMailAlternateAddress=<login>)))"
            )

    @given(value=TEXT)
    def test_in_filter_is_read_back_as_it_was(self, value: str) -> None:
        quoted = in_filter(value)
        assert not set(quoted) & set("()*$%&")
        assert re.sub(r"\\([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), quoted) == value

    @given(value=TEXT)
    def test_in_url_is_read_back_as_it_was(self, value: str) -> None:
        assert unquote(in_url(value, "ldap:///")) == value
        assert unquote(in_url(value, "ldap:///dc=x??sub?(a=")) == in_filter(value)
        assert not set(in_url(value, "ldap:///")) & set("?#$ ")

    @given(value=TEXT)
    def test_every_quoted_name_makes_a_distinguished_name(self, value: str) -> None:
        dn = f"cn={ldap_dn(value)},dc=example"
        assert kinds.dn.parse(dn) == dn
