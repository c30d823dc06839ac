"""An aggregate's modules travel with the jobs that ask for it, and are all that it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from backplane.query.starting import modules
from provider import ship
from provider.runner.aggregates import AGGREGATES
from provider.runner.aggregates import names as folding

CHECK = """
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("provider.runner.") and name not in ALLOWED:
            raise ImportError(name)
sys.meta_path.insert(0, Only())
from provider.runner.aggregates import Combiner
combiner = Combiner([NAME], "t")
combiner.fold([("k", 1), ("k", 2)])
print(len(list(combiner.payloads(1 << 22))))
"""


@pytest.mark.parametrize("name", [*AGGREGATES, "p99", "top(3)"])
def test_what_travels_is_what_an_aggregate_needs(name: str) -> None:
    """The runner's core and the modules of the start import without any other."""
    core = set(ship._modules()) - ship.WITH_JOBS - ship.WITH_PLANS
    allowed = core | modules([], [], combine=[name]).keys()
    script = f"ALLOWED = {allowed!r}\nNAME = {name!r}\n{CHECK}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_no_other_module_travels_for_it() -> None:
    """Nor for a count."""
    assert not modules([], [], combine=["count", "sum"])
    assert modules([], [], combine=["p99", "median"]).keys() == folding.modules(["p99"]) & ship.WITH_JOBS
