"""The Python of the pages: each block is what a type checker and an interpreter take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "ask-from-python.md"
_BLOCK = re.compile(r"^```python(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    """The Python of the page, in order."""
    return [found["text"] for found in _BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]


def types(folder: Path, texts: list[str]) -> str:
    """What a type checker says of files."""
    files = []
    for number, text in enumerate(texts):
        files.append(folder / f"block_{number}.py")
        files[-1].write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.stdout + done.stderr


def test_blocks_are_typed(tmp_path: Path) -> None:
    """Strictly; and what is wrong is found: an option, a column's type, a name that there is not."""
    pytest.importorskip("mypy", reason="the type checker is not installed")
    wrong = [
        'import backplane as lr\n\nlr.ask(lr.logs("nginx").count(), hosst="web01")\n',
        'import backplane as lr\n\nrows: list[int] = lr.ask("nginx | count").complete\n',
        'import backplane as lr\n\nlr.asks("nginx | count")\n',
    ]
    good = blocks()
    assert len(good) >= 5
    said = types(tmp_path, [*good, *wrong])
    lines = [line for line in said.splitlines() if ": error: " in line]
    assert sorted(re.sub(r".*block_(\d+).*", r"\1", line) for line in lines) == [
        str(number) for number in range(len(good), len(good) + len(wrong))
    ], said


def test_blocks_without_a_file_are_definitions() -> None:
    """Those that no reader of the page runs can be taken into a program as they are."""
    alone = [
        found["text"] for found in _BLOCK.finditer(PAGE.read_text(encoding="utf-8")) if "file=" not in found["info"]
    ]
    for text in alone:
        exec(compile(text, str(PAGE), "exec"), {})
