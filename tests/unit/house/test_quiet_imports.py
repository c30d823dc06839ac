"""What we import starts no processes."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["coordinator.reach.ssh", "provider.serve", "backplane.client.session"])
def test_an_import_starts_no_process(module: str) -> None:
    """Neither a compiler nor anything else runs because one of our modules is imported."""
    program = (
        "import sys; seen = []; begins = ('subprocess.Popen', 'os.fork', 'os.posix_spawn'); "
        "sys.addaudithook(lambda event, args: seen.append(args) if event in begins else None); "
        f"import {module}; print(seen)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
