"""Rows as tables of other packages."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from backplane.reduce import tabular
from backplane.wire.errors import UsageError

COLUMNS = ("name", "value", "more", "several")
ROWS = [("caf\udce9", 1, None, (1, 2)), ("b", 2.5, 3, (3,))]
PLAIN = {"name": ["caf\\xe9", "b"], "value": [1.0, 2.5], "several": [[1, 2], [3]]}
PACKAGES = ("pandas", "polars", "pyarrow")


def table(package: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Any:
    """A table of a package; the test is skipped where that is not installed."""
    pytest.importorskip(package, reason=f"{package} is an extra, and not installed")
    return getattr(tabular, "arrow" if package == "pyarrow" else package)(columns, rows)


@pytest.mark.parametrize("package", PACKAGES)
def test_rows_are_a_table(package: str) -> None:
    """Columns keep names and order; what is no UTF-8 is shown, numbers of a column are of one kind, nothing is null."""
    found = table(package, COLUMNS, ROWS)
    assert list(found.columns if package != "pyarrow" else found.column_names) == list(COLUMNS)
    for name, values in PLAIN.items():
        assert (found[name].to_pylist() if package == "pyarrow" else found[name].to_list()) == values
    assert len(table(package, COLUMNS, [])) == 0


@pytest.mark.parametrize("package", ["polars", "pyarrow"])
def test_a_column_of_two_kinds_is_refused(package: str) -> None:
    """By name, in a sentence: texts beside numbers have no type in common."""
    with pytest.raises(UsageError, match="column 'key' holds values of int, str"):
        table(package, ("key",), [("x",), (1,)])


@pytest.mark.parametrize("package", PACKAGES)
def test_a_missing_package_is_one_sentence(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which extra brings it."""

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    extra = "arrow" if package == "pyarrow" else package
    with pytest.raises(UsageError, match=rf"{package} is not installed: `pip install 'logreduce\[{extra}\]'`"):
        getattr(tabular, extra)(("a",), [(1,)])
