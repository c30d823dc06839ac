"""The bounds and rhythms that both ends of a hop must agree on. Each constant carries its trade-off.

Knows numbers only. What a single frame may hold is in `provider.runner.frames`, and so is what a runner keeps to.
"""

from __future__ import annotations

from typing import Final

from provider.runner import frames

#: Every link says something this often. Shorter costs wakeups on idle hosts, longer makes a dead link show later.
BEAT_S: Final = 1.0
#: Silence for so long and a live provider is shown as `stalled`: three beats, so that one lost packet is not news.
STALLED_S: Final = 3.0
#: Silence for so long ends the link, and at the other end the runner with all its children.
LEASE_S: Final = 10.0
#: How long unreachable providers are retried when a query is to finish.
WAIT_S: Final = 10.0
#: A filter that takes longer has failed.
FILTER_S: Final = 10.0
#: A following query asks its filter again so often. Deployments come by the hour; a host pays a process each time.
REFILTER_S: Final = 60.0
#: TCP connect, SSH login, and the runner's hello after it: each has its own deadline, since a black hole obeys only
#: the first, a mute server only the second, and a frozen shell only the third.
CONNECT_S: Final = 5.0
LOGIN_S: Final = 8.0
HELLO_S: Final = 8.0
#: What a question to the coordinator about itself may take.
ASK_S: Final = 10.0
#: What a job may take to hand over its last cut after it was asked to drain; its runner keeps to it too.
DRAIN_S: Final = frames.DRAIN_S
#: SSH handshakes in flight. Unlimited delays the first answer of 500 hosts from 0.4 s to 6.2 s.
FANOUT: Final = 32

#: Credit of all jobs of one query together, shared evenly among its providers, within these bounds a job. What is
#: granted is what the coordinator may have to hold if the client stops reading.
CREDIT_QUERY_BYTES: Final = 64 << 20
CREDIT_JOB_MOST_BYTES: Final = 1 << 20
#: Under two frames a job would wait for a round trip after each.
CREDIT_JOB_LEAST_BYTES: Final = 128 << 10
#: Complete cuts that wait for a query's reducer. Above it no credit is returned.
STAGING_BYTES: Final = 8 << 20
#: Values of many fragments that are not whole yet, of all jobs of a query. Above it they come in one by one, so that
#: it is four of the largest and not one for each provider.
FRAGMENTS_BYTES: Final = 64 << 20
#: One cut, all parts. A runner cuts long before; a peer that goes on is cut off.
MAX_CUT_BYTES: Final = 32 << 20


def job_credit(targets: int) -> int:
    """The credit window in bytes of one job, of a query over so many providers.

    >>> job_credit(1), job_credit(128), job_credit(10_000)
    (1048576, 524288, 131072)
    """
    share = CREDIT_QUERY_BYTES // max(1, targets)
    return max(CREDIT_JOB_LEAST_BYTES, min(CREDIT_JOB_MOST_BYTES, share))
