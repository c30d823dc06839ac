"""What the documents promise, held against the tree: their links lead somewhere, their words are ours."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
#: The words that other tools use for the same things.
OTHER_WORDS = re.compile(r"\b(minion|worker|master|slave)s?\b", re.IGNORECASE)
#: The design's list.
WORDS = (
    "provider, provider table, coordinator, runner, supervisor, scan child, guard, ship, payload, reach, query, job, "
    "filter, map, emit, combine, reducer, source, position, cut, epoch, window, interval, snapshot, revision, "
    "coverage, lost, gap, drop, fault, lease, credit, sealed, open"
)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


@pytest.fixture(params=PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def page(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


def test_a_page_has_a_title(page: Path) -> None:
    """It begins with a heading of the first level, and has one."""
    lines = [line for line in re.sub(r"(?ms)^```.*?^```", "", page.read_text()).splitlines() if line.startswith("# ")]
    assert page.read_text().startswith("# ")
    assert len(lines) == 1


def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is a file of the tree, and its anchor a heading of that file."""
    for target in LINK.findall(page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_every_page_is_found() -> None:
    """Whoever begins at docs/index.md and follows links comes by every page."""
    found, waiting = set(), [ROOT / "docs/index.md"]
    while waiting:
        file = waiting.pop()
        if file in found or file.suffix != ".md" or not file.is_file():
            continue
        found.add(file)
        waiting += [(file.parent / target.partition("#")[0]).resolve() for target in LINK.findall(file.read_text())]
    assert [str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md") if page not in found] == []


def anchors(file: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", file.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_words_are_ours(page: Path) -> None:
    """A reader meets one word for one thing; the glossary alone may name the others, to send them home."""
    if page.name == "glossary.md":
        return
    assert OTHER_WORDS.findall(page.read_text()) == []


def test_every_dependency_has_its_reason() -> None:
    """docs/reference/dependencies.md names exactly what pyproject.toml declares."""
    rows = re.findall(r"(?m)^\| `([^`]+)` \|", (ROOT / "docs/reference/dependencies.md").read_text())
    assert sorted(rows) == sorted({*declared("run"), *declared("dev"), *extras()})


def test_every_dependency_is_pinned() -> None:
    """run.txt holds what the program needs, dev.txt all of it in the same versions, each with its hashes."""
    pins = {name: pinned(ROOT / "requirements" / f"{name}.txt") for name in ("run", "dev")}
    assert pins["run"].items() <= pins["dev"].items()
    for name, found in pins.items():
        assert {each.lower().replace("_", "-") for each in declared(name)} <= set(found)


def declared(name: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    lines = [*project["project"]["dependencies"], *groups["build"]]
    lines += [line for group in groups.values() for line in group] if name == "dev" else []
    return [_package(line) for line in lines]


def extras() -> list[str]:
    """Packages that are installed when somebody asks for them: nothing is tested with a pin of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [_package(line) for lines in project.get("optional-dependencies", {}).values() for line in lines]


def _package(line: str) -> str:
    return re.split(r"[<>=!~\[; ]", line)[0]


def pinned(path: Path) -> dict[str, str]:
    text = path.read_text()
    found = dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)==(\S+)", text))
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9._-]+==)", text)[1:]
    assert len(blocks) == len(found)
    assert all("--hash=sha256:" in block for block in blocks)
    return found


def test_the_glossary_has_every_word() -> None:
    """One heading or entry for each word of the design."""
    entries = set(re.findall(r"(?m)^\*\*([^*]+)\*\*", (ROOT / "docs/glossary.md").read_text()))
    assert set(WORDS.split(", ")) <= entries


def test_the_changelog_is_in_form() -> None:
    """Keep a Changelog: an Unreleased section or the project's version comes first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first = re.search(r"(?m)^## \[([^\]]+)\]", text)
    assert first is not None
    assert first[1] in ("Unreleased", version)
    kinds = set(re.findall(r"(?m)^### (.+)$", text))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
