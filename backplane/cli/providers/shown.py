"""How the table of providers is shown: one line for those of whom the same is to be said, or JSON.

Knows the coordinator's answers (docs/reference/frames.md, "ask"). What is in them came from inventories and hosts, so
nothing of it reaches a terminal as it is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from backplane.client.outputs.harmless import harmless

#: A host whose clock is off by less is not worth a word; a check cannot tell it more exactly.
_CLOCK_S: Final = 1.0


def rows(told: Mapping[str, Any], output: str | None) -> None:
    """The table."""
    if output == "json":
        print(json.dumps(told["rows"], indent=2))
        return
    folded: dict[str, list[str]] = defaultdict(list)
    for row in told["rows"]:
        folded[_fields(row["provider"]) + _checked(row["facts"])].append(row["provider"]["name"])
    if folded:
        _print(folded)
    else:
        print("no providers")


def facts(told: Mapping[str, Mapping[str, Any]], output: str | None) -> int:
    """What a check found; the exit status."""
    if output == "json":
        print(json.dumps(told, indent=2))
    else:
        folded: dict[str, list[str]] = defaultdict(list)
        for name, found in told.items():
            folded[_found(found)].append(name)
        _print(folded)
        latencies = sorted(found["latency_ms"] for found in told.values() if found["latency_ms"] is not None)
        if latencies:
            print(f"latency: {latencies[len(latencies) // 2]:.1f} ms in the middle, {latencies[-1]:.1f} ms at most")
    return 3 if any(found["problem"] for found in told.values()) else 0


def change(told: Mapping[str, Any]) -> None:
    """What a write did."""
    for what in ("added", "updated", "removed"):
        if told[what]:
            print(f"{what} {len(told[what])}: {_names(told[what])}")
    if told["same"]:
        print(f"unchanged {told['same']}")
    elif not any(told[what] for what in ("added", "updated", "removed")):
        print("nothing to do")


def _print(folded: Mapping[str, list[str]]) -> None:
    lines = [(_names(names), text.strip()) for text, names in sorted(folded.items(), key=lambda item: item[1])]
    width = min(40, max((len(names) for names, _ in lines), default=0))
    for names, text in lines:
        print(harmless(f"{names:<{width}}  {text}".rstrip()))


def _fields(provider: Mapping[str, Any]) -> str:
    said = {key: value for key, value in provider.items() if key not in ("name", "labels", "address", "port")}
    address, port = provider.get("address"), provider.get("port")
    if address or port:
        said["at"] = (address or "") + (f":{port}" if port else "")
    labels = [f"{key}={value}" for key, value in sorted(provider.get("labels", {}).items())]
    return "  ".join([*(f"{key} {value}" for key, value in sorted(said.items())), ",".join(labels)]).strip()


def _checked(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "  never checked"
    at = datetime.fromtimestamp(found["checked_at"], UTC).strftime("%Y-%m-%d %H:%M")
    return f"  {_found(found)} ({at}Z)"


def _found(found: Mapping[str, Any]) -> str:
    """What was found, without what differs from host to host anyway."""
    if found["problem"]:
        return f"problem: {found['problem']}"
    words = [f"{found['level']}, Python {found['python']}" if found["python"] else f"{found['level']}, no Python"]
    if found["host_key"]:
        words.append(f"host key {found['host_key']}")
    offset = found["clock_offset_s"]
    if offset is not None and abs(offset) >= _CLOCK_S:
        words.append(f"clock {abs(offset):.0f} s {'ahead' if offset > 0 else 'behind'}")
    for answer, text in ((True, "reads"), (False, "may not read")):
        paths = [path for path, readable in found["logs"].items() if readable is answer]
        if paths:
            words.append(f"{text} {', '.join(paths)}")
    return "; ".join(words)


def _names(names: list[str]) -> str:
    from coordinator.inventory import nodes

    return nodes.fold(names)
