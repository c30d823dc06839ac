"""Stories: in order, bounded, and gone when they are old."""

from __future__ import annotations

import pytest

from coordinator import story as stories
from coordinator.story import Stories


def test_lines_keep_their_order_and_the_newest_count() -> None:
    """A provider that is tried for hours pushes out its own lines, not another's."""
    story = Stories().begin("q", None)
    story.add("calm", "state", state="pending", reason=None)
    for number in range(1000):
        story.add("wild", "trying", stage=f"{number}" + "x" * 1000)
    assert [(line["event"], "reason" in line) for line in story.of("calm") or []] == [("state", False)]
    wild = story.of("wild") or []
    assert [line["stage"][:3] for line in wild] == [str(n) for n in range(960, 1000)]
    assert max(len(line["stage"]) for line in wild) == 300
    assert story.of("nobody") is None
    assert story.count == 41


def test_a_story_is_found_by_the_beginning_of_its_id() -> None:
    """One whose id begins another's is meant itself, and nothing means nothing."""
    kept = Stories()
    for query in ("ab", "abc", "bcd"):
        kept.begin(query, None)
    assert kept.beginning("ab") == ["ab"]
    assert kept.beginning("b") == ["bcd"]
    assert kept.beginning("a") == ["ab", "abc"]
    assert kept.beginning("") == kept.beginning("x") == []


def test_stories_that_are_over_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of running queries stay as long as there is room."""
    monkeypatch.setattr(stories, "MOST_LINES", 30)
    kept = Stories()
    for name in ("runs", "ended", "new"):
        story = kept.begin(name, "key")
        for number in range(20):
            story.add("p", str(number))
        story.over = name == "ended"
    kept.begin("last", None)
    assert kept.get("ended") is None
    assert kept.get("runs") is None, "the oldest, since two of them are still too many"
    assert kept.get("new") is not None
    assert kept.get("last") is not None
