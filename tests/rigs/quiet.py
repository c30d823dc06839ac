"""A runner's way home that leads nowhere, for tests of what stands before it."""

from __future__ import annotations

from typing import Any

from provider.runner.writer import Writer


class Quiet(Writer):
    """A writer that nobody hears."""

    def __init__(self) -> None:
        """It has no descriptor."""

    def send(self, kind: int, header: dict[str, Any], payload: bytes = b"") -> None:
        """Nothing."""
