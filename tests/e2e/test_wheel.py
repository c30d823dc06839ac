"""What is built is what was tested: a wheel in a fresh environment, away from the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What pip says when there is no index to ask. Anything else that it says is a failure of ours.
OFFLINE = re.compile(r"NewConnection|NameResolution|ConnectTimeout|ReadTimeout|Network is unreachable")
#: An installation downloads some ten megabytes.
INSTALL_S = 300

pytestmark = pytest.mark.timeout(2 * INSTALL_S)

QUERY = '''"""Lines by their first word."""
logs = "app.log"


def map(lines):
    for line in lines:
        yield line.split()[0], 1


reduce = "sum"
'''


def pip(python: Path | str, *args: str | Path) -> None:
    command = [str(python), "-m", "pip", *map(str, args), "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, cwd=ROOT)
    if done.returncode and OFFLINE.search(done.stderr):
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, ROOT)
    (built,) = directory.glob("logreduce-*.whl")
    return built


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that holds the wheel and the pins, and nothing of the checkout."""
    environment = tmp_path_factory.mktemp("fresh") / "env"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=INSTALL_S)
    python = environment / "bin" / "python"
    pip(python, "install", "--require-hashes", "--no-deps", "-r", ROOT / "requirements" / "run.txt")
    pip(python, "install", "--no-deps", wheel)
    return environment / "bin" / "logreduce"


def call(argv: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOGREDUCE"))}
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=cwd, env=environ)


def test_the_wheel_holds_what_it_needs_and_no_more(wheel: Path) -> None:
    """Our packages, typed, the library, the licence, the manual page; no tests, no caches, no top-level `queries`."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name and ".data/" not in name}
    assert tops == {"backplane", "coordinator", "provider"}
    assert {f"{top}/py.typed" for top in tops} <= set(names)
    library = [path.relative_to(ROOT) for path in (ROOT / "queries").rglob("*.py") if "__pycache__" not in path.parts]
    assert library
    assert {f"backplane/_{path.as_posix()}" for path in library} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert [name.partition(".data/")[2] for name in names if ".data/" in name] == ["data/share/man/man1/logreduce.1"]
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []


def test_the_command_answers(program: Path, tmp_path: Path) -> None:
    """help and version work where no checkout is in sight."""
    assert "usage: logreduce" in call([program, "--help"], tmp_path).stdout
    assert "0." in call([program, "version"], tmp_path).stdout


def test_a_local_query_is_exact(program: Path, tmp_path: Path) -> None:
    """It ships the installed runner to this machine, and counts."""
    (tmp_path / "words.py").write_text(QUERY)
    (tmp_path / "app.log").write_text("ERROR a\nINFO b\nERROR c\n")
    done = call([program, "run", "./words.py", "app.log", "-o", "json"], tmp_path)
    assert done.returncode == 0, done.stderr
    snapshot = json.loads(done.stdout)
    assert [list(row.values()) for row in snapshot["rows"]] == [["ERROR", 2], ["INFO", 1]]
    assert snapshot["complete"]


def test_queries_is_not_ours_to_import(program: Path, tmp_path: Path) -> None:
    """Another package has that name: ours is data, and an installation does not stand in its way."""
    done = call([program.with_name("python"), "-c", "import queries"], tmp_path)
    assert "ModuleNotFoundError" in done.stderr


def test_importing_needs_no_checkout(program: Path, tmp_path: Path) -> None:
    """What is imported lies in the environment."""
    code = "import backplane, coordinator, provider; print(backplane.__file__, coordinator.__file__, provider.__file__)"
    done = call([program.with_name("python"), "-c", code], tmp_path)
    assert len(done.stdout.split()) == 3
    assert str(ROOT) not in done.stdout
