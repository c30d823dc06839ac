"""What a query says that it needs beyond reading logs, held against what this host has.

Knows commands and Python's modules. Nothing here grants or withholds: without a policy of the host's owner all is
granted that is there.
"""

from typing import List

from provider.runner.faults import Failure, Fault
from provider.runner.host import which


def check(needs: List[str]) -> None:
    """Looks for each command and module.

    Raises:
        Failure: ``refused``, naming the first that is not there.
    """
    modules = [need[7:] for need in needs if need.startswith("module:")]
    if modules:
        # The runner itself starts without what was installed beside the standard library.
        import site

        site.main()
    for need in needs:
        kind, _, name = need.partition(":")
        if (kind == "exec" and which(name) is None) or (kind == "module" and not _importable(name)):
            what = "command" if kind == "exec" else "Python module"
            text = "the query needs the %s %s, which is not on this provider" % (what, name)
            raise Failure(Fault("missing", text, state="refused"))


def _importable(name: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
