"""Each quoting function against a small model of the parser that reads its syntax.

What the daemons' own parsers make of hostile values is tested with the images.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import string
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrypoint import quoting
from entrypoint.quoting import FILTERS, Quoted
from entrypoint.settings import Secret
from entrypoint.settings.ldap_filters import Pattern, dovecot_pattern, exim_pattern, login_search

HOSTILE = "a/&\\|$%\"'{} #;,:<>=*()%{env:X}${run{id}}_HAVE_TLS \\x24 \u00e4\u20ac\U0001f4e7 "
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), max_size=40) | st.text(
    "$%\\{}\"'#: <>=*()_AZaz0x;,|&!~^?[]@`\t", max_size=30
)
VALUES: tuple[Callable[[object], Quoted], ...] = (
    quoting.base64,
    quoting.dovecot,
    quoting.exim,
    quoting.exim_plain,
    quoting.exim_url,
    quoting.fetchmail,
    quoting.ldap_dn,
    quoting.ldap_filter,
    quoting.ldif,
    quoting.redis,
    quoting.slapd,
    quoting.ucl,
)
STRICT: tuple[Callable[[object], Quoted], ...] = (quoting.clamav, quoting.dnsmasq, quoting.plain)


def expanded_by_exim(text: str) -> str:
    """Exim specification, chapter 11: what a string without $ expands to."""
    assert not set(text) & set("${}")
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), text.encode())
    assert text.count("\\") == len(re.findall(r"\\x[0-9a-f]{2}", text))
    return raw.decode()


def split_by_exim(text: str) -> list[str]:
    """Chapter 6, "List construction": colons separate, doubled ones are one colon, blanks are stripped."""
    parts = re.split(r"(?<!:):(?!:)", text.replace("::", "\0"))
    return [part.strip().replace("\0", ":") for part in parts]


def unquoted_by_exim(text: str) -> str:
    """Chapter 6, "String": in double quotes, with escapes."""
    assert text[0] == text[-1] == '"'
    assert '"' not in text[1:-1]
    return expanded_by_exim(text[1:-1])


def unquoted_by_dovecot(text: str) -> str:
    """Dovecot 2.4, "Settings file syntax": escapes in double quotes; then %{…} is expanded, %%{ is %{."""
    match = re.fullmatch(r'"((?:[^"\\]|\\["\\])*)"', text)
    assert match
    plain = re.sub(r"\\(.)", r"\1", match[1])
    assert not re.search(r"(?<!%)%\{", plain), "a variable"
    return plain.replace("%%{", "%{")


def split_by_redis(text: str) -> bytes:
    """Redis, sdssplitargs: one word in double quotes."""
    match = re.fullmatch(r'"((?:[^"\\]|\\x[0-9a-f]{2})*)"', text)
    assert match
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), match[1].encode())


def unescaped(text: str) -> str:
    r"""RFC 4514 and RFC 4515: \XX is a byte, another escaped character is itself."""
    return re.sub(r"\\([0-9a-f]{2})|\\(.)", lambda m: chr(int(m[1], 16)) if m[1] else m[2], text)


class TestOneValue:
    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_exim_expands_it_to_itself(self, text: str) -> None:
        assert expanded_by_exim(quoting.exim(text)) == text

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_exim_finds_no_macro_comment_or_blank_at_an_end_in_it(self, text: str) -> None:
        quoted = quoting.exim(text)
        assert not re.search(r"_[A-Z]", quoted)
        assert not set(quoted) & set("#\"'\t")
        assert quoted == quoted.strip()

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_exim_reads_it_from_a_quoted_string(self, text: str) -> None:
        assert unquoted_by_exim(quoting.exim_plain(text)) == text

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_exim_hands_it_to_ldap_in_a_url(self, text: str) -> None:
        url = expanded_by_exim(quoting.exim_url(text))
        assert unquote(url) == text
        assert not set(url) & set(" ?#/")

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_dovecot_reads_it(self, text: str) -> None:
        assert unquoted_by_dovecot(quoting.dovecot(text)) == text

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_ucl_reads_it_as_json_and_finds_no_variable(self, text: str) -> None:
        quoted = quoting.ucl(text)
        assert json.loads(quoted) == text
        assert not set(quoted) & set("${}%#'")

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_redis_reads_it(self, text: str) -> None:
        assert split_by_redis(quoting.redis(text)).decode() == text

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_fetchmail_reads_it(self, text: str) -> None:
        """Its strings are as those of Redis."""
        assert split_by_redis(quoting.fetchmail(text)).decode() == text

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_slapd_reads_it_as_a_shell_would(self, text: str) -> None:
        assert shlex.split(quoting.slapd(text)) == [text]

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_ldif_and_base64_hold_it(self, text: str) -> None:
        assert base64.b64decode(quoting.ldif(text).removeprefix(": ")).decode() == text
        assert base64.b64decode(quoting.base64(text), validate=True).decode() == text

    @given(text=TEXT)
    @example(text=HOSTILE)
    def test_a_filter_holds_it(self, text: str) -> None:
        quoted = quoting.ldap_filter(text)
        assert unescaped(quoted) == text
        assert not set(quoted) & set("*()")

    @given(text=TEXT)
    @example(text=HOSTILE)
    @example(text=" ")
    @example(text="  ")
    @example(text="# x ")
    def test_a_distinguished_name_holds_it(self, text: str) -> None:
        quoted = quoting.ldap_dn(text)
        assert re.fullmatch(r'(?:\\.|[^\\"+,;<>=])*', quoted)
        assert re.sub(r"\\(.)", r"\1", quoted) == text
        assert quoted[:1] not in {" ", "#"}
        assert not re.search(r"(?<!\\)(\\\\)* $", quoted)

    @pytest.mark.filterwarnings("ignore:(tag|type)Map is deprecated:DeprecationWarning")
    @given(text=TEXT.filter(lambda text: text.strip() == text != ""))  # ldap3 strips
    def test_ldap3_reads_names_and_filters(self, text: str) -> None:
        from ldap3.operation.search import parse_filter
        from ldap3.utils.dn import parse_dn

        assert len(parse_dn(f"cn={quoting.ldap_dn(text)},dc=example")) == 2
        two = f"(&(a=b)(cn={quoting.ldap_filter(text)}))"
        parsed = parse_filter(two, None, False, True, {}, False)  # type: ignore[no-untyped-call]
        (both,) = parsed.elements
        assert len(both.elements) == 2
        assert unescaped(both.elements[1].assertion["value"].decode()) == text

    @pytest.mark.parametrize(("quote", "more"), [(quoting.clamav, "~+"), (quoting.dnsmasq, ""), (quoting.plain, "@+=")])
    @given(text=TEXT | st.text("aZ09._:/-@+=", min_size=1))
    def test_syntaxes_without_quotes_take_plain_words_only(
        self, quote: Callable[[object], Quoted], more: str, text: str
    ) -> None:
        if text and set(text) <= set(string.ascii_letters + string.digits + "._:/-" + more):
            assert quote(text) == text
        else:
            with pytest.raises(ValueError, match="cannot write"):
                quote(text)


class TestLists:
    @given(texts=st.lists(TEXT.filter(lambda text: text.strip() == text != "" and text[0] != "<"), max_size=4))
    @example(texts=["a:b", "::1", "c"])
    def test_exim_splits_them_as_they_were(self, texts: list[str]) -> None:
        assert split_by_exim(expanded_by_exim(quoting.exim_list(texts))) == (texts or [""])

    @pytest.mark.parametrize("item", ["", " a", "a ", "\ta", "<;a"])
    def test_an_item_that_exim_would_change_is_refused(self, item: str) -> None:
        with pytest.raises(ValueError, match="no form for"):
            quoting.exim_list(["b", item])


class TestPatterns:
    @given(before=TEXT, after=TEXT)
    def test_exim_gets_literals_as_text_and_names_quoted(self, before: str, after: str) -> None:
        pattern = Pattern((("literal", before), ("name", "login"), ("literal", after)))
        first, second = quoting.exim_filter(pattern, login="auth1").split("${quote_ldap:$auth1}")
        assert (unquote(expanded_by_exim(first)), unquote(expanded_by_exim(second))) == (before, after)

    @given(before=TEXT, after=TEXT)
    def test_dovecot_gets_literals_as_text_and_names_as_variables(self, before: str, after: str) -> None:
        pattern = Pattern((("literal", before), ("name", "user"), ("literal", after)))
        quoted = quoting.dovecot_filter(pattern)
        first, second = split_at_variable(quoted[1:-1], "%{user}")
        assert (unquoted_by_dovecot(f'"{first}"'), unquoted_by_dovecot(f'"{second}"')) == tuple(
            text.replace("%", r"\25") for text in (before, after)
        )

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            (
                exim_pattern("local_part", "domain").parse(r"(\&(o=A B)(mail=$local_part@$domain))"),
                "(&(o=A%20B)(mail=${quote_ldap:$local_part}@${quote_ldap:$domain}))",
            ),
            (
                login_search().parse("ldap:///dc=x??sub?(mail=$auth2)").filter,
                "(mail=${quote_ldap:$auth1})",
            ),
        ],
    )
    def test_exims_are_readable(self, pattern: Pattern, expected: str) -> None:
        assert quoting.exim_filter(pattern, login="auth1") == expected

    def test_dovecots_are_readable(self) -> None:
        pattern = dovecot_pattern().parse("(&(o=A B)(|(mail=%u)(uid=%n)))")
        assert quoting.dovecot_filter(pattern) == '"(&(o=A B)(|(mail=%{user})(uid=%{user|username})))"'

    def test_a_name_that_is_no_variable_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no variable"):
            quoting.exim_filter(Pattern((("name", "user|username"),)))


def split_at_variable(text: str, variable: str) -> tuple[str, str]:
    """The texts before and after the one `variable` that is not escaped by a second per cent sign."""
    (match,) = re.finditer(rf"(?<!%){re.escape(variable)}", text)
    return text[: match.start()], text[match.end() :]


EVERYTHING = (*VALUES, *STRICT, lambda value: quoting.exim_list([value]))


class TestAllOfThem:
    def test_all_are_tested_here(self) -> None:
        tested = {quote.__name__ for quote in (*VALUES, *STRICT)} | {"exim_list", "exim_filter", "dovecot_filter"}
        assert tested == set(FILTERS)

    @pytest.mark.parametrize("quote", EVERYTHING)
    @pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", None, True, False])
    def test_what_no_syntax_can_hold_is_refused(self, quote: Callable[[object], Quoted], value: object) -> None:
        with pytest.raises(ValueError, match="cannot print"):
            quote(value)

    @pytest.mark.parametrize("quote", VALUES)
    def test_secrets_are_printed_by_their_text(self, quote: Callable[[object], Quoted]) -> None:
        assert quote(Secret(HOSTILE)) == quote(HOSTILE)

    @pytest.mark.parametrize("quote", EVERYTHING)
    def test_no_error_shows_a_secret(self, quote: Callable[[object], Quoted]) -> None:
        with pytest.raises(ValueError, match=r"^((?!s3cr3t).)*$"):
            quote(Secret("s3cr3t\n"))

    @pytest.mark.parametrize("quote", STRICT)
    def test_no_error_of_a_strict_one_shows_a_secret(self, quote: Callable[[object], Quoted]) -> None:
        with pytest.raises(ValueError, match=r"^cannot write \*+ into"):
            quote(Secret("s3cr3t $"))

    @pytest.mark.parametrize("quote", VALUES)
    @given(text=TEXT)
    def test_all_make_one_line_of_type_quoted(self, quote: Callable[[object], Quoted], text: str) -> None:
        quoted = quote(text)
        assert isinstance(quoted, Quoted)
        assert not set(quoted) & set("\n\r\0")

    def test_what_is_added_to_a_quoted_text_takes_its_warrant(self) -> None:
        quoted = quoting.exim("a")
        assert not isinstance(quoted + "b", Quoted)
        assert not isinstance(quoted.upper(), Quoted)
        assert not isinstance(f"{quoted}", Quoted)
