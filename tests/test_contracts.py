"""A bundled plugin is held to its contract, and a contract cannot lose a test without a reason."""

import ast
from pathlib import Path

import pytest
from materia.plugins import InstalledPlugin
from materia_runner.bundled import load_registry
from materia_testing.contracts.contract import Contract, deviation

TESTS = Path(__file__).parent
CONTRACTS = {"provider": "ProviderContract", "source": "SourceContract", "sink": "SinkContract"}
BUNDLED = load_registry(bundled_only=True)


class Promises(Contract):
    def test_first(self) -> int:
        return 1

    def test_second(self) -> int:
        return 2


def contract_classes(kind: str, name: str) -> list[ast.ClassDef]:
    """The test classes of `tests/sinks/test_duckdb_contract.py` and the like."""
    path = TESTS / f"{kind}s" / f"test_{name}_contract.py"
    if not path.is_file():
        return []
    return [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        and node.name.startswith("Test")
        and CONTRACTS[kind] in {base.id for base in node.bases if isinstance(base, ast.Name)}
    ]


def test_every_bundled_plugin_can_be_loaded() -> None:
    assert BUNDLED.failures == ()
    assert {found.kind for found in BUNDLED.found} == set(CONTRACTS)


@pytest.mark.parametrize(
    "found", BUNDLED.found, ids=lambda found: f"{found.kind} {found.plugin.name}"
)
def test_every_bundled_plugin_has_its_contract_test(found: InstalledPlugin[object]) -> None:
    classes = contract_classes(found.kind, found.plugin.name)

    assert classes, (
        f"tests/{found.kind}s/test_{found.plugin.name}_contract.py has no class of tests that "
        f"inherits {CONTRACTS[found.kind]}"
    )
    for node in classes:
        marks = " ".join(map(ast.unparse, node.decorator_list))
        assert "skip" not in marks
        assert "xfail" not in marks


def test_a_contract_that_nobody_keeps_would_be_noticed() -> None:
    assert contract_classes("sink", "nobody") == []
    assert [node.name for node in contract_classes("sink", "duckdb")] == ["TestDuckDBSink"]


def test_a_test_of_a_contract_is_not_replaced_without_a_reason() -> None:
    with pytest.raises(TypeError, match=r"test_first replaces a test .* without a reason"):
        type("Kept", (Promises,), {"test_first": lambda _: 0})


def test_a_test_of_a_contract_is_not_removed() -> None:
    with pytest.raises(TypeError, match="test_second replaces"):
        type("Kept", (Promises,), {"test_second": None})


def test_a_class_put_before_the_contract_hides_none_of_its_tests() -> None:
    class Easier:
        def test_first(self) -> int:
            return 0

    with pytest.raises(TypeError, match="test_first replaces"):
        type("Kept", (Easier, Promises), {})


def test_a_reason_has_words() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        deviation("  ")


def test_a_test_replaced_with_a_reason_is_listed_with_it() -> None:
    class Kept(Promises):
        @deviation("there is no first here")
        def test_first(self) -> int:
            return 0

    class KeptToo(Kept):
        def test_of_its_own(self) -> None: ...

    assert KeptToo.deviations() == {"test_first": "there is no first here"}
    assert KeptToo().test_second() == 2
