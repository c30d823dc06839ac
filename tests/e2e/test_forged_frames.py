"""A script that writes frames of its own can spoil its own provider's part, and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.rigs.program import call

QUERY = '''
"""On the provider named `evil`, speaks the runner's protocol where values should go."""
import os
import sys


def map():
    yield "honest", 1
    if not os.path.exists("evil"):
        return
    frames = sys.modules["provider.runner.frames"]
    os.write(3, FORGED)
    yield "after", 1


reduce = "sum"
'''
FORGERIES = {
    "a cut whose payload is none": 'frames.framed(frames.encode(frames.CUT, 0, {"epoch": 1, "seq": 1, "part": 0, '
    '"last": True, "content": "partials"}, b"junk"))',
    "a cut without a number": 'frames.framed(frames.encode(frames.CUT, 0, {"epoch": 1}, b""))',
    "a fault of the wrong types": 'frames.framed(frames.encode(frames.FAULT, 0, {"code": 7, "text": [], "line": "x"}))',
    "a state of another provider": 'frames.framed(frames.encode(frames.STATE, 0, {"query": "q", "provider": "good"}))',
    "a header that is no map": 'frames.framed(b"\\x05" + bytes(4) + b"\\x00\\x01" + b"\\xc0")',
    "no frame at all": 'b"\\xff" * 100',
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=list(FORGERIES))
def test_only_its_own_provider_suffers(tmp_path: Path, forged: str) -> None:
    """Whatever it writes, the other provider's values are exact, and the forger is named as lost or failed."""
    groups = []
    for name in ("evil", "good"):
        home = tmp_path / name
        home.mkdir()
        labels = {"name": name, "via": f"env -C {home}", "python": sys.executable}
        groups.append({"targets": [name], "labels": labels})
    (tmp_path / "evil" / "evil").touch()
    (tmp_path / "hosts.json").write_text(json.dumps(groups))
    query = tmp_path / "forge.py"
    query.write_text(QUERY.lstrip().replace("FORGED", forged))
    done = call("run", query, "-i", tmp_path / "hosts.json", "--by-host", "-o", "json")
    assert done.status == 3, done.err
    assert done.states["good"] == "done"
    assert done.states["evil"] in ("lost", "failed")
    assert done.reason("evil")
    assert {"host": "good", "key": "honest", "sum": 1} in done.rows
    assert "Traceback" not in done.err
