"""``python -m tests.chaos``: many faults on many worlds, then every mutant; the figures by kind of fault.

Exit status 1 if an answer was wrong, or a mutant was not caught.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import mutants
from tests.chaos.play import Figures
from tests.chaos.trial import trials
from tests.chaos.worlds import Failed, many, one
from tests.rigs.links import lossy_why_not


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=2000, metavar="N", help="so many in all (2000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="what they are drawn from (1)")
    parser.add_argument("--beside", type=int, default=2, metavar="N", help="worlds at a time (2)")
    parser.add_argument("--world", type=int, metavar="SEED", help="the one world of this seed, as a failure names it")
    parser.add_argument("--no-mutants", action="store_true", help="faults only")
    args = parser.parse_args()
    # Whoever ends this ends what it has started, too: worlds that run are closed before it goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    failed = _run(args, directory)
    if failed:
        print(f"what is left of the worlds that went wrong is in {directory}")
    else:
        shutil.rmtree(directory)
    return failed


def _run(args: argparse.Namespace, directory: Path) -> bool:
    if args.world is not None:
        figures = Figures()
        failed = [found] if (found := one(args.world, args.faults, directory, figures)) else []
        _tell(failed[0] if failed else None, figures)
        print(figures.table())
        return bool(failed)
    if why_not := lossy_why_not():
        print(f"no packets are lost or late: {why_not}")
    began = time.monotonic()
    figures, failed = many(args.seed, args.faults, directory, args.beside, _tell)
    print(figures.table())
    print(f"{figures.count} faults in {time.monotonic() - began:.0f} s, {len(failed)} worlds went wrong")
    missed = 0 if args.no_mutants else _mutants(directory)
    return bool(failed or missed)


def _tell(found: Failed | None, figures: Figures) -> None:
    print(f"{figures.count} faults", flush=True)
    if found:
        print(f"WRONG in the world {found.seed}: {found.why}")
        for burst in found.bursts[-3:]:
            print(f"  {json.dumps(burst)}")


def _mutants(directory: Path) -> int:
    missed = 0
    for trial in trials(directory, list(mutants.MUTANTS)):
        missed += trial.caught is None
        how = f"after {trial.faults} faults, {trial.took_s:.0f} s: {trial.caught}" if trial.caught else "NOT CAUGHT"
        print(f"mutant {trial.mutant}: {how:.200}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
