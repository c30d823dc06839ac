"""What `import backplane` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import backplane


def test_importing_it_costs_nothing() -> None:
    """No module of ours, no loop and no package is loaded before a name is used."""
    code = "import sys, backplane; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"asyncio", "coordinator", "provider", "zmq", "msgpack", "numpy", "sqlglot", "pandas"}
    assert [name for name in done.stdout.split() if name.startswith("backplane")] == ["backplane"]


def test_its_names_are_there() -> None:
    """Each is what it says, and is listed."""
    assert {name for name in backplane.__all__ if not callable(getattr(backplane, name))} == set()
    assert {name for name in dir(backplane) if not name.startswith("__")} == set(backplane.__all__)


def test_another_name_is_not() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = backplane.nothing  # type: ignore[attr-defined]  # that is the point
