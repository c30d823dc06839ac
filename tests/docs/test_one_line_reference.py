"""The reference of questions of one line names what there is, and its examples are good."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backplane.query.oneline import OneLineError, one_line
from backplane.query.oneline.parser import STAGES
from backplane.query.oneline.usual import USUAL
from provider.runner.aggregates.names import AGGREGATES
from provider.runner.expressions import FUNCTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "one-line.md").read_text("utf-8")
CODE = re.compile(r"``\s?(.+?)\s?``|`([^`]+)`")


def _examples(heading: str) -> Iterator[str]:
    """What stands in the last column of the table below a sentence."""
    table = PAGE.split(heading, 1)[1].split("\n\n")[1]
    for row in table.splitlines()[2:]:
        cell = re.split(r"(?<!\\)\|", row)[-2]
        for found in CODE.finditer(cell):
            yield (found[1] or found[2]).replace(r"\|", "|")


BEFORE = list(_examples("Before the aggregates, on the providers:"))
BEHIND = list(_examples("Behind the aggregates, on the rows, at home:"))


@pytest.mark.parametrize("stage", BEFORE)
def test_a_stage_of_the_page_is_one(stage: str) -> None:
    """Each example can be asked, alone or with an aggregate behind it."""
    text = f"json f.json | {stage}"
    try:
        one_line(f"{text} | count")
    except OneLineError:
        one_line(text if "timeslice" not in stage else f"nginx f | {stage} | count")


@pytest.mark.parametrize("stage", BEHIND)
def test_a_stage_behind_aggregates_is_one(stage: str) -> None:
    """The same of rows."""
    assert one_line(f"json f.json | count, sum(bytes) as errors by path | {stage}").steps


def test_the_page_names_all_that_there_is() -> None:
    """Stages, functions, aggregates and usual places are on the page."""
    words = set(re.findall(r"[\w-]+", PAGE))
    assert words >= {*STAGES, *FUNCTIONS, *AGGREGATES, *USUAL}
    assert len(BEFORE) >= 10
    assert len(BEHIND) >= 5
