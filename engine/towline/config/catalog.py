"""The metadata of the steps (`resources/towline/steps`): one step's by any of its names, without reading the others, or all of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from towline.config import schema as metadata
from towline.config.documents import read_yaml
from towline.config.schema import StepSchema
from towline.errors import UsageError
from towline.files import resource_text
from towline.suggest import nearest

_FOLDER, _ENDING = "steps", ".yaml"


def load_schema(step_name: str) -> StepSchema:
    """The schema of a step by its name or another spelling of it; raises UsageError with the nearest known one."""
    if step_name.isidentifier():  # a path is none
        try:
            schema = _schema(step_name)
        except OSError:
            schema = None
        if schema and schema.name == step_name:  # on some machines another case opens the same file
            return schema
    known = spellings()
    found = next((name for name, names in known.items() if step_name in names), None)
    if found is None:
        raise UsageError(f"unknown step {step_name!r}", hint=nearest(step_name, (name for names in known.values() for name in names)))
    return _schema(found)


def all_schemas() -> tuple[StepSchema, ...]:
    """The schema of every step that has metadata."""
    return tuple(_schema(name) for name in spellings())


@cache
def spellings() -> Mapping[str, tuple[str, ...]]:
    """Every step's own name with all of its spellings, its own first; what stands before the parameters is read for it, and no more."""
    folder = resources.files("towline").joinpath("resources", _FOLDER)
    names = sorted(entry.name.removesuffix(_ENDING) for entry in folder.iterdir() if entry.name.endswith(_ENDING))
    return {name: metadata.parse(_read(name, whole=False), _where(name)).names for name in names}


@cache
def _schema(name: str) -> StepSchema:
    return metadata.parse(_read(name), _where(name))


def _read(name: str, *, whole: bool = True) -> object:
    text = resource_text(_where(name))
    return read_yaml(text if whole else text.partition("\nparameters:")[0], _where(name)).value


def _where(name: str) -> str:
    return f"{_FOLDER}/{name}{_ENDING}"
