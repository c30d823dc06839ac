"""What a coordinator tells of its queries, and who may end them: the answers behind `ps` and `cancel`.

Knows running queries and stories. Every client sees who asks what; a query's own user, and the coordinator's, may
end it and read its story, in which providers speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backplane.wire.errors import UsageError
from backplane.wire.messages import Fault
from coordinator.answers import Answers
from coordinator.queries import Query
from coordinator.relay import Client
from coordinator.story import Stories


class Listing:
    """Answers ``queries``, ``cancel`` and ``story`` (docs/reference/frames.md, "ask").

    Args:
        queries: those that run, as they come and go.
        stories: of those, and of some that are over.
    """

    def __init__(self, queries: Mapping[tuple[bytes, str], Query], stories: Stories) -> None:
        self._queries = queries
        self._stories = stories

    def register(self, answers: Answers) -> None:
        """Answer from now on."""
        answers.register("queries", self._list)
        answers.register("cancel", self._cancel)
        answers.register("story", self._story)

    async def _list(self, client: Client, said: object) -> list[dict[str, Any]]:
        return sorted((query.described() for query in self._queries.values()), key=lambda told: -told["age_s"])

    async def _cancel(self, client: Client, said: object) -> list[str]:
        which, mode = _texts(said, "query", "mode")
        if mode not in ("drain", "abort"):
            raise UsageError(f"a query is ended by drain or abort, not by {mode!r}")
        chosen = self._chosen(client, which)
        for query in chosen:
            query.client.tell(Fault(code="cancelled", query=query.query, text=f"{client.user} cancelled it"))
            query.cancel(mode)
        return [query.query for query in chosen]

    def _chosen(self, client: Client, which: str) -> list[Query]:
        """By id, by an id's beginning, or by title; all that may be ended for no word."""
        running = list(self._queries.values())
        if not which:
            return [query for query in running if _may(client, query.client.key)]
        for matches in (
            [query for query in running if query.query == which],
            [query for query in running if query.title == which],
            [query for query in running if query.query.startswith(which)],
        ):
            if len(matches) > 1:
                raise UsageError(f"{which!r} is {len(matches)} queries: {', '.join(q.query for q in matches[:5])}")
            if matches:
                if not _may(client, matches[0].client.key):
                    raise UsageError(f"{matches[0].query} is {matches[0].client.user}'s, who alone may end it")
                return matches
        raise UsageError(f"no query {which!r} runs here (`logreduce ps` lists them)")

    def _told(self, client: Client, which: str) -> str:
        """The id of the story that is meant by an id, its beginning, or the title of a query that runs."""
        titles = [query.query for query in self._queries.values() if query.title == which]
        for ids in (titles, self._stories.beginning(which)):
            # Others' ids are not told of.
            own = [each for each in ids if (story := self._stories.get(each)) and _may(client, story.key)]
            if len(own) > 1:
                raise UsageError(f"{which!r} is {len(own)} queries: {', '.join(own[:5])}")
            if own:
                return own[0]
        return which

    async def _story(self, client: Client, said: object) -> list[dict[str, Any]]:
        query, provider = _texts(said, "query", "provider")
        query = self._told(client, query)
        story = self._stories.get(query)
        if story is None:
            raise UsageError(f"no story of a query {query!r} is kept here (`logreduce ps` lists those that run)")
        if not _may(client, story.key):
            raise UsageError(f"the story of {query} is its own user's to read")
        lines = story.of(provider)
        if lines is None:
            raise UsageError(f"{query} did not ask a provider {provider!r}")
        return lines


def _may(client: Client, key: str | None) -> bool:
    return client.key is None or client.key == key


def _texts(said: object, *names: str) -> list[str]:
    if not isinstance(said, dict) or not all(isinstance(said.get(name), str) for name in names):
        raise UsageError(f"{' and '.join(names)} are texts")
    return [said[name] for name in names]
