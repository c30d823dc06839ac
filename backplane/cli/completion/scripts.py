"""What bash, zsh and fish load: each asks `logreduce _complete` at every TAB, and takes its lines as they are.

Knows the three shells' own ways to say what was typed and what may stand there. Everything else is `answer`'s, which
is given the line up to the cursor and gives back lines: ``candidate TAB description``, and first ``:nospace`` where the
word may go on.
"""

from __future__ import annotations

from typing import Final

# COMP_TYPE 63 is the second TAB, which only lists: there the ends of long candidates are enough.
_BASH: Final = """\
_logreduce() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :nospace) compopt -o nospace 2>/dev/null ;;
            *) COMPREPLY+=("${line%%$'\\t'*}") ;;
        esac
    done < <(command logreduce _complete bash "${COMP_LINE:0:COMP_POINT}" "${COMP_TYPE:-9}" \\
        "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -o nosort -F _logreduce logreduce 2>/dev/null || complete -F _logreduce logreduce
"""

_ZSH: Final = """\
#compdef logreduce
_logreduce() {
    local line nospace=
    local -a words_ shown_
    while IFS= read -r line; do
        case $line in
            :nospace) nospace=1 ;;
            *) words_+=("${line%%$'\\t'*}"); shown_+=("${line#*$'\\t'}") ;;
        esac
    done < <(command logreduce _complete zsh "${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX" 2>/dev/null)
    (( $#words_ )) || return 1
    if [[ -n $nospace ]]; then
        compadd -U -Q -S '' -l -d shown_ -a words_
    else
        compadd -U -Q -l -d shown_ -a words_
    fi
}
if [[ $funcstack[1] == _logreduce ]]; then
    _logreduce "$@"
else
    compdef _logreduce logreduce
fi
"""

_FISH: Final = """\
function __logreduce_complete
    command logreduce _complete fish (commandline -cp) 2>/dev/null | string match -v ':*'
end
complete -c logreduce -f -a '(__logreduce_complete)'
"""

SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
