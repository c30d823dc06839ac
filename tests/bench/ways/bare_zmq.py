"""The least that moves values from a generator to a reducer: batches of 1,000, msgpack, DEALER to ROUTER.

``bare_zmq.py QUERY`` reduces; it starts itself with ``QUERY ADDRESS`` as the producer. Prints the reduced total.
"""

from __future__ import annotations

import itertools
import json
import runpy
import subprocess
import sys
import tempfile
from typing import Any

import msgpack
import zmq

BATCH = 1000


def produce(query: dict[str, Any], address: str) -> None:
    """Send every value, then an empty message."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(address)
    values = query["map"]()
    while batch := list(itertools.islice(values, BATCH)):
        socket.send(msgpack.packb(batch))
    socket.send(b"")
    socket.close()
    context.term()


def reduce(query: dict[str, Any], path: str) -> dict[str, Any]:
    """Receive and fold until the empty message."""
    with tempfile.TemporaryDirectory() as directory:
        address = f"ipc://{directory}/bare.sock"
        context = zmq.Context()
        socket = context.socket(zmq.ROUTER)
        socket.bind(address)
        function = query["reduce"]
        groups: dict[str, Any] = {}
        missing = object()
        with subprocess.Popen([sys.executable, __file__, path, address]):
            while True:
                _, payload = socket.recv_multipart()
                if not payload:
                    break
                for key, value in msgpack.unpackb(payload):
                    have = groups.get(key, missing)
                    groups[key] = value if have is missing else function(have, value)
        socket.close()
        context.term()
    return groups


if __name__ == "__main__":
    loaded = runpy.run_path(sys.argv[1])
    if len(sys.argv) == 3:
        produce(loaded, sys.argv[2])
    else:
        print(json.dumps({"total": sum(reduce(loaded, sys.argv[1]).values())}))
