"""Pure.

Lint: everything that is wrong in configuration files by themselves (docs/lint.md).

Every section is read, and its keys are compared with those that steps and stages know. Missing
parameters of a step are not found here, but by `towline explain`. Unknown steps and keys are no
finding unless their names are close to known ones. A finding on a step of another library is a
warning at most, since that library decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from towline.config.conditions import parse_flag
from towline.config.documents import ConfigDocument, stage_name
from towline.config.lint.clear_text import clear_texts
from towline.config.lint.findings import Finding, finding, sort_findings
from towline.config.lint.idle import idle_keys, misspelt_key
from towline.config.lint.known import (
    ALL_BRANCHES,
    KnownConfiguration,
    KnownKeys,
    Path,
    Section,
    known_keys,
)
from towline.config.lint.values import MOST_HINTS, check_flag, check_value
from towline.config.near_names import (
    DEFINITION,
    OTHERS_PREFIXES,
    SECTIONS,
    key_slip,
    section_slip,
    slip,
)
from towline.config.schema import GENERAL, SCOPES, STAGES, STEPS, Parameter, StepSchema
from towline.record import frozen
from towline.secret import MASK
from towline.suggest import close


@frozen
class LintReport:
    """The findings, and the texts that must be masked wherever they are shown."""

    findings: tuple[Finding, ...]
    secrets: frozenset[str]


def lint(
    project: ConfigDocument | None, defaults: Sequence[ConfigDocument], known: KnownConfiguration
) -> LintReport:
    """All findings of the project's own document, if there is one, and of default documents.

    `shape_document` makes the documents. The values of keys that only the platform team may set are
    checked in trusted documents; in other documents the key itself is a fault.
    """
    documents = (*([project] if project else []), *defaults)
    keys = known_keys(known, (*documents, *known.elsewhere))
    findings: list[Finding] = []
    secrets: set[str] = set()
    secret, plain = _names(known, secret=True), _names(known, secret=False)
    findings += idle_keys(documents, keys.pipeline)
    for document in documents:
        findings += _check_document(keys, document, own=document is project)
        for text in clear_texts(document.content, secret=secret, plain=plain):
            secrets.add(text.text)
            findings.append(_clear_text(document, text.path, text.rule))
    return LintReport(findings=sort_findings(findings), secrets=frozenset(secrets))


def _names(known: KnownConfiguration, *, secret: bool) -> frozenset[str]:
    """The keys of parameters that are secret, or of those that are not."""
    return frozenset(
        name
        for schema in known.steps
        for parameter in schema.parameters
        if parameter.secret is secret
        for name in (parameter.name, *(alias.name for alias in parameter.aliases))
    )


def _clear_text(document: ConfigDocument, path: Path, rule: str) -> Finding:
    keys = ".".join(part for part in path if isinstance(part, str))
    fault = (
        "holds a secret"
        if rule == "secret-in-clear"
        else "has the name of a secret and holds a text"
    )
    return finding(
        rule,
        document,
        path,
        message=f"{keys} {fault}, {MASK}, expected none in a file of the project",
    )


# ---- one document


def _check_document(keys: KnownKeys, document: ConfigDocument, *, own: bool) -> Iterator[Finding]:
    """The findings in a document; `own`: it is the project's own."""
    yield from _check_top(keys, document, own=own)
    everywhere = Section(
        document=document, path=("general",), scope=GENERAL, steps=frozenset(keys.steps)
    )
    yield from _check_section(keys, everywhere, document.section("general"))
    steps: Mapping[str, Any] = document.section("steps")
    for name, values in steps.items():
        yield from _check_step(keys, document, name, values)
    for schema in keys.known.steps:
        yield from _shadowed_spellings(document, schema)
    stages: Mapping[str, Any] = document.section("stages")
    for name, values in stages.items():
        current = stage_name(name)
        if current != name and stages.get(current):
            message = f"stages.{name} is not read beside stages.{current}"
            yield finding("shadowed", document, ("stages", name), message=message)
        else:
            yield from _check_stage(keys, document, name, values, own=own)


def _check_top(keys: KnownKeys, document: ConfigDocument, *, own: bool) -> Iterator[Finding]:
    """The findings on sections that nothing reads."""
    for key in document.content:
        if key == "customDefaults" and not own:
            yield finding(
                "wrong-scope",
                document,
                (key,),
                message="customDefaults of a default document is not followed",
                fix="name the file in the project's own configuration",
            )
        elif key in DEFINITION and ("spec" in document.content or document.trusted):
            continue  # a definition of stages, which only trusted documents give (idle_keys)
        elif key not in SECTIONS and not key.startswith(OTHERS_PREFIXES):
            fix = _section_fix(keys, key)
            yield finding(
                "unknown-section" if fix else "unread-section",
                document,
                (key,),
                message=f"nothing reads the section {key}",
                fix=fix,
            )


def _section_fix(keys: KnownKeys, key: str) -> str:
    """How to correct an unknown key at the top of a document; empty if its name is not a slip."""
    if meant := section_slip(key):
        return f"did you mean {meant!r}?"
    section = _section_of(keys, key)
    return f"indent it below {section}" if section else ""


def _section_of(keys: KnownKeys, key: str) -> str:
    """The section in which a key would be read; empty if there is none."""
    if key in keys.spellings:
        return "steps, or below a stage"
    if stage_name(key) in keys.known.stages:
        return "stages"
    own = [
        scope
        for scope in (GENERAL, STEPS, STAGES)
        if any(not reader.schema.library for reader in keys.readers[scope].get(key, ()))
    ]
    if GENERAL in own:
        return "general"
    return "a step or a stage" if own else ""


# ---- a step's section


def _check_step(
    keys: KnownKeys, document: ConfigDocument, name: str, values: Mapping[str, Any]
) -> Iterator[Finding]:
    path = ("steps", name)
    schema = keys.steps.get(keys.spellings.get(name, ""))
    if schema is None:
        near = "" if name in keys.spellings else slip(name, frozenset(keys.spellings))
        if near:
            message, fix = f"there is no step {name}", f"did you mean {near!r}?"
            yield finding("unknown-step", document, path, message=message, fix=fix)
        return
    steps = keys.shared_names | {schema.name}
    section = Section(document=document, path=path, scope=STEPS, steps=steps)
    yield from _check_section(keys, section, values)
    yield from _shadowed_aliases(document, path, schema, values)


def _shadowed_aliases(
    document: ConfigDocument, path: Path, schema: StepSchema, values: Mapping[str, Any]
) -> Iterator[Finding]:
    """The findings on aliases that stand beside a stronger spelling in the same section."""
    stronger: dict[str, str] = {}
    for parameter in schema.parameters:
        aliases = (alias.name for alias in parameter.aliases if STEPS in alias.scope)
        spelled = [name for name in (parameter.name, *aliases) if values.get(name) is not None]
        for name in spelled:
            stronger[name] = stronger.get(name) or spelled[0]
        if spelled:
            stronger[spelled[0]] = spelled[0]
    for name, read in stronger.items():
        if name != read:
            yield finding(
                "shadowed",
                document,
                (*path, name),
                message=f"{name} is not read beside {read}",
                fix=f"remove {name} or {read}",
            )


def _shadowed_spellings(document: ConfigDocument, schema: StepSchema) -> Iterator[Finding]:
    """The findings on keys that are in the sections of two spellings of a step."""
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


def _check_stage(
    keys: KnownKeys, document: ConfigDocument, name: str, values: Mapping[str, Any], *, own: bool
) -> Iterator[Finding]:
    steps = keys.known.stages.get(stage_name(name), frozenset())
    flagged = {
        keys.spellings[key]
        for key, value in values.items()
        if key in keys.spellings and parse_flag(value)
    }
    section = Section(
        document=document,
        path=("stages", name),
        scope=STAGES if own else STEPS,
        steps=(keys.used & steps) | flagged | keys.shared_names,
    )
    yield from _check_section(keys, section, values)


# ---- keys


def _check_section(
    keys: KnownKeys, section: Section, values: Mapping[str, Any]
) -> Iterator[Finding]:
    unread = 0
    for key, value in values.items():
        readers = keys.readers[section.scope].get(key, ())
        reading = [reader for reader in readers if reader.schema.name in section.steps]
        if reading:
            yield from check_value(section, key, value, reading)
        elif key in keys.spellings or key == ALL_BRANCHES:
            yield from check_flag(keys, section, key, value)
        elif _is_free(keys, section, key):
            continue
        elif section.path[0] == "steps":
            unread += 1
            yield from _unread_by_step(keys, section, key, hint=unread <= MOST_HINTS)
        elif not readers:
            unread += 1
            yield from _unread(keys, section, key, flag=parse_flag(value) is True)


def _is_free(keys: KnownKeys, section: Section, key: str) -> bool:
    """Whether a key is known without being a parameter, such as a key of the step's container."""
    if section.path[0] == "steps":
        return key in keys.free[keys.spellings[str(section.path[1])]]
    return key.endswith("VaultSecretName") or any(key in free for free in keys.free.values())


def _unread_by_step(
    keys: KnownKeys, section: Section, key: str, *, hint: bool
) -> Iterator[Finding]:
    """The finding on a key in a step's section that the step does not read there."""
    schema = keys.steps[keys.spellings[str(section.path[1])]]
    parameter = schema.find(key)
    if parameter is not None:
        yield _wrong_scope(section, key, schema, parameter)
        return
    near = close(key, _spellings_in_steps(schema)) if hint else ""
    yield finding(
        "unknown-key",
        section.document,
        (*section.path, key),
        message=f"{schema.name} has no parameter {key}",
        fix=(
            f"did you mean {near!r}?"
            if near
            else f"`towline explain {schema.name}` lists its parameters"
        ),
    )


def _unread(keys: KnownKeys, section: Section, key: str, *, flag: bool) -> Iterator[Finding]:
    """The finding on a key in another section: of another scope, or misspelt.

    One on a misspelt flag in a stage (`flag`) is in `idle_keys`.
    """
    # not for an alias that is limited to other scopes: in this scope the key has another meaning,
    # as githubServerUrl has in general
    elsewhere = [
        reader
        for scope in SCOPES
        for reader in keys.readers[scope].get(key, ())
        if not reader.schema.library and section.scope not in reader.parameter.scope
    ]
    for reader in elsewhere:
        if reader.schema.name in keys.used:
            yield _wrong_scope(section, key, reader.schema, reader.parameter)
            return
    if any(key in keys.readers[scope] for scope in SCOPES):
        return
    meant = slip(key, frozenset(keys.spellings))
    if meant and flag and section.path[0] == "stages":
        return
    if near := key_slip(key, keys.own[section.scope]) or meant:
        yield misspelt_key(section.document, [*map(str, section.path), key], near)


def _spellings_in_steps(schema: StepSchema) -> list[str]:
    return [
        name
        for parameter in schema.parameters
        if STEPS in parameter.scope
        for name in (parameter.name, *(alias.name for alias in parameter.aliases))
    ]


def _wrong_scope(section: Section, key: str, schema: StepSchema, parameter: Parameter) -> Finding:
    sections = {STEPS: f"steps.{schema.name}", STAGES: "a stage's section", GENERAL: "general"}
    reading = [name for scope, name in sections.items() if scope in parameter.scope]
    return finding(
        "wrong-scope",
        section.document,
        (*section.path, key),
        message=f"{schema.name} does not read {key} in {'.'.join(map(str, section.path))}",
        fix=f"it is read in {' or '.join(reading or ['the call alone'])}",
    )
