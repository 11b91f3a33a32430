"""Pure. Records: classes that are their fields, as dataclasses are, made without generated source.

A dataclass writes its methods as source text and compiles each of them: half a millisecond a class,
39 of the 147 milliseconds of a copy that has nothing to do, and 6 more to load `inspect`. Here the
methods are closures over the fields: some microseconds a class, and an instance is made as fast as
that of a frozen dataclass. `dataclass_transform` lets type checkers treat both alike.

    @frozen   cannot be changed; equal and hashed by its fields; made by keywords
    @compact  frozen, with slots, made by position: for objects that a file has by the thousand
    @mutable  can be changed; equal by its fields, not hashable; made by keywords

Other features of dataclasses are not supported: `__post_init__`, `ClassVar`, `InitVar`, order,
subclasses of a frozen record that are not records, `super()` in methods of a compact one, and
`asdict` inside of lists and maps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    # only under this name does mypy check the arguments of `replace` against the record's fields
    from dataclasses import replace
else:

    def replace(record: T, /, **changes: Any) -> T:
        """A record of the same class with other values in some fields."""
        values = {each.name: getattr(record, each.name) for each in fields(record)}
        return type(record)(**{**values, **changes})


__all__ = ["Field", "asdict", "compact", "field", "fields", "frozen", "mutable", "replace"]

T = TypeVar("T")
_UNSET: Any = object()


class Field:
    """A field: its name, its default or the factory of one, and whether `repr` and `==` read it."""

    name = ""

    def __init__(
        self,
        *,
        default: Any = _UNSET,
        default_factory: Any = _UNSET,
        repr: bool = True,  # noqa: A002 - dataclasses name it so
        compare: bool = True,
    ) -> None:
        self.default, self.default_factory = default, default_factory
        self.repr, self.compare = repr, compare


@overload
def field(*, default: T, repr: bool = True, compare: bool = True) -> T: ...
@overload
def field(*, default_factory: Callable[[], T], repr: bool = True, compare: bool = True) -> T: ...
@overload
def field(*, repr: bool = True, compare: bool = True) -> Any: ...
def field(**options: Any) -> Any:
    """The value that a class assigns to a field with more than a default: options of Field."""
    return Field(**options)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a record of `cls` that cannot be changed."""
    _declare(cls)
    return _equip(cls, _init_by_keywords(cls), frozen=True)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def compact(cls: type[T]) -> type[T]:
    """Make a frozen record with slots to replace `cls`; an existing class cannot get slots."""
    names = tuple(_declare(cls))
    left_out = {"__dict__", "__weakref__", *names}
    body = {name: value for name, value in vars(cls).items() if name not in left_out}
    body |= {"__slots__": names, "__qualname__": cls.__qualname__}
    # so that instances can be copied, pickled, and matched by position
    values_of = _getter(names)
    body |= {"__reduce__": lambda self: (type(self), values_of(self)), "__match_args__": names}
    slotted: type[T] = type(cls.__name__, cls.__bases__, body)
    return _equip(slotted, _init_by_position(slotted), frozen=True)


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
def mutable(cls: type[T]) -> type[T]:
    """Make a record of `cls` that can be changed."""
    _declare(cls)
    return _equip(cls, _init_by_keywords(cls), frozen=False)


def fields(record: object) -> tuple[Field, ...]:
    """The fields of a record, or of a class of records, in their order."""
    return tuple(record.__fields__.values())  # type: ignore[attr-defined]


def asdict(record: object) -> dict[str, Any]:
    """The values of the fields by name; for a value that is a record, those of its fields."""
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    return {
        name: asdict(value) if hasattr(value, "__fields__") else value
        for name, value in values.items()
    }


def _declare(cls: Any) -> dict[str, Field]:
    """Put the fields that a class and its bases annotate into its `__fields__`."""
    declared: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        declared |= vars(base).get("__fields__", {})
    for name in cls.__annotations__:
        value = vars(cls).get(name, _UNSET)
        if not isinstance(value, Field):
            value = Field(default=value)
        elif value.default is _UNSET:
            delattr(cls, name)
        else:
            setattr(cls, name, value.default)
        if isinstance(value.default, list | dict | set):
            raise TypeError(f"all of {cls.__qualname__} would share the default of {name}")
        if value.name:
            raise TypeError(
                f"the field {value.name} of {cls.__qualname__} cannot be {name} as well"
            )
        value.name = name
        declared[name] = value
    cls.__fields__ = declared
    return declared


def _init_by_keywords(cls: Any) -> Callable[..., None]:
    names, complete = cls.__fields__.keys(), _completer(cls)

    def init(self: object, /, **values: Any) -> None:
        vars(self).update(values if values.keys() == names else complete(values))

    return init


def _init_by_position(cls: Any) -> Callable[..., None]:
    names, complete = tuple(cls.__fields__), _completer(cls)
    setters = [vars(cls)[name].__set__ for name in names]

    def init(self: object, /, *values: Any, **named: Any) -> None:
        if named or len(values) != len(names):
            if len(values) > len(names) or named.keys() & names[: len(values)]:
                raise TypeError(
                    f"{cls.__qualname__}() got a field twice, or more values than fields"
                )
            given = complete({**dict(zip(names, values, strict=False)), **named})
            values = tuple(given[name] for name in names)
        for setter, value in zip(setters, values, strict=True):
            setter(self, value)

    return init


def _completer(cls: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A function that adds defaults to given values; TypeError: a field is missing or unknown."""
    names = cls.__fields__.keys()
    defaults = {each.name: each.default for each in fields(cls) if each.default is not _UNSET}
    factories = {
        each.name: each.default_factory
        for each in fields(cls)
        if each.default_factory is not _UNSET
    }

    def complete(given: Mapping[str, Any]) -> dict[str, Any]:
        made = {name: make() for name, make in factories.items() if name not in given}
        values = {**defaults, **made, **given}
        if values.keys() != names:
            wrong = [f"has no field {name!r}" for name in values if name not in names]
            wrong += [f"misses its field {name!r}" for name in names if name not in values]
            raise TypeError(f"{cls.__qualname__}() {' and '.join(wrong)}")
        return values

    return complete


def _equip(cls: type[T], init: Callable[..., None], *, frozen: bool) -> type[T]:
    """Give a class the methods of a record, except for those that it defines itself."""
    compared = _getter([each.name for each in fields(cls) if each.compare])

    def equal(self: object, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compared(self) == compared(other)

    def hashed(self: object) -> int:
        return hash(compared(self))

    init.__qualname__ = f"{cls.__qualname__}.__init__"  # calls with wrong arguments show it
    methods: dict[str, Any] = {
        "__init__": init,
        "__repr__": _shown,
        "__eq__": equal,
        "__hash__": None,
    }
    if frozen:
        methods |= {"__hash__": hashed, "__setattr__": _refuse, "__delattr__": _refuse}
    for name in methods.keys() - vars(cls).keys():
        setattr(cls, name, methods[name])
    return cls


def _getter(names: Sequence[str]) -> Callable[[object], Any]:
    """A function that gives the values of these attributes as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda record: tuple(getattr(record, name) for name in names)


@recursive_repr()
def _shown(self: object) -> str:
    shown = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: object, name: str, *_value: object) -> NoReturn:
    raise AttributeError(f"{type(self).__qualname__} is frozen: its {name!r} cannot be changed")
