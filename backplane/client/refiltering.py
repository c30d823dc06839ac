"""The standing filter at the client: starts of filters alone, what comes of them, and who is outside because of one.

Knows jobs and states. Nothing of these jobs reaches the answer: what they say is the coordinator's to judge, and here
only that one failed is told to the user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from backplane.client.spec import Options, Question, Ready
from backplane.query.starting import FOLLOWING, filter_hash
from backplane.wire import codec
from backplane.wire.messages import End, Fault, Message, NeedStart, Start, State, Verdict

#: States in which a provider is outside while the filter stands.
_OUTSIDE: Final = frozenset(("left", "filtered_out"))


class Refiltering:
    """See above.

    Args:
        query_id: the run's.
        send: sends a message to the coordinator.
        retire: called with a job of which nothing more comes.
    """

    def __init__(
        self,
        query_id: str,
        question: Question,
        options: Options,
        send: Callable[[Message], None],
        retire: Callable[[int], None],
    ) -> None:
        self._query_id = query_id
        self._question = question
        self._options = options
        self._send = send
        self._retire = retire
        self._providers: dict[int, str] = {}
        self._answered: set[int] = set()
        #: What was told of each provider whose filter failed, so that it is told once and not every minute.
        self._told: dict[str, str] = {}
        #: Providers that its filter has left out, and may let in again: what was said of them last.
        self.outside: dict[str, State] = {}
        self._leaving: set[str] = set()

    @property
    def every_s(self) -> float | None:
        """How often a filter is asked again; None if it is not."""
        return self._options.refilter_s if self._question.work.standing else None

    @property
    def fresh_s(self) -> float | None:
        """How old a verdict on this query may be: what the last question was answered must not answer the next."""
        return None if self.every_s is None else self.every_s / 2

    def heard(self, state: State) -> None:
        """A provider's state has changed."""
        name = state.provider
        self.outside.pop(name, None)
        self._leaving.discard(name)
        if state.again and state.state in _OUTSIDE:
            self.outside[name] = state
        elif state.again and state.state != "lost":
            self._leaving.add(name)

    def leaves(self, provider: str) -> bool:
        """It is being drained because of its filter, which is not the last of it."""
        return provider in self._leaving

    def __contains__(self, job: int) -> bool:
        return job in self._providers

    def need(self, need: NeedStart) -> None:
        """Start the filter of a provider, and nothing else."""
        for job in [job for job, name in self._providers.items() if name == need.provider]:
            self.forget(job)  # its link broke, of which nobody tells us
        self._providers[need.job] = need.provider
        work = self._question.work
        body = self._question.body(Ready(need.provider, need.python, need.labels), ())
        modules = {name: text for name, text in body.get("modules", {}).items() if name not in FOLLOWING}
        self._send(
            Start(
                job=need.job,
                epoch=1,
                query=self._query_id,
                # Its prints were heard when it was asked first.
                granted=0,
                body=work.body,
                filter_s=self._options.filter_s,
                guard=work.guard,
                lines=False,
                limits={**work.limits, **self._options.limits},
                filter=filter_hash(work.body, body),
                fresh_s=0.0,
                payload=codec.pack({**body, "map": None, "combine": None, "modules": modules}),
            )
        )

    def arrived(self, job: int, message: Message | None) -> None:
        """A frame of one of these jobs."""
        if isinstance(message, Verdict):
            self._answered.add(job)
            self._told.pop(self._providers[job], None)
        elif isinstance(message, End):
            if job not in self._answered and message.state in ("failed", "killed", "refused"):
                self._tell(self._providers[job], message.reason or message.state)
            self.forget(job)

    def _tell(self, name: str, reason: str) -> None:
        if self._told.get(name) != reason and self._options.on_fault:
            self._told[name] = reason
            text = f"its filter could not say whether it stays, so it does: {reason}"
            self._options.on_fault(name, Fault(code="raised", text=text))

    def forget(self, job: int) -> None:
        """Nothing more comes of a job."""
        self._providers.pop(job, None)
        self._answered.discard(job)
        self._retire(job)

    def clear(self) -> None:
        """The coordinator is another one, or none."""
        for job in list(self._providers):
            self.forget(job)
        self._leaving.clear()
