"""From files, pipeline environment, variables and call to one ordered tuple of layers, each trusted or not: `ordered` is the precedence list.

A layer holds only what the step's schema lets stand in it (scope, by exact key), under the parameter's own name, with the place of every value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from towline.config import schema as metadata
from towline.config.merge import Layer
from towline.config.schema import GENERAL, PARAMETERS, STAGES, STEPS, Parameter, StepSchema
from towline.errors import ConfigError, UsageError
from towline.files import resource_text
from towline.suggest import nearest
from towline.yaml_marks import Located, Mark, YamlFault, load

PROJECT_FILE = ".pipeline/config.yml"
_LARGEST = 8 * 1024 * 1024
_Path = tuple[str | int, ...]
_Entries = Mapping[str, tuple[object, str]]


@dataclass(frozen=True, kw_only=True)
class Document:
    """One configuration file whose shape is checked; `name` is its name for people, `marks` tell the line of every key."""

    name: str
    trusted: bool
    content: Mapping[str, Any]
    marks: Mapping[_Path, Mark]

    def section(self, *path: str) -> Mapping[str, object]:
        """The map at `path`, such as `general`, or `stages` and a stage's name; empty where there is none."""
        found: Any = self.content
        for part in path:
            found = found.get(part) or {}
        return dict(found)

    def where(self, *path: str | int) -> str:
        """`name:line` of the key at `path`, or of the nearest one around it."""
        while path and path not in self.marks:
            path = path[:-1]
        return f"{self.name}:{self.marks[path].line}" if path in self.marks else self.name


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Default documents, weakest first (the library's, the platform team's, then the project's customDefaults), and the project's own."""

    defaults: tuple[Document, ...]
    project: Document


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """All that a step's settings are made from; `flags` are texts as typed, `parameters` what the call passed."""

    stage: str
    documents: Documents
    pipeline_environment: Mapping[str, object]
    environ: Mapping[str, str]
    parameters: Mapping[str, object]
    flags: Mapping[str, object]


# ---- documents


def read_documents(folder: Path, *, config: str = "", team_files: Sequence[str] = (), team_documents: Sequence[tuple[str, str]] = ()) -> Documents:
    """The documents of the workspace `folder`: `config` instead of its usual file, the team's as paths and as (name, text); raises ConfigError."""
    project = _project(folder, config)
    return Documents(
        project=project,
        defaults=(
            parse_document(resource_text("defaults.yaml"), "towline/defaults.yaml", trusted=True),
            *(_team_file(path) for path in team_files),
            *(parse_document(text, name, trusted=True) for name, text in team_documents),
            *_custom_defaults(folder, project),
        ),
    )


def read_yaml(text: str, name: str) -> Located:
    """YAML text with positions; raises ConfigError naming file, line and column."""
    try:
        return load(text)
    except YamlFault as fault:
        raise ConfigError(f"the YAML cannot be read: {fault.problem}", where=f"{name}:{fault.line}:{fault.column}", hint="correct it there") from fault


def parse_document(text: str, name: str, *, trusted: bool) -> Document:
    """A configuration's text to a document; raises ConfigError where a section is no map."""
    located = read_yaml(text, name)
    document = Document(name=name, trusted=trusted, content={}, marks=located.marks)
    content = _map(located.value, document)
    for section in ("general", "steps", "stages"):
        inner = _map(content.get(section), document, section)
        for key, value in inner.items() if section != "general" else ():
            _map(value, document, section, key)
    return Document(name=name, trusted=trusted, content=content, marks=located.marks)


def _map(value: Any, document: Document, *path: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{'.'.join(path) or 'the configuration'} must be a map", where=document.where(*path), hint="write `key: value` lines below it")
    return value


def _project(folder: Path, config: str) -> Document:
    asked = config or PROJECT_FILE
    other = asked.removesuffix(".yml") + ".yaml" if asked.endswith(".yml") else asked.removesuffix(".yaml") + ".yml"
    for name in (asked, other):
        if (folder / name).exists():
            return _file(folder / name, name, trusted=False)
    if config:
        raise ConfigError("the configuration that was asked for is not there", where=config, hint="correct the path, relative to the workspace")
    return Document(name=PROJECT_FILE, trusted=False, content={}, marks={})


def _team_file(path: str) -> Document:
    if not Path(path).is_absolute():
        raise ConfigError("a relative path would name a file of the project", where=f"TOWLINE_DEFAULTS: {path}", hint="give absolute paths")
    return _file(Path(path), path, trusted=True)


def _custom_defaults(folder: Path, project: Document) -> Iterable[Document]:
    names = project.content.get("customDefaults")
    if names is not None and not isinstance(names, list):
        raise ConfigError("customDefaults must be a list", where=project.where("customDefaults"), hint="write `- path` lines below it")
    for index, name in enumerate(names or []):
        line = project.where("customDefaults", index)
        if not isinstance(name, str):
            raise ConfigError("an entry of customDefaults must be a path", where=line, hint="write it as text")
        if name.startswith(("http://", "https://")):
            raise ConfigError("customDefaults from http(s) comes later", where=line, hint="keep the file in the project, or pass it as `defaults` of the call")
        if not (folder / name).exists():
            raise ConfigError(f"the custom defaults {name} are not there", where=line, hint="correct the path, relative to the workspace")
        yield _file(folder / name, name, trusted=False)


def _file(path: Path, name: str, *, trusted: bool) -> Document:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise ConfigError(f"not a file of at most {_LARGEST} bytes", where=name, hint="correct the path")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8"
        raise ConfigError(f"the configuration cannot be read: {reason}", where=name, hint="correct the file or its permissions") from fault
    return parse_document(text, name, trusted=trusted)


# ---- layers


def ordered(schema: StepSchema, inputs: Inputs) -> tuple[Layer, ...]:
    """Every layer of a step's settings, weakest first (facts 1.2; `over: GENERAL` of a source: docs/contract.md)."""
    project = inputs.documents.project
    return (
        _layer("default", {parameter.name: (parameter.default, "default") for parameter in schema.parameters if parameter.default is not None}, trusted=True),
        _pipeline(schema, inputs, over=""),
        *(
            layer
            for document in inputs.documents.defaults
            for layer in (
                _section(schema, document, GENERAL, "general", ["general"]),
                _section(schema, document, STEPS, f"step {schema.name}", *_step_paths(schema.names)),
                # Piper asks for the scope STEPS here too, unlike in the project's stages (facts 1.2)
                _section(schema, document, STEPS, f"stage {inputs.stage}", ["stages", inputs.stage]),
            )
        ),
        _section(schema, project, GENERAL, "general", ["general"]),
        _pipeline(schema, inputs, over=GENERAL),
        _section(schema, project, STEPS, f"step {schema.name}", *_step_paths(schema.names)),
        _section(schema, project, STAGES, f"stage {inputs.stage}", ["stages", inputs.stage]),
        _variables(schema, inputs.environ),
        _layer("call", _accepted(schema, PARAMETERS, {key: (value, "parameter of the call") for key, value in inputs.parameters.items()}), trusted=True),
        _layer("flags", {name: (_typed(schema.find(name), text), f"--{name}") for name, text in inputs.flags.items()}, trusted=True),
    )


def unfiltered(documents: Documents, names: Sequence[str], stage: str) -> tuple[Layer, ...]:
    """Every key of the sections that count for a step (`names`: its spellings, own name first) in a stage, weakest first (facts 3.2).

    A key that is another spelling of the step (its flag) stands under the step's own name.
    """
    layers = []
    for document in (*documents.defaults, documents.project):
        for label, paths in (("general", [["general"]]), (f"step {names[0]}", _step_paths(names)), (f"stage {stage}", [["stages", stage]])):
            entries = dict(_entries(document, *paths))
            flags = [entries.pop(name) for name in names if name in entries]
            layers.append(_layer(label, {**entries, **({names[0]: flags[0]} if flags else {})}, trusted=document.trusted))
    return tuple(layers)


def _step_paths(names: Sequence[str]) -> list[list[str]]:
    return [["steps", name] for name in names]


def _layer(name: str, entries: _Entries, *, trusted: bool) -> Layer:
    values = {key: value for key, (value, _) in entries.items()}
    return Layer(name=name, trusted=trusted, values=values, origins={key: where for key, (_, where) in entries.items()})


def _section(schema: StepSchema, document: Document, scope: str, label: str, *paths: Sequence[str]) -> Layer:
    return _layer(label, _accepted(schema, scope, _entries(document, *paths)), trusted=document.trusted)


def _entries(document: Document, *paths: Sequence[str]) -> _Entries:
    """The keys of several sections with their places, nulls left out; an earlier section wins."""
    found: dict[str, tuple[object, str]] = {}
    for path in paths:
        for key, value in document.section(*path).items():
            if value is not None and key not in found:
                found[key] = value, document.where(*path, key)
    return found


def _accepted(schema: StepSchema, scope: str, entries: _Entries) -> _Entries:
    """What may stand in this scope, under each parameter's own name; an alias counts where the name itself is absent."""
    found: dict[str, tuple[object, str]] = {}
    for parameter in schema.parameters:
        if scope in parameter.scope:
            spellings = [parameter.name, *(alias.name for alias in parameter.aliases if scope in alias.scope)]
            values = (_walk(entries, spelling.split("/")) for spelling in spellings)
            entry = next((value for value in values if value is not None), None)
            if entry is not None:
                found[parameter.name] = entry
    return found


def _walk(entries: _Entries, parts: Sequence[str]) -> tuple[object, str] | None:
    """The value at a path of keys, with the place of its first key; None where there is none."""
    value, where = entries.get(parts[0], (None, ""))
    for part in parts[1:]:
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else (value, where)


def _pipeline(schema: StepSchema, inputs: Inputs, *, over: str) -> Layer:
    """Per parameter the first non-empty of its sources in the pipeline environment."""
    found: dict[str, tuple[object, str]] = {}
    for parameter in schema.parameters:
        for source in parameter.sources:
            value = inputs.pipeline_environment.get(source.pipeline_environment)
            value = value.strip() if isinstance(value, str) else value
            if source.over == over and parameter.name not in found and value not in (None, "", [], {}):
                found[parameter.name] = value, f"{source.pipeline_environment} in the pipeline environment"
    return _layer("pipeline environment", found, trusted=False)


def _variables(schema: StepSchema, environ: Mapping[str, str]) -> Layer:
    names = {parameter.name: f"PIPER_{parameter.name}" for parameter in schema.parameters}
    found = {name: (_typed(schema.find(name), environ[variable]), variable) for name, variable in names.items() if environ.get(variable)}
    return _layer("variables", found, trusted=True)


def _typed(parameter: Parameter | None, text: object) -> object:
    """A variable's or flag's text as its parameter's type reads it: `a,b` (CSV) for a list, `k=v,k2=v2` for a map; else the text."""
    if parameter is None or not isinstance(text, str) or parameter.type not in ("list", "map"):
        return text
    try:
        parts = [part.strip() for row in csv.reader(text.splitlines(), skipinitialspace=True) for part in row]
    except csv.Error:
        return text
    if parameter.type == "list":
        return [part for part in parts if part]
    pairs = [part.partition("=") for part in parts]
    return {key: value for key, _, value in pairs} if all(equals for _, equals, _ in pairs) else text


# ---- step metadata


@cache
def load_schema(step_name: str) -> StepSchema:
    """The schema of a step by its name or another spelling of it; raises UsageError with the nearest known one."""
    schemas = all_schemas()
    found = next((schema for schema in schemas if step_name in schema.names), None)
    if found is None:
        raise UsageError(f"unknown step {step_name!r}", hint=nearest(step_name, (name for schema in schemas for name in schema.names)))
    return found


@cache
def all_schemas() -> tuple[StepSchema, ...]:
    """The schema of every step that has metadata."""
    folder = resources.files("towline").joinpath("resources", "steps")
    names = [f"steps/{name}" for name in sorted(entry.name for entry in folder.iterdir()) if name.endswith(".yaml")]
    return tuple(metadata.parse(read_yaml(resource_text(name), name).value, name) for name in names)
