"""Under which scheduling a map runs, and that a job which is to drain gets a turn, whoever it runs as."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.rigs.program import HANGS_S

pytestmark = pytest.mark.linux

#: Becomes who is asked for, then a map, then a job that drains; prints the policy of each.
_LIFE = """
import os, resource, sys
from provider.runner import spawn
allowed, user = int(sys.argv[1]), int(sys.argv[2])
try:
    resource.setrlimit(resource.RLIMIT_NICE, (allowed, allowed))
except ValueError:
    sys.exit("the limit cannot be raised here")
if user != os.getuid():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
os.nice(19)
spawn.idle()
print(os.sched_getscheduler(0))
spawn.hurry(os.getpid())
print(os.sched_getscheduler(0), os.nice(0))
"""
NOBODY = 65534


def life(allowed: int, user: int) -> list[str]:
    """What `_LIFE` prints."""
    argv = [sys.executable, "-c", _LIFE, str(allowed), str(user)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=HANGS_S)
    if "cannot be raised" in done.stderr:
        pytest.skip("this machine lets not even root raise RLIMIT_NICE")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_job_without_privilege_can_be_drained() -> None:
    """It never enters SCHED_IDLE, which it could not leave; at nice 19 it has a turn on a busy host all the same."""
    user = os.getuid() or NOBODY
    assert life(0, user) == [str(os.SCHED_BATCH), str(os.SCHED_OTHER), "19"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may raise a limit or give its privileges away")
@pytest.mark.parametrize(("allowed", "user"), [(1, NOBODY), (0, 0)], ids=["by limit", "by privilege"])
def test_a_job_that_may_leave_it_idles(allowed: int, user: int) -> None:
    """Where leaving is allowed a map gives way to everybody, until it is asked to drain."""
    assert life(allowed, user) == [str(os.SCHED_IDLE), str(os.SCHED_OTHER), "19"]
