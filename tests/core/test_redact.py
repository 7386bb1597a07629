"""No value of a secret is left in a text, in whatever form it got there."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from materia_runner.secrets.redaction import HIDDEN, redact, redact_all

SECRET = "pä$$/w\"o'r+d=\\\n4711 end"  # noqa: S105 -- made up here
# Every character that some form of quoting changes; none that HIDDEN has.
CHARACTERS = st.characters(exclude_characters="*", exclude_categories=["Cs"])
SECRETS = st.text(CHARACTERS, min_size=4, max_size=40).filter(lambda text: len(text.strip()) > 3)
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n  hkiG9w0BAQEFAASC\n-----END KEY-----\n"


def shell(text: str) -> str:
    return subprocess.run(
        ["/bin/bash", "-c", 'printf %q "$1"', "bash", text],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": repr,
    "bytes": lambda text: repr(text.encode()),
    "json": json.dumps,
    "json, not ASCII": lambda text: json.dumps(text, ensure_ascii=False),
    "path": quote,
    "address": lambda text: quote(text, safe=""),
    "query": quote_plus,
    "form": lambda text: urlencode({"key": text}),
    "address, small": lambda text: re.sub("%..", lambda one: one[0].lower(), quote(text, safe="")),
    "shell": shlex.quote,
    "shell, by hand": lambda text: "'" + text.replace("'", "'\\''") + "'",
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, not padded": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 of addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@given(secret=SECRETS, before=st.text(CHARACTERS), after=st.text(CHARACTERS))
@example(secret=SECRET, before="", after="")
def test_no_form_of_a_secret_is_left(form: str, secret: str, before: str, after: str) -> None:
    written = FORMS[form](secret)
    inner = written if form.startswith(("hex", "HEX", "base64")) else written.strip("'\"")
    assume(len(inner) > 3)

    left = redact(f"{before} {written} {after}", [secret])

    assert inner not in left
    assert HIDDEN in left


def test_what_bash_writes_is_hidden() -> None:
    secret = 'it\'s a $ecret & "more"'  # noqa: S105 -- made up here

    assert redact(f"+ {shell(secret)}", [secret]) == f"+ {HIDDEN}"


@given(
    secret=st.binary(min_size=12, max_size=40).map(bytes.hex),
    before=st.binary(max_size=8),
    after=st.binary(max_size=8),
)
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_inside_of_longer_base64_cannot_be_read(
    encode: Callable[[bytes], bytes], secret: str, before: bytes, after: bytes
) -> None:
    """As the password in the header of a basic authentication."""
    written = encode(before + secret.encode() + after).decode()
    left = redact(f"Authorization: Basic {written}", [secret])

    # At most the characters that also hold bits of a neighbour stay.
    assert HIDDEN in left
    outside = -(-len(before) * 8 // 6) + -(-len(after) * 8 // 6)
    assert (
        len(left.replace("Authorization: Basic ", "").replace(HIDDEN, "").rstrip("="))
        <= outside + 1
    )


@given(
    st.lists(SECRETS, max_size=6), st.lists(st.text(CHARACTERS) | SECRETS, max_size=6), st.data()
)
def test_no_secret_of_several_is_left(
    secrets: list[str], words: list[str], data: st.DataObject
) -> None:
    text = " ".join(data.draw(st.permutations([*words, *secrets])))

    left = redact(text, secrets)

    assert [secret for secret in secrets if secret in left] == []


@given(st.text(), st.sets(st.text(max_size=3)))
def test_values_under_4_characters_are_left(text: str, secrets: set[str]) -> None:
    assert redact(text, secrets) == text


@given(st.text(alphabet="abcdef \n"), st.lists(st.text(alphabet="xyz", min_size=4), max_size=3))
def test_what_is_no_secret_is_left(text: str, secrets: list[str]) -> None:
    assert redact(text, secrets) == text


def test_each_line_of_a_key_is_hidden() -> None:
    for line in KEY.splitlines():
        assert redact(f"line: {line}", [KEY]).rstrip() == f"line: {HIDDEN}" or line[0] == " "
    assert "hkiG9w0" not in redact("  hkiG9w0BAQEFAASC", [KEY])
    assert redact(json.dumps({"key": KEY}), [KEY]) == f'{{"key": "{HIDDEN}"}}'


def test_a_blank_line_or_a_brace_of_a_secret_hides_nothing_else() -> None:
    secret = '{\n\n    "token": "4711-4712"\n}\n'  # noqa: S105 -- made up here

    assert redact("{ a }    b", [secret]) == "{ a }    b"
    assert redact('x "token": "4711-4712" y', [secret]) == f"x {HIDDEN} y"


def test_names_and_values_of_json_are_searched() -> None:
    value = {"a hunter22": ["hunter22", {"b": "x hunter22"}, 3, None, True]}

    assert redact_all(value, ["hunter22"]) == {
        f"a {HIDDEN}": [HIDDEN, {"b": f"x {HIDDEN}"}, 3, None, True]
    }


def test_one_that_begins_like_another_is_hidden_whole() -> None:
    secrets = ["abcd", "abcdef", "abcdefgh"]

    assert redact("abcd abcde abcdef abcdefg abcdefgh", secrets) == "*** ***e *** ***g ***"


def test_characters_with_a_meaning_in_expressions_are_hidden() -> None:
    secret = "a]^-[\\b{2}(c)|d&&e~~f--g||h.*?"  # noqa: S105 -- made up here

    assert redact(f"<{secret}>", [secret, "other]"]) == f"<{HIDDEN}>"
