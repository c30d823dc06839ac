"""Rows as tables of other packages."""

from __future__ import annotations

import contextlib
import importlib
from datetime import UTC, datetime
from typing import Any

import pytest

from backplane.reduce import tabular
from backplane.reduce.rows import Rows
from backplane.wire.errors import UsageError

COLUMNS = ("name", "value", "more", "several")
ROWS = [("caf\udce9", 1, None, (1, 2)), ("b", 2.5, 3, (3,))]
PLAIN = {"name": ["caf\\xe9", "b"], "value": [1.0, 2.5], "several": [[1, 2], [3]]}
PACKAGES = ("pandas", "polars", "pyarrow")
TIME = {
    "pandas": "datetime64[us, UTC]",
    "polars": "Datetime(time_unit='us', time_zone='UTC')",
    "pyarrow": "timestamp[us, tz=UTC]",
}


@pytest.fixture(scope="module", autouse=True)
def threads() -> None:
    """Polars starts threads of its own with the first time that it sees, which are no test's to end."""
    with contextlib.suppress(ImportError):
        importlib.import_module("polars").Series([datetime.now(UTC)])


def table(
    package: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], kinds: tuple[tuple[str, str], ...] = ()
) -> Any:
    """A table of a package; the test is skipped where that is not installed."""
    pytest.importorskip(package, reason=f"{package} is an extra, and not installed")
    return getattr(tabular, "arrow" if package == "pyarrow" else package)(Rows(columns, tuple(rows), (), kinds))


@pytest.mark.parametrize("package", PACKAGES)
def test_rows_are_a_table(package: str) -> None:
    """Columns keep names and order; what is no UTF-8 is shown, numbers of a column are of one kind, nothing is null."""
    found = table(package, COLUMNS, ROWS)
    assert list(found.columns if package != "pyarrow" else found.column_names) == list(COLUMNS)
    for name, values in PLAIN.items():
        assert (found[name].to_pylist() if package == "pyarrow" else found[name].to_list()) == values
    assert len(table(package, COLUMNS, [])) == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_times_have_the_type_of_times(package: str) -> None:
    """To the microsecond and in UTC, a column of nulls and one without rows as well; beside a number it has none."""
    at = datetime(2015, 5, 17, 10, 5, 3, 250001, UTC)
    kinds = (("at", "time"), ("never", "time"), ("odd", "time"))
    found = table(package, ("at", "never", "odd"), [(at, None, at), (None, None, None)], kinds)
    assert (found["at"].to_pylist() if package == "pyarrow" else found["at"].to_list())[0] == at
    for name in ("at", "never"):
        assert _type(package, found, name) == TIME[package]
        assert _type(package, table(package, ("at", "never"), [], kinds), name) == TIME[package]
    if package == "pandas":
        assert list(table(package, ("odd",), [(at,), (1e300,)], kinds)["odd"]) == [at, 1e300]
    else:
        with pytest.raises(UsageError, match="column 'odd' holds values of datetime, float"):
            table(package, ("odd",), [(at,), (1e300,)], kinds)


def _type(package: str, found: Any, name: str) -> str:
    if package == "polars":
        return repr(found.schema[name])
    return str(found[name].type if package == "pyarrow" else found[name].dtype)


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
    with pytest.raises(UsageError, match=rf"{package} is not installed: `\S+ -m pip install {package}`"):
        getattr(tabular, extra)(Rows(("a",), ((1,),)))
