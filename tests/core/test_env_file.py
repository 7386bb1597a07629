from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from materia_runner.secrets.dotenv import EnvFile, read_env_file

KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIB\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def written(path: Path, text: str) -> EnvFile:
    path.write_text(text)
    path.chmod(0o600)
    return read_env_file(path)


def test_values_are_taken_as_they_are_written(path: Path) -> None:
    file = written(
        path,
        "# a comment\n"
        "PLAIN=one\n"
        "DOLLAR=pa$$word${PLAIN}$PLAIN\n"
        "SINGLE='with # and \"quotes\" and \\n'\n"
        'DOUBLE="a\\nb"\n'
        f'PEM="{KEY}"\n'
        "export SHELL_TOO = spaced # why\n"
        "HASH=a#b\n"
        "EMPTY=\n"
        "TWICE=first\n"
        "TWICE=last\n",
    )

    assert file == EnvFile(
        values={
            "PLAIN": "one",
            "DOLLAR": "pa$$word${PLAIN}$PLAIN",
            "SINGLE": 'with # and "quotes" and \\n',
            "DOUBLE": "a\nb",
            "PEM": KEY,
            "SHELL_TOO": "spaced",
            "HASH": "a#b",
            "TWICE": "last",
        }
    )


@given(st.text(st.characters(exclude_characters="'", exclude_categories=["Cs"]), min_size=1))
def test_any_value_in_single_quotes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, value: str
) -> None:
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text(f"NAME='{value}'\n", newline="")
    path.chmod(0o600)

    assert read_env_file(path).values == {"NAME": value.replace("\r\n", "\n").replace("\r", "\n")}


# Written, and what it means; None is a line that cannot be read. As docs/secrets.md says.
TABLE = [
    (r"'pa\\ss'", r"pa\\ss"),
    (r"'abc\'", "abc\\"),
    (r"'it\'s'", None),
    (r"'it'\''s'", None),
    ("'a' # why", "a"),
    ("'a'# why", "a"),
    ("'a' b", None),
    ("'a", None),
    ("''", ""),
    (r'"pa\\ss"', r"pa\ss"),
    (r'"abc\\"', "abc\\"),
    (r'"abc\"', None),
    (r'"it\'s"', "it's"),
    (r'"a\"b"', 'a"b'),
    (r'"a\tb\n"', "a\tb\n"),
    (r'"a\d\x41"', r"a\d\x41"),
    ('"a\'b"', "a'b"),
    ("'a\"b'", 'a"b'),
    ("\"'a'\"", "'a'"),
    (r"pa\\ss", r"pa\\ss"),
    ("it's", "it's"),
    ("a'b'", "a'b'"),
    ("a b", "a b"),
    ("a #b", "a"),
    ("a#b", "a#b"),
    ("#b", "#b"),
    (" #b", ""),
    ("a=b", "a=b"),
    ("$HOME", "$HOME"),
    ("'$(rm -r x)`y`'", "$(rm -r x)`y`"),
    ("\u00a0\u00e4 ", "\u00e4"),
]


@pytest.mark.parametrize(("written_so", "meant"), TABLE)
def test_a_value_means_what_the_page_says(path: Path, written_so: str, meant: str | None) -> None:
    file = written(path, f"BEFORE=1\nNAME={written_so}\nAFTER=2\n")

    expected = {"BEFORE": "1", "AFTER": "2", **({"NAME": meant} if meant else {})}
    assert file.values == expected
    assert bool(file.problems) == (meant is None)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("NAME=v", "NAME"),
        ("  NAME = v", "NAME"),
        ("export NAME=v", "NAME"),
        ("export\tNAME = v", "NAME"),
        ("export=v", "export"),
        ("export =v", "export"),
        ("exportNAME=v", "exportNAME"),
        ("NAME: x=v", None),
        ("'NAME'=v", None),
        ("=v", None),
        ("NAME", None),
    ],
)
def test_a_name_is_one_word_before_the_sign(path: Path, line: str, name: str | None) -> None:
    file = written(path, line)

    assert file.values == ({name: "v"} if name else {})
    assert bool(file.problems) == (name is None)


@given(st.text(max_size=60))
def test_whatever_is_in_the_file_it_is_read_to_its_end(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text(text.replace("'", "").replace('"', "") + "\nLAST=1", "utf-8", "surrogatepass")
    path.chmod(0o600)
    file = read_env_file(path)

    assert file.values.get("LAST") == "1" or "UTF-8" in file.problems[0]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("A=1\n\nTOKEN: hunter2\nB=2\n", "line 3 is"),
        ("A=1\nhunter2\nB=2\n", "line 2 is"),
        ("A=1\n\n  # c\nhunter2 hunter2\nB=2\nhunter2\n", "lines 4, 6 are"),
        ("A=1\nT='hunter2\nhunter2\nhunter2", "lines 2, 3, 4 are"),
    ],
)
def test_a_broken_line_is_told_with_its_number_and_without_its_content(
    path: Path, text: str, lines: str
) -> None:
    file = written(path, text)

    assert file.values["A"] == "1"
    assert file.problems == (f"{path}: {lines} not NAME=value, and ignored",)
    assert "hunter2" not in repr(file)


def test_a_quote_that_is_not_closed_tells_all_lines_it_swallowed(path: Path) -> None:
    file = written(path, 'A=1\n\nB="hunter2\nC=3\nD="4"\nE=5\n')

    assert file.values == {"A": "1", "E": "5"}
    assert file.problems == (f"{path}: lines 3-5 are not NAME=value, and ignored",)


def test_a_file_that_everybody_can_read_says_how_to_change_that(path: Path) -> None:
    path = path.parent / "it's here"
    path.write_text("A=1\n")
    path.chmod(0o644)

    assert read_env_file(path).exposed == f"""chmod 600 '{path.parent}/it'"'"'s here'"""


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_a_file_of_the_group_is_nobody_elses_business(path: Path, mode: int) -> None:
    path.write_text("A=1\n")
    path.chmod(mode)

    assert read_env_file(path).exposed == ""


def test_no_file_and_a_folder_of_that_name_say_nothing(path: Path) -> None:
    assert read_env_file(path) == EnvFile()
    path.mkdir()
    assert read_env_file(path) == EnvFile()


def test_what_is_no_text_is_told(path: Path) -> None:
    path.write_bytes(b"A=hunter2\xff\n")

    assert read_env_file(path).problems == (f"{path} cannot be read: it is not UTF-8 text",)


def test_a_byte_order_mark_and_windows_lines_are_no_part_of_a_value(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfA=1\r\nB=2\r\n")
    path.chmod(0o600)

    assert read_env_file(path) == EnvFile(values={"A": "1", "B": "2"})
