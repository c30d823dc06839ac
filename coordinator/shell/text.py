"""The sh text that a provider of level `shell` is sent: what keeps a link, and what runs one script.

Knows POSIX sh, quoted. Does no I/O, and does not know frames or values.

How a text gets there
---------------------
What is run is `argv`: a shell that reads so many bytes of its stdin and evaluates them. Everything else is in these
bytes, so nothing of a query is ever an argument that `ps` shows, and nothing is written on the host. Then home says
nothing more until the text has said that it goes (its token alone on a line, on stdout), since `head` may read ahead.

What a text does
----------------
It is the leader of a process group, and three things stand beside its script: a *feed* that gives it its lines, a
*watch* that reads home's words, and a *clock*. Home's words are lines: ``b`` is a beat, ``q`` ends the feed, ``t``
asks the script to end. The end of stdin, or `lease_s` seconds on the clock without a beat, kill everything: first all
processes that have the job's mark in their environment, also those that left the group, where there is a /proc to find
them by; then the group, and with it the text itself.

What it has to say stands on stderr, in lines that begin with the token: ``code sentence`` (see `Said`).

A script reads its own text from a pipe, as ``/dev/fd/3``: no here-document, which some shells keep in a file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from backplane.wire import limits
from provider.runner.orders import Limits

#: Names that every shell takes for a variable's. Others cannot be given to a script.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MAGIC: Final = re.compile(r"([*?]|\[!?[\w.-]+\])", re.ASCII)

#: $lr_mark, $lr_token and $lr_lease are set before. Descriptor 7 is home's words.
_BEGIN: Final = r"""
exec 7<&0 </dev/null
lr_say() { printf '\n%s %s\n' "$lr_token" "$*" >&2; }
lr_signal() {
  lr_found=$(grep -ls "LOGREDUCE_JOB=$lr_mark" /proc/[0-9]*/environ 2>/dev/null)
  for lr_pid in $lr_found; do lr_pid=${lr_pid#/proc/}; kill "$1" "${lr_pid%/environ}" 2>/dev/null; done
  [ -n "$lr_found" ]
}
lr_end() {
  for lr_round in 1 2 3 4 5; do lr_signal -9 || break; done
  kill -9 0
}
# Ignored until the clock has its trap, so that an early beat does not kill it.
trap '' USR1
(
  trap 'lr_ticks=0' USR1
  lr_ticks=0
  while [ "$lr_ticks" -lt "$lr_lease" ]; do sleep 1; lr_ticks=$((lr_ticks + 1)); done
  lr_end
) 7<&- >/dev/null 2>&1 &
lr_clock=$!
trap - USR1
"""

_KEEP: Final = r"""
printf '%s\n' "$lr_token"
printf '%s\n' "$(id -u) $$ $(date +%s) $(uname -n)"
while read -r lr_line <&7; do
  kill -USR1 "$lr_clock" || break
  printf '%s\n' "$lr_line"
done
lr_end
"""

#: Each function is given what it looks for; the text ends where it is not there.
_LOOK: Final = r"""
lr_bad() { lr_say "$@"; lr_end; }
lr_need() { command -v "$1" >/dev/null 2>&1 || lr_bad need "$1"; }
lr_find() {
  lr_program=$1
  [ -f "$1" ] && [ -x "$1" ] && return
  lr_program=$(command -v "${1##*/}" 2>/dev/null) || lr_bad interpreter "$1"
}
lr_wrong=
lr_look() {
  if [ -d "$1" ]; then lr_text="unreadable cannot read $1: Is a directory"
  elif [ ! -e "$1" ]; then lr_text="missing there is no $1"
  elif [ ! -r "$1" ]; then lr_text="unreadable cannot read $1: Permission denied"
  else return 0
  fi
  lr_wrong=${lr_wrong:-$lr_text}
  return 1
}
[ -e /dev/fd/0 ] || lr_bad devfd
case $(command -v printf) in
  /*) lr_put() { print -rn -- "$1"; } ;;
  *) lr_put() { printf %s "$1"; } ;;
esac
lr_nice=
command -v nice >/dev/null 2>&1 && lr_nice='nice -n 19'
"""

#: One path more in "$@", if it can be read and is not there yet; $lr_path is the path.
_ADD: Final = r"""
  if lr_look "$lr_path"; then
    for lr_have do [ "$lr_have" = "$lr_path" ] && lr_path=; done
    [ -z "$lr_path" ] || set -- "$@" "$lr_path"
  fi
"""

_RUN: Final = r"""
printf '%s\n' "$lr_token"
{
  [ -z "$lr_feeds" ] || { lr_feed "$@" 7<&- & lr_feeder=$!; }
  exec >/dev/null
  while read -r lr_line <&7; do
    case $lr_line in
      b) kill -USR1 "$lr_clock" || break ;;
      q) [ -z "$lr_feeds" ] || kill "$lr_feeder" 2>/dev/null ;;
      t) lr_signal -15 ;;
    esac
  done
  lr_end
} | {
  exec 4<&0 7<&-
  # What a shell itself says of a script that was killed is no word of the script's.
  { lr_put "$lr_script" | lr_run 2>&5 5>&-; } 5>&2 2>/dev/null
  lr_say exit "$?"
  lr_end
}
"""

#: A file is read to the size that it has when it is opened, and its last line is ended where it lacks its end.
_FILES: Final = r"""
lr_size() { set -f; set -- $(ls -lnLd -- "$1" 2>/dev/null); set +f; lr_bytes=${5:-0}; }
lr_feed() {
  lr_stop= lr_all=0
  trap 'lr_stop=1' TERM
  for lr_path do
    [ -z "$lr_stop" ] || break
    lr_size "$lr_path"
    case $lr_bytes in
      0 | *[!0-9]*) cat <"$lr_path" ;;
      *)
        head -c "$lr_bytes" <"$lr_path" &&
          { [ "$(tail -c "+$lr_bytes" <"$lr_path" | head -c 1 | wc -l)" -gt 0 ] || echo; }
        ;;
    esac || lr_say unreadable "cannot read $lr_path to its end"
    case $lr_bytes in *[!0-9]*) ;; *) lr_all=$((lr_all + lr_bytes)) ;; esac
  done
  lr_say bytes "$lr_all"
}
"""

#: What goes on until it is asked to end: `lr_go` is it, its child is $lr_child.
_ENDLESS: Final = r"""
lr_feed() {
  lr_stop=
  trap 'lr_stop=1; kill "$lr_child" 2>/dev/null' TERM
  lr_go "$@"
  lr_status=$?
  [ -n "$lr_stop" ] || [ "$lr_status" = 0 ] || lr_say feed "$lr_status"
}
"""
_FOLLOW: Final = r"""
lr_go() {
  for lr_path do
    shift
    case $lr_path in -*) lr_path=./$lr_path ;; esac
    set -- "$@" "$lr_path"
  done
  tail -q -n 0 -F "$@" & lr_child=$!
  wait "$lr_child"
}
"""
_TICK: Final = r"""
lr_go() {
  while [ -z "$lr_stop" ]; do
    date +%s
    sleep {seconds} >/dev/null & lr_child=$!
    wait "$lr_child"
  done
}
"""
_COMMAND: Final = r"""
lr_go() {
  LOGREDUCE_JOB=$lr_mark $lr_nice sh -c {command} & lr_child=$!
  wait "$lr_child"
}
"""


class Tokens(NamedTuple):
    """Words that nobody else can know or has."""

    #: Begins the lines that are the text's own.
    token: str
    #: Is in the environment of every process of the job.
    mark: str


@dataclass(frozen=True, slots=True)
class Task:
    """One script and what it reads.

    Attributes:
        argv: its interpreter and arguments.
        script: its text.
        environ: its variables.
        limits: what it may take; processes are not counted at this level.
        sources: files, globs, or one of ``cmd:`` and ``tick:``; none gives the end of file at once.
        follow: begin at the end of the files, and go on there.
        one_is_enough: one source that can be read will do.
        tick_s: the rhythm of a ``tick:``.
        needs: commands without which nothing runs.
        prints: what it writes to stdout is for people, as stderr is.
    """

    argv: Sequence[str]
    script: str
    environ: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    sources: Sequence[str] = ()
    follow: bool = False
    one_is_enough: bool = False
    tick_s: float = 0.0
    needs: Sequence[str] = ()
    prints: bool = False


def argv(text: bytes) -> list[str]:
    """The command that waits for a text."""
    return ["sh", "-c", f'eval "$(head -c {len(text)})"']


def keeper(tokens: Tokens, lease_s: float = limits.LEASE_S) -> bytes:
    """Keeps a link: says ``uid pid time host``, then each of home's lines again."""
    return _encoded(_head(tokens, lease_s) + _BEGIN + _KEEP)


def runs(task: Task, tokens: Tokens, lease_s: float = limits.LEASE_S) -> bytes:
    """Runs a script.

    Raises:
        ValueError: something in it cannot be said to a shell.
    """
    parts = [_head(tokens, lease_s), f"lr_script={_quoted(task.script)}\n", _BEGIN, _LOOK]
    parts += [f"lr_need {_quoted(name)}\n" for name in task.needs]
    parts += [f"lr_find {_quoted(task.argv[0])}\n", _script(task), _feed(task), _RUN]
    return _encoded("".join(parts))


def _head(tokens: Tokens, lease_s: float) -> str:
    return f"lr_token={tokens.token} lr_mark={tokens.mark} lr_lease={max(1, round(lease_s))}\n"


def _script(task: Task) -> str:
    """The function that becomes the script: its text on stdin, what it reads on 4."""
    names = {name: value for name, value in task.environ.items() if _NAME.match(name)}
    lines = [
        "lr_run() {",
        "  exec 3<&0 <&4 4<&-" + (" >&2" if task.prints else ""),
        f"  ulimit -n {task.limits.files} 2>/dev/null; ulimit -f {task.limits.file_mb * 2048} 2>/dev/null",
        f"  ulimit -v {task.limits.memory_mb * 1024} 2>/dev/null",
        "  export LOGREDUCE_JOB=$lr_mark",
        *(f"  export {name}={_quoted(value)}" for name, value in names.items()),
        f'  exec $lr_nice "$lr_program" {" ".join(map(_quoted, task.argv[1:]))} /dev/fd/3',
        "}\n",
    ]
    return "\n".join(lines)


def _feed(task: Task) -> str:
    if not task.sources:
        return "lr_feeds=\n"
    first = task.sources[0]
    if first.startswith("cmd:"):
        return "lr_feeds=1\n" + _ENDLESS + _COMMAND.replace("{command}", _quoted(first[4:]))
    if first.startswith("tick:"):
        return "lr_feeds=1\n" + _ENDLESS + _TICK.replace("{seconds}", f"{task.tick_s:g}")
    parts = ["set --\n", *map(_look_at, task.sources)]
    enough = '[ "$#" -gt 0 ]' if task.one_is_enough else "false"
    parts.append(f'[ -z "$lr_wrong" ] || {enough} || lr_bad "$lr_wrong"\nlr_feeds=1\n')
    return "".join(parts) + (_ENDLESS + _FOLLOW if task.follow else _FILES)


def _look_at(source: str) -> str:
    """Adds the files of one path or glob to "$@"."""
    path = _path(source)
    if not _MAGIC.search(source):
        return f"lr_path={path}\n{_ADD}"
    # A file that really has such a name is meant itself.
    return f"""
if [ -e {path} ]; then lr_path={path}
{_ADD}
else
lr_any=
for lr_path in {pattern(source)}; do
  [ -e "$lr_path" ] || [ -h "$lr_path" ] || continue
  lr_any=1
{_ADD}
done
[ -n "$lr_any" ] || lr_wrong=${{lr_wrong:-{_quoted("missing no file matches " + source)}}}
fi
"""


def _path(source: str) -> str:
    return '"$HOME"/' + _quoted(source[2:]) if source.startswith("~/") else _quoted(source)


def pattern(source: str) -> str:
    """A path or glob as a word of a shell, which expands it."""
    home, rest = ('"$HOME"/', source[2:]) if source.startswith("~/") else ("", source)
    return home + "".join(part if n % 2 else _quoted(part) if part else "" for n, part in enumerate(_MAGIC.split(rest)))


def _quoted(text: str) -> str:
    return shlex.quote(text)


def _encoded(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError("a shell cannot be told a text with a NUL in it")
    return data
