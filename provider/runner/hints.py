"""What stands for `typing` on a provider: importing that one costs 10 ms of a host's CPU before it can say hello.

Knows the names that the runner's annotations use. `provider.ship` puts it in place of `typing` in what travels, and
takes most annotations away; what is left of them is looked up here, at next to no cost. Nobody imports it at home.
"""

from collections import namedtuple

TYPE_CHECKING = False


class _Hint:
    """Any of typing's names, with any arguments."""

    def __getitem__(self, _arguments):  # type: ignore[no-untyped-def]
        return self


Any = Callable = Deque = Dict = FrozenSet = Iterable = Iterator = List = Match = Optional = _Hint()
Pattern = Sequence = Set = Tuple = Union = Any


class _Fields(type):
    """Makes a class with annotated fields a named tuple with the class's methods, as `typing.NamedTuple` does."""

    def __new__(cls, name, bases, body):  # type: ignore[no-untyped-def]
        if not bases:
            return type.__new__(cls, name, bases, body)
        later = body.pop("__annotate_func__", None)  # Python 3.14 asks a function for them
        fields = list(later(1) if later is not None else body.pop("__annotations__", ()))
        made = namedtuple(name, fields)  # type: ignore[misc]
        # Not namedtuple's own `defaults`: Python 3.6 has none.
        made.__new__.__defaults__ = tuple(body.pop(field) for field in fields if field in body)
        for key, value in body.items():
            setattr(made, key, value)
        return made


class NamedTuple(metaclass=_Fields):
    """A tuple whose fields are the annotations of a class that derives from this one."""
