"""The payload: small, complete, compilable by whoever must, and the same code as at home."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shlex
import sys
import types
import zlib
from typing import Any

import pytest

import provider.runner
from provider import ship
from provider.runner import boot, hints


def shipped() -> dict[str, tuple[bool, str]]:
    """The modules in the payload, by running its head without its entry."""
    source = zlib.decompress(ship.payload()).decode()
    call = ast.parse(source).body[-1]
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    found: dict[str, tuple[bool, str]] = ast.literal_eval(call.value.args[0])
    return found


def test_the_payload_keeps_its_budget() -> None:
    """It is below it, and the size is printed by the module itself."""
    assert len(ship.payload()) <= ship.BUDGET_BYTES
    assert ship.main() == 0


def test_all_of_the_runner_travels() -> None:
    """Each module of the runner and nothing else, packages as packages; what few jobs need comes with those."""
    modules = {name for _, name, _ in pkgutil.walk_packages(provider.runner.__path__, "provider.runner.")}
    core = modules - {"provider.runner.boot"} - ship.WITH_JOBS - ship.WITH_PLANS
    assert set(shipped()) == core | {"provider", "provider.runner"}
    assert set(ship.job_modules()) == ship.WITH_JOBS <= modules
    assert set(ship.plan_modules()) == ship.WITH_PLANS <= modules
    assert shipped()["provider.runner.aggregates"][0] is True


@pytest.mark.parametrize("name", sorted({*shipped(), *ship.WITH_PLANS, *ship.WITH_JOBS}))
def test_stripping_changes_no_code(name: str) -> None:
    """Without comments, docstrings and types a module is the same code, each statement on its line."""
    path = importlib.import_module(name).__file__
    assert path is not None
    with open(path, encoding="utf-8") as file:
        original = ast.parse(file.read())
    travelling = ast.parse({**ship.plan_modules(), **ship.job_modules()}.get(name) or shipped()[name][1])
    lines = [[node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)] for tree in (original, travelling)]
    assert lines[0] == lines[1]
    assert ast.dump(_Bare().visit(original)) == ast.dump(_Bare().visit(travelling))


class _Bare(ast.NodeTransformer):
    """A tree without docstrings and without types that nobody asks for when it runs."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._undocumented(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._undocumented(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._undocumented(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None or not isinstance(node.target, ast.Attribute):
            return node
        return self.generic_visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module == "provider.runner.hints":
            node.module = "typing"
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        if node.names[0].name == "_signal":
            node.names = [ast.alias("signal")]
        return node

    def _undocumented(self, node: ast.Module | ast.ClassDef | ast.FunctionDef) -> ast.AST:
        if ast.get_docstring(node) is not None:
            node.body[0] = ast.copy_location(ast.Pass(), node.body[0])
        return self.generic_visit(node)


def test_types_stay_at_home() -> None:
    """They cost a host a part of what it compiles before its first answer: next to none of them travel."""
    left = 0
    for _, source in shipped().values():
        functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
        left += sum(node.returns is not None for node in functions)
        left += sum(each.annotation is not None for node in functions for each in node.args.args)
        assert not re.search(r"^(import|from) (typing|signal)\b", source, re.MULTILINE)
    assert left < 5


def test_no_class_is_made_of_a_hint() -> None:
    """What stands for typing in what travels has no classes but one to derive from."""
    for name, (_, source) in ship._modules().items():
        for node in ast.walk(ast.parse(source)):
            bases = [ast.unparse(base).partition("[")[0] for base in getattr(node, "bases", ())]
            assert not set(bases) & (set(dir(hints)) - {"NamedTuple"}), name


@pytest.mark.parametrize("later", [False, True], ids=["at once", "when asked"])
def test_a_named_tuple_without_typing_is_one(later: bool) -> None:
    """Fields, defaults, methods and what is missing, also where annotations are made when they are asked for."""
    body: dict[str, object] = {"__module__": "m", "__doc__": "text", "twice": lambda self: self.a * 2, "b": 3}
    annotations = {"a": int, "b": int}
    body.update({"__annotate_func__": lambda _form: annotations} if later else {"__annotations__": annotations})
    fields: Any = type(hints.NamedTuple)
    made = fields("Made", (hints.NamedTuple,), body)
    assert (made(1), made(1).b, made(1, 2).twice()) == ((1, 3), 3, 2)
    assert (made.__doc__, made.__module__, made._fields) == ("text", "m", ("a", "b"))
    assert repr(made(1)) == "Made(a=1, b=3)"
    with pytest.raises(TypeError, match="'a'"):
        made()


def test_old_pythons_can_read_the_head() -> None:
    """The head compiles by Python 3.4's grammar, up to the point where it says that this is too old."""
    head = zlib.decompress(ship.payload()).decode()
    ast.parse(head, feature_version=(3, 4))
    assert "f'" not in head.partition("\nboot(")[0]


@pytest.mark.parametrize("version", [(3, 4), (3, 5)])
def test_too_old_is_said_and_recognised(
    version: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the head prints on an old Python is what `too_old` knows."""
    monkeypatch.setattr(sys, "version_info", (*version, 2, "final", 0))
    with pytest.raises(SystemExit) as stopped:
        boot.boot({}, "provider.runner.main", "")
    assert stopped.value.code == boot.TOO_OLD_STATUS
    said = ship.too_old(capsys.readouterr().err.encode())
    assert said == f"its python3 is Python {version[0]}.{version[1]}, and 3.6 or newer is needed"
    assert ship.too_old(b"python3: command not found") is None


def test_the_commands_are_what_shells_and_loaders_take() -> None:
    """One line of Python, one string for a shell that takes its place, both for any interpreter's path."""
    assert "\n" not in ship.loader(7)
    assert "'" not in ship.loader(7)
    assert shlex.split(ship.remote_command("/opt/my python")) == ["exec", *ship.argv("/opt/my python")]
    assert ship.argv()[-1] == ship.loader(len(ship.payload()))


def test_modules_are_imported_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The importer makes packages and modules, compiles at first import, and shows its source to tracebacks."""
    sources = {"lr_a": (True, ""), "lr_a.b": (False, "x = 1\ndef run():\n    raise LookupError\n")}
    importer = boot.Importer(sources)
    monkeypatch.setattr(sys, "meta_path", [importer, *sys.meta_path])
    for name in sources:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        del sys.modules[name]
    module = importlib.import_module("lr_a.b")
    loader: object = module.__loader__
    assert loader is importer
    assert (module.x, importer.get_source("lr_a.b")) == (1, sources["lr_a.b"][1])
    with pytest.raises(LookupError) as raised:
        module.run()
    assert str(raised.traceback[-1].path) == "logreduce:/lr_a/b.py" or "logreduce:" in str(raised.traceback[-1].path)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("lr_a.c")
