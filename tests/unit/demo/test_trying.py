"""What a demo that stays up tells to try next."""

from __future__ import annotations

import argparse
import importlib
import shlex
from pathlib import Path

import pytest

from backplane.cli import main
from backplane.cli.demo import trying
from backplane.cli.demo.places import Places, names

PLACES = Places(Path("/tmp/with space/demo"))


@pytest.mark.parametrize("index", range(4))
def test_commands_parse(index: int) -> None:
    """Every command that is printed is one that the program takes, its paths intact."""
    _, command = trying.commands(PLACES)[index]
    words = shlex.split(command)
    verb = next(word for word in words if word in main.VERBS)
    module = importlib.import_module(str(main.VERBS[verb].module))
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    args = parser.parse_args(words[words.index(verb) + 1 :])
    assert args.inventory == [str(PLACES.inventory)]
    assert args.known_hosts == str(PLACES.known_hosts)
    assert (Path("queries/library") / f"{args.query}.py").is_file()


@pytest.mark.parametrize("providers", [1, 4, 20, 120])
def test_commands_ask_hosts_that_there_are(providers: int) -> None:
    """Few hosts have no database, and one is not two."""
    there = dict(names(providers))
    said = {tuple(shlex.split(command)) for _, command in trying.commands(PLACES, providers)}
    (chosen,) = [words[words.index("-w") + 1] for words in said if "-w" in words]
    (label,) = [words[words.index("-l") + 1] for words in said if "-l" in words]
    assert set(chosen.split(",")) <= there.keys()
    assert label in {"role=web" if web else "role=db" for web in there.values()}


def test_text_names_places_and_the_end() -> None:
    """It says where inventory and logs are, every command, and how to stop."""
    text = trying.text(PLACES)
    assert str(PLACES.inventory) in text
    assert str(PLACES.logs) in text
    assert "Ctrl-C" in text
    for _, command in trying.commands(PLACES):
        assert f"\n  {command}\n" in text
