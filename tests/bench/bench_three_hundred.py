"""Three hundred providers over a few sshds, three clients with five queries each, and a daemon that is killed twice.

Nothing is compared: what must hold is asserted (`tests.rigs.crowd`), and what it took is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.rigs import crowd
from tests.rigs.sshd import SSHD


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_three_hundred")
    parser.add_argument("--providers", type=int, default=300)
    parser.add_argument("--quick", dest="providers", action="store_const", const=60, help="a trial, no figure")
    options = parser.parse_args()
    if SSHD is None:
        sys.exit("OpenSSH's sshd is not on this machine")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        figures = asyncio.run(crowd.show(Path(directory), options.providers))
    print(f"{options.providers} providers, {time.monotonic() - began:.0f} s in all: {figures}")


if __name__ == "__main__":
    main()
