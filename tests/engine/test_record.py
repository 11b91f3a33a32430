"""Records behave as dataclasses do: both are made and compared."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.record import asdict, compact, field, fields, frozen, mutable, replace

PAIRS = [
    pytest.param(frozen, dataclasses.dataclass(frozen=True, kw_only=True), id="frozen"),
    pytest.param(compact, dataclasses.dataclass(frozen=True, slots=True), id="compact"),
    pytest.param(mutable, dataclasses.dataclass(kw_only=True), id="mutable"),
]
NAMES = ("first", "second", "third", "fourth")
KINDS = ("required", "default", "factory", "hidden", "ignored", "field")
NAME = st.sampled_from(NAMES)
VALUES = st.integers(0, 2) | st.sampled_from(["", "a"]) | st.none()

Shape = tuple[tuple[str, str], ...]
"""The fields of a class: its name and its kind each."""


def shapes() -> st.SearchStrategy[Shape]:
    """Up to four fields; those without a default come first, as a call by position needs it."""
    kinds = st.lists(st.sampled_from(KINDS), max_size=len(NAMES))
    return kinds.map(
        lambda found: tuple(
            zip(
                NAMES,
                sorted(found, key=lambda kind: kind not in ("required", "field")),
                strict=False,
            )
        )
    )


def made(shape: Shape, decorate: Callable[[type], type], make_field: Callable[..., Any]) -> type:
    """A class of that shape, made by either library."""
    body: dict[str, Any] = {
        "__annotations__": {name: "object" for name, _ in shape},
        "__module__": __name__,
        "__qualname__": "Case",
    }
    for name, kind in shape:
        match kind:
            case "default":
                body[name] = name
            case "factory":
                body[name] = make_field(default_factory=list)
            case "hidden":
                body[name] = make_field(default="secret", repr=False)
            case "ignored":
                body[name] = make_field(default=1, compare=False)
            case "field":
                body[name] = make_field()
    return decorate(type("Case", (), body))


def outcome(act: Callable[..., Any], *positional: Any, **named: Any) -> Any:
    """The value of a call, or the type of its error.

    The error that a frozen dataclass raises is a subclass of AttributeError.
    """
    try:
        return act(*positional, **named)
    except (AttributeError, TypeError) as fault:
        return TypeError if isinstance(fault, TypeError) else AttributeError


CALLS = st.tuples(
    st.lists(VALUES, max_size=5), st.dictionaries(st.sampled_from([*NAMES, "other"]), VALUES)
)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@given(shape=shapes(), calls=st.lists(CALLS, max_size=3), changes=st.dictionaries(NAME, VALUES))
def test_a_record_does_what_a_dataclass_does(
    ours: Any, theirs: Any, shape: Shape, calls: list[Any], changes: dict[str, object]
) -> None:
    record, model = made(shape, ours, field), made(shape, theirs, dataclasses.field)
    names = [name for name, _ in shape]
    assert [each.name for each in fields(record)] == names
    calls.append(([], dict.fromkeys(names, 1)))
    mine = [outcome(record, *positional, **named) for positional, named in calls]
    its = [outcome(model, *positional, **named) for positional, named in calls]
    assert list(map(repr, mine)) == list(map(repr, its))
    assert [one == other for one in mine for other in mine] == [
        one == other for one in its for other in its
    ]
    for one, other in zip(mine, its, strict=True):
        if one is TypeError:
            continue
        assert asdict(one) == dataclasses.asdict(other)
        assert outcome(hash, one) == outcome(hash, other)
        changed = outcome(replace, one, **changes)
        assert repr(changed) == repr(outcome(dataclasses.replace, other, **changes))
        for name in names:
            assert outcome(setattr, one, name, 2) == outcome(setattr, other, name, 2)
        assert repr(one) == repr(other)
        for name in names:
            assert outcome(delattr, one, name) == outcome(delattr, other, name)


@frozen
class Login:
    """A record with a secret."""

    user: str
    password: str = field(repr=False)


@frozen
class Route:
    """A record in a record, with a value that is worked out once."""

    host: str
    login: Login | None = None
    seen: list[str] = field(default_factory=list, compare=False)

    @cached_property
    def length(self) -> int:
        """How long the host's name is."""
        self.seen.append(self.host)
        return len(self.host)


@frozen
class Detour(Route):
    """A record with the fields of another and its own."""

    port: int = 443


@compact
class Mark:
    """A record in slots."""

    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@mutable
class Count:
    """A record that counts."""

    requests: int = 0


def test_a_hidden_field_is_shown_nowhere_in_a_representation() -> None:
    route = Route(host="h", login=Login(user="u", password="s3cret"))
    assert repr(route) == "Route(host='h', login=Login(user='u'), seen=[])"
    assert "s3cret" not in f"{route} {[route]} {replace(route, host='i')!r}"


def test_a_record_has_the_fields_of_its_bases_first() -> None:
    detour = Detour(host="h")
    assert [each.name for each in fields(Detour)] == ["host", "login", "seen", "port"]
    assert detour == Detour(host="h", port=443, seen=["other"])
    assert detour != Route(host="h")
    assert replace(detour, port=1).port == 1
    assert asdict(Detour(host="h", login=Login(user="u", password="p")))["login"] == {
        "user": "u",
        "password": "p",
    }


def test_a_factory_makes_a_value_for_each_record() -> None:
    assert Route(host="h").seen is not Route(host="h").seen
    with pytest.raises(TypeError, match=r"all of .*Shared would share the default of names"):

        @frozen
        class Shared:
            names: list[str] = []  # noqa: RUF012


def test_a_frozen_record_still_keeps_what_it_has_worked_out() -> None:
    route = Route(host="host")
    assert (route.length, route.length, route.seen) == (4, 4, ["host"])


def test_a_compact_record_has_slots_and_its_own_methods() -> None:
    mark = Mark(3)
    assert str(mark) == "3:1"
    assert repr(mark) == "Mark(line=3, column=1)"
    assert not hasattr(mark, "__dict__")
    assert Mark.__module__ == __name__
    assert {mark: 1}[Mark(3, column=1)] == 1


def test_a_mutable_record_can_be_changed() -> None:
    count = Count()
    count.requests += 1
    assert count == Count(requests=1)
    assert count != Count()


def test_a_record_that_holds_itself_has_a_representation() -> None:
    route = Route(host="h")
    route.seen.append(route)  # type: ignore[arg-type]
    assert repr(route) == "Route(host='h', login=None, seen=[...])"


def test_a_wrong_call_names_its_fault_and_mypy_finds_it() -> None:
    # `make lint` fails for each comment below that turns mypy off if mypy has no complaint there
    with pytest.raises(TypeError, match=r"Login\(\) misses its field 'password'"):
        Login(user="u")  # type: ignore[call-arg]
    with pytest.raises(
        TypeError, match=r"Login\(\) has no field 'name' and misses its field 'user'"
    ):
        Login(name="u", password="p")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Login.__init__\(\) takes 1 positional argument"):
        Login("u", password="p")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Mark\(\) got a field twice, or more values than fields"):
        Mark(1, line=1)  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"Route\(\) has no field 'port'"):
        replace(Route(host="h"), port=1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="Mark is frozen: its 'line' cannot be changed"):
        Mark(1).line = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="Route is frozen: its 'host' cannot be changed"):
        Route(host="h").host = "i"  # type: ignore[misc]
    assert Mark("1") != Mark(1)  # type: ignore[arg-type]  # types are for type checkers only


def test_records_load_neither_dataclasses_nor_what_these_load() -> None:
    program = "import sys, towline.record; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "towline.record" in loaded
    assert {"dataclasses", "inspect"} & set(loaded) == set()


def test_a_compact_record_can_be_copied_pickled_and_matched_by_position() -> None:
    mark = Point(1, 2)
    copies = [copy.copy(mark), copy.deepcopy(mark), pickle.loads(pickle.dumps(mark))]
    assert copies == [mark] * 3
    match mark:
        case Point(1, second):
            assert second == 2
        case _:
            pytest.fail("it does not match")


def test_one_field_cannot_stand_for_two() -> None:
    shared = field(default=1)
    body = {"__annotations__": {"a": "int", "b": "int"}, "a": shared, "b": shared}
    with pytest.raises(TypeError, match="the field a of Twice cannot be b as well"):
        frozen(type("Twice", (), body))


@compact
class Point:
    x: int
    y: int
