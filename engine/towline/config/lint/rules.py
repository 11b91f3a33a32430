"""Pure.

What is wrong in configuration files by themselves, all of it at once: each key held against what
steps and stages know (docs/lint.md).

What a step lacks when it runs only a run knows; `towline explain` says that. Other people's steps
and keys are left alone, and what concerns a step that another library runs is a warning at most:
that library judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from towline.config import piper_context
from towline.config.conditions import parse_flag
from towline.config.documents import ConfigDocument, stage_name
from towline.config.lint.clear_text import clear_texts
from towline.config.lint.findings import Finding, finding, sort_findings
from towline.config.merge import Setting, prune
from towline.config.near_names import SECTIONS, key_slip, section_slip, slip, stage_slip
from towline.config.rules import SettingFault, fit_setting, name_with_alias, untrusted_fault
from towline.config.schema import (
    GENERAL,
    SCOPES,
    STAGES,
    STEPS,
    Parameter,
    ParameterAlias,
    StepSchema,
)
from towline.config.values import EMPTY, respelled_values
from towline.record import frozen, replace
from towline.secret import MASK, is_secret
from towline.suggest import close

_BUILD, _FORMER_BUILD = "Build", "Central Build"
_FLAG = "runInAllBranches"
# unknown keys of a section for which the nearest known one is looked for: that takes a while, and
# of more something else is wrong
_HINTS = 100
_Path = tuple[str | int, ...]


@frozen
class KnownConfiguration:
    """What a configuration is held against: the steps' schemas, what holds for every step, and the own names of each stage's steps by stage.

    `others` are steps by name that no stage of the pipeline has. `elsewhere` are documents that are
    not looked at themselves, the platform team's: the stages and steps that they configure have a
    meaning.
    """

    steps: tuple[StepSchema, ...]
    shared: tuple[StepSchema, ...]
    stages: Mapping[str, frozenset[str]]
    others: frozenset[str] = frozenset()
    elsewhere: tuple[ConfigDocument, ...] = ()


@frozen
class LintReport:
    """What was found, and the texts that must be masked wherever they are shown."""

    findings: tuple[Finding, ...]
    secrets: frozenset[str]


@frozen
class _Reader:
    """A parameter that a key is read for; `alias` where the key is not its name."""

    schema: StepSchema
    parameter: Parameter
    alias: ParameterAlias | None = None


_Readers = Mapping[str, tuple[_Reader, ...]]


@frozen
class _View:
    """`Known`, looked up: by scope and key who reads it, by spelling the step, what stands `beside` its parameters; `used`: steps that are configured."""

    known: KnownConfiguration
    readers: Mapping[str, _Readers]
    steps: Mapping[str, StepSchema]
    spellings: Mapping[str, str]
    beside: Mapping[str, frozenset[str]]
    near: Mapping[str, frozenset[str]]
    used: frozenset[str]


@frozen
class _Place:
    """A section: where it is, the scope that counts in it, and the names of the steps whose settings it holds."""

    document: ConfigDocument
    path: _Path
    scope: str
    steps: frozenset[str]


def lint(
    project: ConfigDocument | None, defaults: Sequence[ConfigDocument], known: KnownConfiguration
) -> LintReport:
    """All findings of the project's own document, if one is to be looked at, and of default documents, each as `shaped` gives it.

    What only the platform team may set is looked at in trusted documents alone; elsewhere it is a
    fault by itself.
    """
    documents = (*([project] if project else []), *defaults)
    view = _view(known, (*documents, *known.elsewhere))
    findings: list[Finding] = []
    secrets: set[str] = set()
    secret, plain = _names(known, secret=True), _names(known, secret=False)
    for document in documents:
        findings += _document(view, document, own=document is project)
        for text in clear_texts(document.content, secret=secret, plain=plain):
            secrets.add(text.text)
            findings.append(_in_clear(document, text.path, text.rule))
    return LintReport(findings=sort_findings(findings), secrets=frozenset(secrets))


def _names(known: KnownConfiguration, *, secret: bool) -> frozenset[str]:
    """The keys of parameters that are secret, or that are not."""
    return frozenset(
        name
        for schema in known.steps
        for parameter in schema.parameters
        if parameter.secret is secret
        for name in (parameter.name, *(alias.name for alias in parameter.aliases))
    )


def _in_clear(document: ConfigDocument, path: _Path, rule: str) -> Finding:
    keys = ".".join(part for part in path if isinstance(part, str))
    what = (
        "holds a secret"
        if rule == "secret-in-clear"
        else "is called like a secret and holds a text"
    )
    return finding(
        rule,
        document,
        path,
        message=f"{keys} {what}, {MASK}, expected none in a file of the project",
    )


# ---- what is known


def _view(known: KnownConfiguration, documents: Sequence[ConfigDocument]) -> _View:
    every = (*known.steps, *known.shared)
    spellings = {name: schema.name for schema in known.steps for name in schema.names}
    spellings |= {
        name: name
        for names in (*known.stages.values(), known.others)
        for name in names
        if name not in spellings
    }
    readers = {scope: _readers(every, scope) for scope in SCOPES}
    own = [schema for schema in every if not schema.library]
    near = {scope: frozenset({*_readers(own, scope), *spellings, _FLAG}) for scope in SCOPES}
    flags = [
        key
        for document in documents
        for key, value in document.section("general").items()
        if parse_flag(value)
    ]
    used = {
        spellings[name]
        for name in (
            *flags,
            *(name for document in documents for name in document.section("steps")),
        )
        if name in spellings
    }
    return _View(
        known=known,
        readers=readers,
        steps={schema.name: schema for schema in every},
        spellings=spellings,
        near=near,
        beside={schema.name: _beside(schema) for schema in known.steps},
        used=frozenset({*used, *(schema.name for schema in known.shared)}),
    )


def _readers(schemas: Iterable[StepSchema], scope: str) -> _Readers:
    found: dict[str, tuple[_Reader, ...]] = {}
    for schema in schemas:
        for parameter in schema.parameters:
            if scope not in parameter.scope:
                continue
            found[parameter.name] = (
                *found.get(parameter.name, ()),
                _Reader(schema=schema, parameter=parameter),
            )
            for alias in parameter.aliases:
                if scope in alias.scope:
                    key = alias.name.partition("/")[0]
                    found[key] = (
                        *found.get(key, ()),
                        _Reader(schema=schema, parameter=parameter, alias=alias),
                    )
    return found


def _beside(schema: StepSchema) -> frozenset[str]:
    """Keys that a step's own section may have beside parameters: for its context, for Vault and reports, of conditional defaults."""
    return (
        piper_context.known_keys(schema) - piper_context.first_keys(schema)
    ) | piper_context.condition_values(schema)


def _is_free(view: _View, place: _Place, key: str) -> bool:
    if place.path[0] == "steps":
        return key in view.beside[view.spellings[str(place.path[1])]]
    return key.endswith("VaultSecretName") or any(key in keys for keys in view.beside.values())


# ---- one document


def _document(view: _View, document: ConfigDocument, *, own: bool) -> Iterator[Finding]:
    yield from _top(view, document, own=own)
    every = frozenset(view.steps)
    yield from _section(
        view,
        _Place(document=document, path=("general",), scope=GENERAL, steps=every),
        document.section("general"),
    )
    steps: Mapping[str, Any] = document.section("steps")
    for name, values in steps.items():
        yield from _step(view, document, name, values)
    for schema in view.known.steps:
        yield from _shadowed_spellings(document, schema)
    stages: Mapping[str, Any] = document.section("stages")
    for name, values in stages.items():
        if name == _FORMER_BUILD and stages.get(_BUILD):
            yield finding(
                "shadowed",
                document,
                ("stages", name),
                message=f"stages.{name} is not read beside stages.{_BUILD}",
            )
            continue
        yield from _stage(view, document, name, values, own=own)


def _top(view: _View, document: ConfigDocument, *, own: bool) -> Iterator[Finding]:
    """Sections that nothing reads."""
    for key in document.content:
        if key == "customDefaults" and not own:
            yield finding(
                "wrong-scope",
                document,
                (key,),
                message="customDefaults of a default document is not followed",
                fix="name the file in the project's own configuration",
            )
        elif key not in SECTIONS and not key.startswith(("x-", ".", "_")):
            meant, place = section_slip(key), _belongs(view, key)
            fix = (
                f"did you mean {meant!r}?" if meant else f"indent it below {place}" if place else ""
            )
            yield finding(
                "unknown-section" if fix else "unread-section",
                document,
                (key,),
                message=f"nothing reads the section {key}",
                fix=fix,
            )


def _belongs(view: _View, key: str) -> str:
    """The section that a key would mean something in."""
    if key in view.spellings:
        return "steps, or below a stage"
    if stage_name(key) in view.known.stages:
        return "stages"
    if any(not reader.schema.library for reader in view.readers[GENERAL].get(key, ())):
        return "general"
    return (
        "a step or a stage"
        if any(
            not reader.schema.library
            for scope in (STEPS, STAGES)
            for reader in view.readers[scope].get(key, ())
        )
        else ""
    )


# ---- a step's section


def _step(
    view: _View, document: ConfigDocument, name: str, values: Mapping[str, Any]
) -> Iterator[Finding]:
    path = ("steps", name)
    schema = view.steps.get(view.spellings.get(name, ""))
    if schema is None:
        near = "" if name in view.spellings else slip(name, frozenset(view.spellings))
        if near:
            yield finding(
                "unknown-step",
                document,
                path,
                message=f"there is no step {name}",
                fix=f"did you mean {near!r}?",
            )
        return
    own = frozenset({schema.name, *(shared.name for shared in view.known.shared)})
    yield from _section(view, _Place(document=document, path=path, scope=STEPS, steps=own), values)
    yield from _shadowed_aliases(document, path, schema, values)


def _shadowed_aliases(
    document: ConfigDocument, path: _Path, schema: StepSchema, values: Mapping[str, Any]
) -> Iterator[Finding]:
    """Aliases that no parameter takes, since each has a stronger spelling in the same section."""
    given = [key for key, value in values.items() if value is not None]
    chosen: dict[str, str] = {}
    for parameter in schema.parameters:
        spelled = [
            name
            for name in (
                parameter.name,
                *(alias.name for alias in parameter.aliases if STEPS in alias.scope),
            )
            if name in given
        ]
        chosen |= {name: chosen.get(name) or spelled[0] for name in spelled}
        if spelled:
            chosen[spelled[0]] = spelled[0]
    for name, stronger in chosen.items():
        if name != stronger:
            yield finding(
                "shadowed",
                document,
                (*path, name),
                message=f"{name} is not read beside {stronger}",
                fix=f"remove {name} or {stronger}",
            )


def _shadowed_spellings(document: ConfigDocument, schema: StepSchema) -> Iterator[Finding]:
    """Keys that stand in a section of each of two spellings of a step."""
    first: dict[str, str] = {}
    for name in schema.names:
        for key, value in document.section("steps", name).items():
            if value is not None and first.setdefault(key, name) != name:
                yield finding(
                    "shadowed",
                    document,
                    ("steps", name, key),
                    message=f"{key} is not read beside the one in steps.{first[key]}",
                    fix=(
                        f"remove one of the two, best by moving all of steps.{name} to"
                        f" steps.{schema.name}"
                    ),
                )


# ---- a stage's section


def _stage(
    view: _View, document: ConfigDocument, name: str, values: Mapping[str, Any], *, own: bool
) -> Iterator[Finding]:
    path, stages = ("stages", name), view.known.stages
    flagged = frozenset(
        view.spellings[key]
        for key, value in values.items()
        if key in view.spellings and parse_flag(value)
    )
    steps = stages.get(stage_name(name))
    if steps is None and not any(
        name in document.section("stages") for document in view.known.elsewhere
    ):
        near = stage_slip(name, frozenset(stages))
        # a stage of the project's own beside the one that it is called like
        meant = flagged and near in document.section("stages")
        if near and not meant:
            yield finding(
                "unknown-stage",
                document,
                path,
                message=f"the pipeline has no stage {name}",
                fix=f"did you mean {near!r}?",
            )
    for key, value in values.items():
        step = view.spellings.get(key, "")
        if parse_flag(value) and steps is not None and step and step not in steps:
            having = (
                ", ".join(stage for stage, held in stages.items() if step in held)
                or "none, but one of the project's own would run it"
            )
            yield finding(
                "flag-without-step",
                document,
                (*path, key),
                message=f"stage {name} has no step {step}, and the flag {key} switches nothing on",
                fix=f"stages that have it: {having}",
            )
    taking = (
        (view.used & (steps or frozenset()))
        | flagged
        | {shared.name for shared in view.known.shared}
    )
    yield from _section(
        view,
        _Place(document=document, path=path, scope=STAGES if own else STEPS, steps=taking),
        values,
    )


# ---- keys


def _section(view: _View, place: _Place, values: Mapping[str, Any]) -> Iterator[Finding]:
    unread = 0
    for key, value in values.items():
        readers = view.readers[place.scope].get(key, ())
        taken = [reader for reader in readers if reader.schema.name in place.steps]
        if taken:
            yield from _value(place, key, value, taken)
        elif key in view.spellings or key == _FLAG:
            yield from _flag_value(view, place, key, value)
        elif not _is_free(view, place, key) and (place.path[0] == "steps" or not readers):
            unread += 1
            yield from _unread(view, place, key, hint=unread <= _HINTS)


def _flag_value(view: _View, place: _Place, key: str, value: object) -> Iterator[Finding]:
    path, flag = (*place.path, key), parse_flag(value)
    if flag and place.path[0] == "general" and view.spellings.get(key) in view.known.others:
        yield finding(
            "flag-without-step",
            place.document,
            path,
            message=f"no stage of the pipeline has a step {key}, and the flag switches nothing on",
            fix="let a stage of the project's own have the flag, or call the step in an extension",
        )
    if flag is not None and isinstance(value, str):
        there = (
            "Piper's stages take it for true"
            if key != _FLAG
            else "Piper does not take it for a flag"
        )
        message = (
            f"the flag {key} is the text {value!r}, which counts as {str(flag).lower()}: {there}"
        )
        yield replace(finding("wrong-flag", place.document, path, message=message), level="warning")
    elif flag is None and value not in EMPTY and view.spellings.get(key) not in view.known.others:
        written = (
            "a map"
            if isinstance(value, dict)
            else (
                "a list"
                if isinstance(value, list)
                else "a number"
                if isinstance(value, int | float)
                else "a text"
            )
        )
        fix = (
            "write the step's parameters in steps, or directly in the stage's section"
            if isinstance(value, dict)
            else ""
        )
        yield finding(
            "wrong-flag",
            place.document,
            path,
            message=f"the flag {key} is {written}, expected true or false",
            fix=fix,
        )


def _unread(view: _View, place: _Place, key: str, *, hint: bool) -> Iterator[Finding]:
    """A key that is not read here: a parameter in a scope that it does not have, or a slip."""
    path = (*place.path, key)
    if place.path[0] == "steps":
        schema = view.steps[view.spellings[str(place.path[1])]]
        other = schema.find(key)
        if other is None:
            near = close(key, _spelled(schema)) if hint else ""
            yield finding(
                "unknown-key",
                place.document,
                path,
                message=f"{schema.name} has no parameter {key}",
                fix=(
                    f"did you mean {near!r}?"
                    if near
                    else f"`towline explain {schema.name}` lists those that it has"
                ),
            )
            return
    else:
        # an alias that its parameter does not have here means something else here (githubServerUrl
        # in general)
        others = [
            reader
            for scope in SCOPES
            for reader in view.readers[scope].get(key, ())
            if not reader.schema.library and place.scope not in reader.parameter.scope
        ]
        found = next((reader for reader in others if reader.schema.name in view.used), None)
        if found is None:
            unread = not any(key in view.readers[scope] for scope in SCOPES)
            if unread and (
                near := key_slip(key, view.near[place.scope])
                or slip(key, frozenset(view.spellings))
            ):
                yield finding(
                    "unknown-key",
                    place.document,
                    path,
                    message=f"no step that Towline knows reads {key}",
                    fix=f"did you mean {near!r}?",
                )
            return
        schema, other = found.schema, found.parameter
    here = ".".join(map(str, place.path))
    yield finding(
        "wrong-scope",
        place.document,
        path,
        message=f"{schema.name} does not read {key} in {here}",
        fix=_where(schema, other),
    )


def _spelled(schema: StepSchema) -> list[str]:
    return [
        name
        for parameter in schema.parameters
        if STEPS in parameter.scope
        for name in (parameter.name, *(alias.name for alias in parameter.aliases))
    ]


def _where(schema: StepSchema, parameter: Parameter) -> str:
    places = {STEPS: f"steps.{schema.name}", STAGES: "a stage's section", GENERAL: "general"}
    return (
        "it counts in"
        f" {' or '.join([place for scope, place in places.items() if scope in parameter.scope] or ['the call alone'])}"
    )


def _value(place: _Place, key: str, value: object, readers: Sequence[_Reader]) -> Iterator[Finding]:
    """What is wrong with a value for any of those who read it: of each kind one finding."""
    path, seen = (*place.path, key), set()
    for reader in readers:
        found = _walk(value, reader)
        for fault in _faults(place, reader, found) if found is not None else ():
            if fault.rule not in seen:
                seen.add(fault.rule)
                made = finding(fault.rule, place.document, path, message=fault.what, fix=fault.hint)
                yield (
                    replace(made, level="warning")
                    if reader.schema.library and made.level == "error"
                    else made
                )
        if "number-as-text" not in seen and (number := _respelled(reader, value)):
            seen.add("number-as-text")
            yield finding("number-as-text", place.document, path, message=number)
        yield from _maps(place, path, value, reader)
    reading = [reader for reader in readers if _walk(value, reader) is not None]
    old = [reader for reader in reading if reader.alias and reader.alias.deprecated]
    if old and len(old) == len(reading):
        yield finding(
            "deprecated-alias",
            place.document,
            path,
            message=f"{key} is deprecated",
            fix=f"write {old[0].parameter.name}",
        )


def _maps(place: _Place, path: _Path, value: object, reader: _Reader) -> Iterator[Finding]:
    """What is wrong in maps that stand over a step's other parameters (`targets`): a run ends with it."""
    if reader.parameter.type != "objects" or reader.schema.library or not isinstance(value, list):
        return
    own = reader.schema.over(reader.parameter.name)
    hints = _HINTS
    for number, item in enumerate(value):
        for key, inner in item.items() if isinstance(item, dict) else ():
            if parameter := own.get(key):
                yield from _value(
                    replace(place, path=(*path, number)),
                    key,
                    inner,
                    [_Reader(schema=reader.schema, parameter=parameter)],
                )
            elif not is_secret(key):
                near = close(key, own) if hints > 0 else ""
                hints -= 1
                yield finding(
                    "wrong-target",
                    place.document,
                    (*path, number, key),
                    message=f"{key} cannot be set for one of {reader.parameter.name}",
                    fix=f"did you mean {near!r}?" if near else "",
                )


def _faults(place: _Place, reader: _Reader, value: object) -> Iterator[SettingFault]:
    parameter = reader.parameter
    if parameter.read_by_others and place.path == ("general",) and not place.document.trusted:
        return
    if parameter.trusted and not place.document.trusted:
        yield from [] if value in EMPTY else [untrusted_fault(parameter, "")]
        return
    name = name_with_alias(parameter.name, reader.alias.name if reader.alias else "")
    fit = fit_setting(
        parameter, Setting(value=prune(value), origin="", layer="", trusted=False), name
    )
    if isinstance(fit, SettingFault):
        yield fit


def _respelled(reader: _Reader, value: object) -> str:
    """That a number or date of the value is a text for the reader, and other readers of the file spell it otherwise; empty where none is."""
    written, what, read = next(
        respelled_values(_walk(value, reader), reader.parameter.type), ("", "", "")
    )
    if not written:
        return ""
    name = name_with_alias(reader.parameter.name, reader.alias.name if reader.alias else "")
    taken = (
        f", and so does {reader.schema.name}"
        if reader.schema.library
        else f": Towline takes {written}, Piper {read}"
    )
    return f"{name} is {written}, {what} that YAML reads as {read}{taken}"


def _walk(value: Any, reader: _Reader) -> object:
    """What a parameter gets of a key's value: all of it, or what a deep alias leads to."""
    for part in reader.alias.name.split("/")[1:] if reader.alias else ():
        value = value.get(part) if isinstance(value, dict) else None
    return value
