"""The error tree agrees with the drawing in its module and with the contract's fault table."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from towline import errors
from towline.errors import ConfigError, Interrupted, TowlineError, TransportError, placed

CONTRACT = Path(__file__).resolve().parents[2] / "docs" / "contract.md"
_DRAWN = re.compile(r"^( *)(\w+) {2,}(\d+(?:, \d+)*|the)\s+(\w+)")


def below(kind: type[TowlineError]) -> list[type[TowlineError]]:
    return [
        kind,
        *(
            grandchild
            for child in kind.__subclasses__()
            if child.__module__ == errors.__name__
            for grandchild in below(child)
        ),
    ]


def instances() -> list[TowlineError]:
    kinds = [kind for kind in below(TowlineError) if kind is not Interrupted]
    return [
        *(kind("what") for kind in kinds),
        *map(Interrupted, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)),
    ]


def fault_table() -> dict[int, tuple[set[str], set[str]]]:
    """Exit code -> (categories, statuses) as docs/contract.md has them."""
    text = CONTRACT.read_text(encoding="utf-8").partition("## Faults")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| \d", line)
    ]
    return {
        int(code): (_words(category), _words(status))
        for codes, _, category, status, _ in rows
        for code in codes.split(",")
    }


def _words(cell: str) -> set[str]:
    return {word.strip() for word in cell.split(",") if word.strip()}


def drawn() -> dict[str, tuple[str, str, str]]:
    """Name -> (parent, codes, category) as the docstring of errors.py draws them."""
    tree: dict[str, tuple[str, str, str]] = {}
    path: list[str] = []
    drawing = re.search(r"^TowlineError .*\S", errors.__doc__ or "", re.DOTALL | re.MULTILINE)
    assert drawing
    for line in drawing[0].splitlines():
        found = _DRAWN.match(line)
        assert found, line
        indent, name, codes, category = found.groups()
        path[len(indent) // 2 :] = [name]
        tree[name] = (path[-2] if len(path) > 1 else "Exception", codes, category)
    return tree


def test_the_contract_lists_every_exit_code_and_no_other() -> None:
    assert {fault.exit_code for fault in instances()} == fault_table().keys() - {0}


@pytest.mark.parametrize(
    "fault", instances(), ids=lambda fault: f"{type(fault).__name__}-{fault.exit_code}"
)
def test_category_and_status_are_those_of_the_contract(fault: TowlineError) -> None:
    categories, statuses = fault_table()[fault.exit_code]
    assert fault.category in categories
    assert {fault.status} == statuses


def test_every_category_of_the_contract_is_used() -> None:
    used = {(fault.exit_code, fault.category) for fault in instances()}
    assert used == {
        (code, category)
        for code, (categories, _) in fault_table().items()
        for category in categories
    }


def test_the_drawing_shows_every_class_below_its_parent_with_code_and_category() -> None:
    codes = {
        kind: "129, 130, 143" if kind is Interrupted else str(kind.exit_code)
        for kind in below(TowlineError)
    }
    real = {
        kind.__name__: (kind.__mro__[1].__name__, code, kind.category)
        for kind, code in codes.items()
    }
    shown = drawn()
    assert shown.pop("TransportError")[0] == TransportError.__mro__[1].__name__ == "Exception"
    assert shown == real


def test_only_a_newer_deployment_lets_the_build_go_on() -> None:
    assert [
        type(fault).__name__ for fault in instances() if fault.status not in {"failure", "aborted"}
    ] == ["Superseded"]


def test_a_fault_carries_what_where_and_next() -> None:
    fault = TowlineError("what", where="file:1", hint="do this")
    assert (str(fault), fault.message, fault.where, fault.hint, fault.outputs) == (
        "what",
        "what",
        "file:1",
        "do this",
        {},
    )


def test_a_transport_error_knows_its_host() -> None:
    assert TransportError("cut", where="https://host").where == "https://host"


def test_every_fault_says_what_to_do_next() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.TowlineError)
        and kind is not errors.Interrupted
    ]
    assert [kind.__name__ for kind in kinds if not kind("it broke").hint] == []
    assert errors.ConfigError("it broke", hint="do this").hint == "do this"


@pytest.mark.parametrize(("own", "where"), [("", "config.yml:3"), ("app.yaml:7", "app.yaml:7")])
def test_a_fault_without_a_place_gets_the_one_around_it(own: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught, placed("config.yml:3"):
        raise ConfigError("what", where=own)
    assert caught.value.where == where
