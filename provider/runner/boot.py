"""The first lines that run on a provider: modules that are imported out of memory.

Knows nothing of what the runner does. It stands in plain text at the head of the payload, and Python 2.7 and 3.5 must
be able to compile it, so that they can say that they are too old; hence the types in comments and no newer syntax.

No importlib.abc and no importlib.util: they cost a provider 24 ms of CPU at each start. A module is compiled when
it is first imported, and its source stays here, so that a traceback shows the line (linecache asks `get_source`).
"""

import sys

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional, Tuple  # noqa: F401 - for the comments below

#: The oldest Python that can import the rest.
OLDEST = (3, 6)
#: What an older one says on stderr; `provider.ship.too_old` recognises it.
TOO_OLD = "logreduce: Python %d.%d is too old, %d.%d or newer is needed\n"
TOO_OLD_STATUS = 76


class Importer:
    """Finds and loads what the payload holds: names to (is a package, source text)."""

    def __init__(self, modules):
        # type: (Dict[str, Tuple[bool, str]]) -> None
        self._modules = modules

    def add(self, modules):
        # type: (Dict[str, str]) -> None
        """More modules, none of them a package; those that are there already stay as they are."""
        for name in modules:
            self._modules.setdefault(name, (False, modules[name]))

    def find_spec(self, name, path=None, target=None):
        # type: (str, Any, Any) -> Any
        """The module's spec, None for a module that is not ours."""
        if name not in self._modules:
            return None
        from _frozen_importlib import ModuleSpec

        return ModuleSpec(name, self, origin=self.filename(name), is_package=self._modules[name][0])  # type: ignore[arg-type]

    def create_module(self, spec):
        # type: (Any) -> None
        """The usual kind of module."""

    def exec_module(self, module):
        # type: (Any) -> None
        """Compiles and runs a module."""
        code = compile(self._modules[module.__name__][1], self.filename(module.__name__), "exec", 0, True)
        exec(code, module.__dict__)

    def get_source(self, name):
        # type: (str) -> Optional[str]
        """A module's text, for tracebacks."""
        return self._modules[name][1]

    @staticmethod
    def filename(name):
        # type: (str) -> str
        """The name under which a module's lines appear in tracebacks. No file of the host can have it."""
        return "logreduce:/" + name.replace(".", "/") + ".py"


def boot(modules, entry, build):
    # type: (Dict[str, Tuple[bool, str]], str, str) -> None
    """Makes `modules` importable and runs ``run(build)`` of the one named `entry`."""
    if sys.version_info[:2] < OLDEST:
        sys.stderr.write(TOO_OLD % (sys.version_info[:2] + OLDEST))
        sys.exit(TOO_OLD_STATUS)
    # Nothing is written on the host, not even what Python keeps of its own modules.
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Importer(modules))
    __import__(entry)
    sys.modules[entry].run(build)
