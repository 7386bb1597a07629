"""Which jobs of a `.gitlab-ci.yml` GitLab starts: its rules, as far as ours use them.

As in "CI/CD YAML syntax reference" and "CI/CD variable expressions" of GitLab's documentation: a
job's `rules` replace those that it extends, the first rule that matches counts, and `changes` is
true in a pipeline that no push started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

GLOBAL = {"stages", "workflow", "default", "variables", "include", "image", "cache"}
KNOWN = {"if", "when", "exists", "changes", "allow_failure"}
TOKEN = re.compile(r'\s*(?:(\$\w+)|"([^"]*)"|(==|!=|&&|\|\||\(|\))|(null))')


@dataclass(frozen=True)
class Event:
    """What starts a pipeline.

    Attributes:
        variables: The variables that GitLab and the user set.
        changed: The changed files.
        present: The files in the repository.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    changed: Sequence[str] = ()
    present: Sequence[str] = ()


def jobs(document: Mapping[str, Any], event: Event) -> list[str]:
    """The names of the jobs that run, in the order of the file; none without a pipeline."""
    if not _runs(document.get("workflow", {}), event):
        return []
    return [
        name
        for name in document
        if name not in GLOBAL and not name.startswith(".") and _runs(_whole(document, name), event)
    ]


def _whole(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A job with what it extends."""
    job = document[name]
    parents = job.get("extends", [])
    whole: dict[str, Any] = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        whole |= _whole(document, parent)
    return {**whole, **job}


def _runs(job: Mapping[str, Any], event: Event) -> bool:
    rules = job.get("rules")
    if rules is None:
        return True
    for rule in rules:
        assert set(rule) <= KNOWN, rule
        if _matches(rule, event):
            return rule.get("when", "on_success") not in {"never", "manual"}
    return False


def _matches(rule: Mapping[str, Any], event: Event) -> bool:
    if "if" in rule and not evaluate(rule["if"], event.variables):
        return False
    if "exists" in rule and not _any(rule["exists"], event.present):
        return False
    pushed = event.variables.get("CI_PIPELINE_SOURCE") in {"push", "merge_request_event"}
    return "changes" not in rule or not pushed or _any(rule["changes"], event.changed)


def _any(patterns: Sequence[str], files: Sequence[str]) -> bool:
    return any(_glob(one).fullmatch(file) for file in files for one in patterns)


def _glob(pattern: str) -> re.Pattern[str]:
    """`**/` is any number of folders, none as well; `*` is a part of one name."""
    text = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.compile(text)


def evaluate(expression: str, variables: Mapping[str, str]) -> bool:
    """Whether an expression of `if` is true; `&&` binds more than `||`."""
    words = _words(expression)
    result = _or(words, variables)
    assert not words, f"{expression}: {words} is left"
    return result


def _words(expression: str) -> list[tuple[str, str]]:
    found, place = [], 0
    while place < len(expression.rstrip()):
        match = TOKEN.match(expression, place)
        assert match is not None, f"{expression}: cannot be read at {place}"
        kind = ("variable", "text", "sign", "null")[(match.lastindex or 1) - 1]
        found.append((kind, match[match.lastindex or 1]))
        place = match.end()
    return found


def _or(words: list[tuple[str, str]], variables: Mapping[str, str]) -> bool:
    result = _and(words, variables)
    while words and words[0] == ("sign", "||"):
        words.pop(0)
        right = _and(words, variables)
        result = result or right
    return result


def _and(words: list[tuple[str, str]], variables: Mapping[str, str]) -> bool:
    result = _compared(words, variables)
    while words and words[0] == ("sign", "&&"):
        words.pop(0)
        right = _compared(words, variables)
        result = result and right
    return result


def _compared(words: list[tuple[str, str]], variables: Mapping[str, str]) -> bool:
    if words[0] == ("sign", "("):
        words.pop(0)
        result = _or(words, variables)
        assert words.pop(0) == ("sign", ")")
        return result
    left = _value(words.pop(0), variables)
    if words and words[0] in {("sign", "=="), ("sign", "!=")}:
        sign = words.pop(0)[1]
        right = _value(words.pop(0), variables)
        return (left == right) is (sign == "==")
    return bool(left)


def _value(word: tuple[str, str], variables: Mapping[str, str]) -> str | None:
    kind, text = word
    assert kind != "sign", word
    if kind == "variable":
        return variables.get(text.removeprefix("$"))
    return None if kind == "null" else text
