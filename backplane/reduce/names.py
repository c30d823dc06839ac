"""Many host names in few characters, for people.

Knows names as text. What a name means, and names that are typed in, are the inventory's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


def folded(names: Iterable[str], most: int = 20) -> str:
    """Names with runs of numbers as ranges, sorted; at most so many items, then how many more.

    >>> folded(["web01", "web02", "web03", "db1", "web07", "mail"])
    'db1,mail,web[01-03,07]'
    """
    every = sorted(set(names))
    groups: dict[tuple[str, str, int], list[int]] = {}
    items: list[str] = []
    for name in every:
        match = _NUMBERED.fullmatch(name)
        if match and len(match[2]) < 10:
            padded = len(match[2]) if match[2].startswith("0") and len(match[2]) > 1 else 0
            groups.setdefault((match[1], match[3], padded), []).append(int(match[2]))
        else:
            items.append(name)
    # A number of full width among padded ones belongs with them: web09, web10.
    for prefix, suffix, padded in sorted(groups, reverse=True):
        if padded and (prefix, suffix, 0) in groups:
            fits = [n for n in groups[prefix, suffix, 0] if len(str(n)) == padded]
            groups[prefix, suffix, padded] += fits
            groups[prefix, suffix, 0] = [n for n in groups[prefix, suffix, 0] if n not in set(fits)]
    items += [_item(*key, numbers) for key, numbers in groups.items() if numbers]
    items.sort()
    shown = items[:most]
    return ",".join(shown) + (f" and {len(items) - most} more" if len(items) > most else "")


def _item(prefix: str, suffix: str, padded: int, numbers: list[int]) -> str:
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    texts = [f"{a:0{padded}d}" if a == b else f"{a:0{padded}d}-{b:0{padded}d}" for a, b in ranges]
    inside = ",".join(texts)
    return f"{prefix}{inside}{suffix}" if len(numbers) == 1 else f"{prefix}[{inside}]{suffix}"
