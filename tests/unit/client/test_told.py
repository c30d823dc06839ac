"""What a named query's process sends to whoever looks at it."""

from __future__ import annotations

import pytest

from backplane.client.named import told
from backplane.reduce.answer import Answer
from backplane.reduce.folds import StreamFold
from backplane.wire.messages import State


@pytest.mark.parametrize("limit", [0, 5])
def test_coverage_survives_a_socket(limit: int) -> None:
    """All of it, also who was stopped at a limit, and that there was none."""
    answer = Answer(query="q", query_id="1", fold=StreamFold(limit=limit), targets=["web1"])
    answer.handle("web1", State(query="1", provider="web1", state="running"))
    snapshot = answer.snapshot(final=True)
    assert snapshot.coverage.stopped == (None if limit else ("web1",))
    again = told.unpack(told.pack(snapshot))
    assert again.coverage == snapshot.coverage
    assert again.to_dict() == snapshot.to_dict()
