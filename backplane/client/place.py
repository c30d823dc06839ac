"""Where a coordinator is that somebody else runs, and the keys that it takes. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backplane.wire.zmq import Curve


@dataclass(frozen=True, slots=True)
class Place:
    """A coordinator's address; ``curve`` for one over TCP."""

    address: str
    curve: Curve | None = None
