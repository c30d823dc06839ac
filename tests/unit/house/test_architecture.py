"""What the tree promises of itself, held against its files: who imports whom, and what each file says of itself."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("backplane", "coordinator", "provider")
CODE = (*PACKAGES, "queries", "tests", "requirements")
#: More lines than one sitting.
MOST_LINES = 500
#: Imported here under a name that differs from the distribution's.
DISTRIBUTION = {"yaml": "PyYAML", "zmq": "pyzmq"}


@functools.cache
def sources(*folders: str) -> tuple[Path, ...]:
    return tuple(sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")))


def ids(paths: tuple[Path, ...]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def each(*folders: str) -> pytest.MarkDecorator:
    paths = sources(*folders)
    return pytest.mark.parametrize("path", paths, ids=ids(paths))


@functools.cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def beneath(modules: set[str], *names: str) -> set[str]:
    return {m for m in modules if any(m == name or m.startswith(name + ".") for name in names)}


def test_a_coordinator_never_loads_what_opens_payloads() -> None:
    """Importing coordinator.main, lazily or not, loads no query, no reducer, no client and no terminal."""
    modules = loaded_by("import coordinator.main")
    assert "coordinator.main" in modules
    assert not beneath(modules, "backplane.query", "backplane.reduce", "backplane.client", "backplane.cli", "rich")


def test_the_program_loads_what_it_prints() -> None:
    """The table of verbs costs no SSH, no ZeroMQ, no terminal library and no loop: --help answers at once."""
    modules = loaded_by("import backplane.cli.main")
    assert not beneath(modules, "asyncssh", "zmq", "rich", "structlog", "asyncio", "ClusterShell", "coordinator")


@each("provider/runner")
def test_what_is_shipped_is_standard_library(path: Path) -> None:
    """A provider has nothing else, and no more of our own than what travels."""
    foreign = [
        name
        for name in imported(path)
        if name.partition(".")[0] not in sys.stdlib_module_names and not (name + ".").startswith("provider.runner.")
    ]
    assert foreign == []


def test_what_is_imported_is_declared() -> None:
    """The dependencies are exactly the packages that our code imports by name: none is missing, none is idle."""
    declared = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in project()["project"]["dependencies"]}
    tops = {name.partition(".")[0] for path in sources(*PACKAGES) for name in imported(path)}
    foreign = tops - set(sys.stdlib_module_names) - set(PACKAGES)
    assert {DISTRIBUTION.get(top, top).lower() for top in foreign} == declared


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_is_in_a_layer(package: str) -> None:
    """import-linter looks only at what its list of layers names: nothing may stand beside it."""
    contracts = project()["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    layers = {part.strip(" ()") for line in lines for part in re.split(r"[|:]", line)}
    if package in layers:
        return
    entries = {p.stem for p in (ROOT / package).iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert {f"{package}.{entry}" for entry in entries - {"__init__"}} <= layers


@each(*CODE)
def test_a_file_says_what_it_is(path: Path) -> None:
    """Its first statement is a docstring, whose first line is a sentence; only an empty file says nothing."""
    tree = ast.parse(path.read_bytes())
    if not tree.body:
        return
    text = ast.get_docstring(tree)
    assert text, "no docstring"
    assert re.search(r"[.:?!]\"?$", re.split(r"\n\s*\n", text)[0].strip()), "the first paragraph is no sentence"


@each(*CODE)
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    """A longer file has more than one subject."""
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", ["provider/__init__.py", "provider/runner/__init__.py"])
def test_importing_the_runner_does_nothing(name: str) -> None:
    """What is shipped imports these first."""
    assert (ROOT / name).read_bytes() == b""


def test_all_is_honest() -> None:
    """A package's __all__ names what is there, each once, in order, and nothing private."""
    indexes = [path for path in sources(*PACKAGES) if "__all__" in path.read_text()]
    for path in indexes:
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        names = list(module.__all__)
        assert names == sorted(set(names)), path
        assert [name for name in names if name.startswith("_") or not hasattr(module, name)] == [], path


def texts() -> list[Path]:
    """Every text of the tree that is written by hand."""
    top = [path for path in ROOT.iterdir() if path.is_file() and path.suffix in ("", ".md", ".toml", ".yaml")]
    below = [p for folder in (*CODE, "docs", ".ci") for p in (ROOT / folder).rglob("*") if p.is_file()]
    skipped = ("__pycache__", ".pyc", "LICENSE", ".coverage")
    return [p for p in sorted({*top, *below}) if not any(part in str(p.relative_to(ROOT)) for part in skipped)]


MACHINE = re.compile(r"/roo[t]/|/wor[k]/|/opt/p[y]|/tmp/ven[v]|\.pyen[v]|/User[s]/")
INDEX = re.compile(r"index-url|find-links|trusted-host|pypi\.org/simple")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
#: Where a pattern is what the file is about.
EXEMPT = ("tests/unit/house/test_architecture.py", "requirements/compile.py")


@pytest.mark.parametrize("pattern", [MACHINE, INDEX, UNFINISHED], ids=["machine", "index", "unfinished"])
def test_the_tree_speaks_of_itself_alone(pattern: re.Pattern[str]) -> None:
    """No path of a machine, no address of a package index, no mark of unfinished work."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        if str(path.relative_to(ROOT)) not in EXEMPT
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []
