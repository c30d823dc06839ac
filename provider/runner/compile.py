"""A plan made into the source text of one function over blocks of bytes.

Knows plans and expressions. Does not know files or what an aggregate does. It travels: standard library only,
Python 3.6. The text is what `explain` shows; home imports this module for it.

Theory of operation
-------------------
`feed(data, start, end)` takes whole records between two places of a block, so that nobody has to copy it. A record's
meaning is `Format.parse` and `expressions.evaluate`; there are three ways to it, all of which end in the same lines of
source (the body), once for each way:

rows        All lines of a block by one `re.findall`, which captures what is needed and nothing else. It is believed
            only if it gave as many rows as the block has newlines, and the block holds no byte (a backslash, say)
            with which the pattern and the parser might not agree.
candidates  The condition implies a text that the line must hold: `find` runs to the next such place, the line around
            it is cut out and parsed. Lines without the text are never parsed, and so not counted as odd either. It
            gives way to rows where the text turns out to be frequent.
lines       One by one, by the parser: whenever the others do not apply. It is slow and always right.

Needed fields come out of a line as bytes. A condition on a text compares bytes; a key is kept as the bytes that it is
made of, and becomes a value once, when the groups are taken (`folding.Groups`). Null bytes are b"".
"""

import re
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from provider.runner.bodies import Body, Values, prefixes
from provider.runner.expressions import COMPARISONS, Expression, compared, encoded
from provider.runner.formats.base import Bulk
from provider.runner.formats.form import LINE
from provider.runner.plan import Aggregated, Plan

#: One record in this many may hold the text that candidates are found by; with more, reading all rows costs less.
_DENSE = 8
#: Few lines say nothing about how many hold it.
_FEW = 64
#: Blocks that are then read whole before candidates are tried again.
_DENSE_BLOCKS = 64
#: Kept records are handed on in batches of so many: smaller ones cost a pass each, larger ones memory.
BATCH = 1 << 15


_STRIP = ["if line[-1:] == b'\\r':", "    line = line[:-1]"]


class Source(NamedTuple):
    """What `source` gave.

    Attributes:
        text: of a module with one function ``make(env)``, which gives ``feed``.
        names: what its ``env`` holds.
        keys: what makes a value of each part of a group's key, which is bytes where it is a field.
        literal: what candidates are found by.
        texts: rows are one captured text each.
        values: what makes values of what is kept for each expression that aggregates take, where it is not one.
    """

    text: str
    names: Dict[str, Any]
    keys: Tuple[Callable[[Any], Any], ...]
    literal: Optional[bytes]
    texts: bool
    values: Tuple[Optional[Values], ...]


def source(plan: Plan) -> Source:
    """The specialised source of a plan."""
    needed = [name for name in plan.needed() if name != LINE]
    where = condition(plan)
    one_line = plan.format.start is None
    bulk = plan.format.layout.bulk(needed, prefixes(plan, where)) if needed and one_line else None
    uses_line = LINE in plan.needed() or not (plan.aggregates or plan.columns)
    if uses_line and plan.format.start is None:
        bulk = _with_line(bulk, needed)
    order = list(bulk.order) if bulk else needed + ([LINE] if uses_line else [])
    body = Body(plan, order, where, bulk.cut if bulk else frozenset())
    literal = _literal(plan, where) if plan.format.start is None else None
    names = dict(body.names)
    names.update(PARSE=plan.format.layout.parser(needed) if needed else _nothing, BATCH=BATCH)
    if plan.format.start is not None:
        names["START"] = _multiline(plan.format.start)
    if bulk:
        names["ROWS"], names["ROW"] = _compiled(bulk)
    if literal:
        names["LITERAL"] = literal
    text = _module(plan, body, sorted(names), needed, uses_line, bulk, literal)
    return Source(text, names, body.keys, literal, bool(bulk) and len(order) == 1, tuple(body.makers))


def condition(plan: Plan) -> Optional[Expression]:
    """What a record has to fulfil: also that it is of the time that is asked for."""
    parts = [plan.where] if plan.where is not None else []  # type: List[Expression]
    for operator, bound in ((">=", plan.since), ("<", plan.until)):
        if bound is not None:
            parts.append([operator, ["field", plan.format.time], ["value", bound]])
    return None if not parts else parts[0] if len(parts) == 1 else ["and"] + parts


def _with_line(bulk: Optional[Bulk], needed: List[str]) -> Optional[Bulk]:
    """The line itself as the first capture. It ends where the pattern's newline begins."""
    if bulk is None:
        return Bulk(r"(.*)\n", (b"\r",), (LINE,)) if not needed else None
    guards = bulk.guards if b"\r" in bulk.guards else (b"\r",) + bulk.guards
    return Bulk("(" + bulk.pattern[:-2] + r")\n", guards, (LINE,) + bulk.order, bulk.cut)


def _compiled(bulk: Bulk) -> Tuple[Any, Any]:
    # From the beginning of a line only: where a line does not fit, the rest of it must not be taken for one that does.
    pattern = re.compile(("(?m:^)" + bulk.pattern).encode("utf-8"))
    return pattern.findall, pattern.match


def _multiline(start: Any) -> Any:
    return re.compile(b"(?m:^)(?:" + start.pattern + b")").finditer


def _nothing(line: bytes) -> Tuple[Any, ...]:
    return ()


def _guards(plan: Plan) -> Tuple[bytes, ...]:
    """Before a text is looked for: what could stand for the text in another way."""
    return {"json": (b"\\",), "keyvalue": (b"\\",), "separated": (b'"',)}.get(plan.format.data["kind"], ())


def _literal(plan: Plan, where: Optional[Expression]) -> Optional[bytes]:
    """The longest text that a record must hold for the condition to be true."""
    parts = where[1:] if where and where[0] == "and" else [where] if where else []
    found = [literal for literal in (_implied(plan, part) for part in parts) if literal and b"\n" not in literal]
    return max(found, key=len) if found else None


def _implied(plan: Plan, part: Expression) -> Optional[bytes]:
    if part[0] == "and":
        return _literal(plan, part)
    if len(part) != 3 or part[1][0] != "field":
        return None
    name, kind = part[1][1], part[0]
    if kind in ("contains", "starts", "ends"):
        text = part[2]
    elif kind == "=" and part[2][0] == "value" and type(part[2][1]) is str:
        text = part[2][1]
    elif kind in COMPARISONS and part[2][0] == "value":
        return _digit(plan, name, kind, part[2][1])
    else:
        return None
    if plan.format.layout.typed and name != LINE and not _plain_in_json(text):
        return None
    return encoded(text)


def _plain_in_json(text: str) -> bool:
    """It stands in JSON as it is, and in no number and no constant that is written in another way than it was read."""
    return len(text) >= 6 and all(char.isalpha() or char in "_/" for char in text) and text.isprintable()


def _digit(plan: Plan, name: str, kind: str, value: Any) -> Optional[bytes]:
    """Of an int with a known range: the text before it and its first digit, if only one digit fulfils the condition."""
    field = plan.format.field(name)
    before = plan.format.layout.literal_before(name)
    if not before or field.range is None or type(value) not in (int, float) or not field.pattern():
        return None
    low, high = field.range
    if high - low > 10000:
        return None
    digits = {str(each)[0] for each in range(low, high + 1) if compared(kind, each, value)}
    return encoded(before + digits.pop()) if len(digits) == 1 else None


def _module(
    plan: Plan,
    body: Body,
    names: List[str],
    needed: List[str],
    uses_line: bool,
    bulk: Optional[Bulk],
    literal: Optional[bytes],
) -> str:
    state = (["dense"] if literal else []) + (["waiting"] if plan.deals() else [])
    lines = ["def feed(data, start, end):"] + ["    nonlocal " + name for name in state]
    # Counting by `count` takes six times as long, before Python 3.13. The edges are parts of lines, and short.
    lines += ["    number = len(data) - len(data.replace(b'\\n', b'')) - data.count(b'\\n', 0, start)"]
    lines += ["    number -= data.count(b'\\n', end)", "    odd = kept = 0"]
    if plan.window:
        lines += ["    top, ahead = CLOCK.top, CLOCK.limit()"]
    if not needed and not uses_line and plan.format.start is None:
        lines += _indented(body.counted("number"), 1)
    else:
        lines += _indented(_ways(plan, body, needed, uses_line, bulk, literal), 1)
    lines += ["    SEEN.lines += number", "    SEEN.odd += odd"] + _indented(_after(plan), 1)
    lines = body.setup + [name + " = 0" for name in state] + lines + ["return feed"]
    return _maker(lines, names + body.given)


def _after(plan: Plan) -> List[str]:
    """The end of a function that has kept records."""
    lines = ["SEEN.matched += kept"] + (["CLOCK.top = top"] if plan.window else [])
    if plan.deals():
        return lines + ["waiting += kept", "if waiting >= BATCH:", "    waiting = 0", "    FLUSH()"]
    return lines + ["if len(K) >= BATCH:", "    FLUSH()"]


def _maker(lines: List[str], names: List[str]) -> str:
    used = set(re.findall(r"\b[A-Z]\w*", "\n".join(lines)))
    taken = ["%s = env[%r]" % (name, name) for name in sorted(used.intersection(names))]
    return "\n".join(["def make(env):"] + _indented(taken + lines, 1)) + "\n"


def by_columns(plan: Plan, order: List[str], cut: "frozenset[str]", chosen: bool) -> Tuple[Source, List[str]]:
    """The source of a function that takes how many records there were, how many rows, and a column of each field.

    Args:
        order: fields, those that it needs among them.
        cut: those of which there is the prefix only that it asks for.
        chosen: the rows fulfil the condition.

    Returns:
        Also the fields of which it wants a column.
    """
    needed = set(plan._replace(where=None, since=None, until=None).needed() if chosen else plan.needed())
    wanted = [name for name in order if name in needed]
    body = Body(plan, wanted, None if chosen else condition(plan), cut)
    names = dict(body.names, BATCH=BATCH)
    columns = ["c%d" % index for index in range(len(wanted))]
    lines = ["def feed(%s):" % ", ".join(["number", "rows"] + columns), "    kept = 0"]
    if plan.deals():
        lines[1:1] = ["    nonlocal waiting"]
    if plan.window:
        lines += ["    top, ahead = CLOCK.top, CLOCK.limit()"]
    whole = columns[0] if len(columns) == 1 else "zip(%s)" % ", ".join(columns)
    lines += _indented(body.rows(whole, "rows") if columns else body.counted("rows"), 1)
    lines += ["    SEEN.lines += number"] + _indented(_after(plan), 1)
    lines = body.setup + ["waiting = 0"] + lines + ["return feed"]
    texts = len(wanted) == 1 and not plan.format.layout.typed
    text = _maker(lines, sorted(names) + body.given)
    return Source(text, names, body.keys, None, texts, tuple(body.makers)), wanted


def tested(plan: Plan, where: Expression, name: str) -> Callable[[Any], bool]:
    """Whether a condition is true, which is on this one field only, of the field's bytes."""
    alone = plan._replace(keys=(), aggregates=(Aggregated("count", None),), columns=(), window=None)
    body = Body(alone, [name], where, frozenset())
    # `continue`, of a condition that is not true, ends a loop of one.
    lines = ["def test(%s):" % body.variable(name), "    for _ in (0,):"] + _indented(body.condition(), 2)
    lines = body.setup + lines + ["        return True", "    return False", "return test"]
    space = {}  # type: Dict[str, Any]
    exec(compile(_maker(lines, sorted(body.names)), "logreduce:condition", "exec"), space)
    test = space["make"](body.names)  # type: Callable[[Any], bool]
    return test


def _ways(
    plan: Plan, body: Body, needed: List[str], uses_line: bool, bulk: Optional[Bulk], literal: Optional[bytes]
) -> List[str]:
    lines = []  # type: List[str]
    guards = bulk.guards if bulk else _guards(plan)
    # A carriage return hides no text.
    plain = _absent(guard for guard in guards if guard != b"\r")
    ways = []  # type: List[Tuple[str, List[str]]]
    if literal:
        found = ["done = True"] + _candidates(body, needed, uses_line, bulk)
        found += ["if hits * %d > number + %d:" % (_DENSE, _FEW), "    dense = %d" % _DENSE_BLOCKS]
        ways.append((" and ".join(["dense <= 0"] + plain), found))
    if bulk:
        found = ["dense -= 1"] if literal else []
        found += ["rows = ROWS(data, start, end)", "if len(rows) == number:", "    done = True"]
        ways.append((" and ".join(_absent(guards)) or "True", found + _indented(body.rows("rows"), 1)))
    elif literal:
        ways.append(("True", ["dense -= 1"]))
    for index, (condition, found) in enumerate(ways):
        lines += ["%s %s:" % ("elif" if index else "if", condition)] + _indented(found, 1)
    return ["done = False"] + lines + ["if not done:"] + _indented(_lines(plan, body, needed, uses_line), 1)


def _absent(guards: Iterable[bytes]) -> List[str]:
    return ["data.find(%r, start, end) < 0" % guard for guard in guards]


def _candidates(body: Body, needed: List[str], uses_line: bool, bulk: Optional[Bulk]) -> List[str]:
    lines = ["at, hits, find = start, 0, FINDER(data, start, end)", "while True:"]
    lines += ["    at = find(data, LITERAL, at, end)", "    if at < 0:"]
    lines += ["        break", "    hits += 1", "    begin = data.rfind(b'\\n', start, at) + 1 or start"]
    lines += ["    at = data.find(b'\\n', at)"]
    cut_out = ["line = data[begin:at]"] + _STRIP
    if not (bulk and needed):
        return lines + _indented(cut_out + _one(body, needed, uses_line), 1)
    # The block's own pattern is the faster one, where what it finds is this very line.
    unended = " and data.find(b'\\r', begin, at) < 0" if b"\r" in bulk.guards else ""
    lines += [
        "    found = ROW(data, begin, end)",
        "    if found is not None and found.end() == at + 1%s:" % unended,
    ]
    row = ", ".join(body.variable(name) for name in bulk.order) + ", = found.groups(b'')"
    lines += ["        " + row, "    else:"] + _indented(cut_out + _parsed(body, needed, uses_line), 2)
    return lines + _indented(body.one(), 1)


def _lines(plan: Plan, body: Body, needed: List[str], uses_line: bool) -> List[str]:
    if plan.format.start is None:
        lines = ["for line in data[start:end - 1].split(b'\\n'):"]
    else:
        lines = [
            "cuts = [found.start() for found in START(data, start, end)]",
            "if not cuts or cuts[0] > start:",
            "    cuts.insert(0, start)",
        ]
        lines += [
            "cuts.append(end)",
            "for begin, stop in zip(cuts, cuts[1:]):",
            "    line = data[begin:stop - 1]",
        ]
    return (
        lines
        + ["    if line[-1:] == b'\\r':", "        line = line[:-1]"]
        + _indented(_one(body, needed, uses_line), 1)
    )


def _one(body: Body, needed: List[str], uses_line: bool) -> List[str]:
    """One record's row into the body."""
    return _parsed(body, needed, uses_line) + body.one()


def _parsed(body: Body, needed: List[str], uses_line: bool) -> List[str]:
    lines = []  # type: List[str]
    if needed:
        lines += ["row = PARSE(line)", "if row is None:", "    odd += 1", "    SEEN.sample(line)", "    continue"]
        lines += [", ".join(body.variable(name) for name in needed) + ", = row"] + body.cut()
    return lines + ([body.variable(LINE) + " = line"] if uses_line else [])


def _indented(lines: List[str], depth: int) -> List[str]:
    return ["    " * depth + line for line in lines]
