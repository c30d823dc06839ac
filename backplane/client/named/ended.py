"""The last snapshot of a named query that nobody runs: made of what its store holds, as often as somebody looks.

Knows a question and a store. Asks nobody anything.
"""

from __future__ import annotations

from backplane.client.spec import Question
from backplane.client.store.database import Store
from backplane.reduce.answer import Answer
from backplane.reduce.snapshot import Snapshot


def last(question: Question, store: Store) -> Snapshot:
    """The snapshot with which it ended, or would have if it had ended when it stopped.

    Raises:
        StoreError: the store is damaged.
        ReduceFault: the user's reduce failed.
    """
    at = store.facts.get("ended") or store.facts.get("at", 0.0)
    answer = Answer(
        query=question.name,
        query_id=store.facts.get("query_id", ""),
        fold=question.fold(),
        targets=(),
        endless=question.endless,
        clock=lambda: at,
        resume=question.work.resume,
        resume_why=question.work.resume_why,
    )
    try:
        answer.place(store.places, max(0, store.facts.get("seq", 0) - 1), at, over=True)
        answer.refill(store.pieces())
        return answer.snapshot(final=True)
    finally:
        answer.close()
