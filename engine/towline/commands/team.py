"""Checks of the platform team's default documents.

`towline lint --defaults` checks them as a whole, each run for rules that would be lost silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from towline.config.documents import ConfigDocument, ConfigDocuments
from towline.config.lint.findings import sort_findings
from towline.config.lint.known import KnownConfiguration
from towline.config.lint.lost_rules import KnownNames, lost_rules
from towline.config.lint.rules import LintReport, lint
from towline.config.metadata import PIPELINE, all_schemas, other_steps, schemas_with, vault_schema
from towline.config.near_names import BOUNDS, DEFINITION
from towline.config.schema import StepSchema
from towline.errors import ConfigError
from towline.pipeline.confirmation import CONFIRM_KEYS
from towline.pipeline.definition import pipeline_of
from towline.record import replace

_UNREAD = frozenset(
    {"unknown-section", "unknown-step", "unknown-stage", "unknown-key", "wrong-scope"}
)


def known(
    elsewhere: Sequence[ConfigDocument] = (), *, team: Sequence[ConfigDocument] = ()
) -> KnownConfiguration:
    """Return the names to check files against: all steps, all stages, and those `elsewhere`.

    The documents of the `team` may define the stages. Raises ConfigError.
    """
    return _known(all_schemas(), elsewhere, team)


def _known(
    schemas: tuple[StepSchema, ...],
    elsewhere: Sequence[ConfigDocument],
    team: Sequence[ConfigDocument],
) -> KnownConfiguration:
    pipeline = pipeline_of(team)
    own = {name: schema.name for schema in schemas for name in schema.names}
    stages = {
        stage.name: frozenset(own.get(step.name, step.name) for step in stage.steps)
        for stage in pipeline.stages
    }
    return KnownConfiguration(
        steps=schemas,
        shared=(vault_schema(), PIPELINE),
        stages=stages,
        others=frozenset(other_steps()),
        technical={stage.technical_name: stage.name for stage in pipeline.stages},
        confirms=next((stage.name for stage in pipeline.stages if stage.confirms), ""),
        confirm_keys=frozenset(CONFIRM_KEYS),
        elsewhere=tuple(elsewhere),
    )


def report(documents: Sequence[ConfigDocument], configuration: KnownConfiguration) -> LintReport:
    """Return all findings in trusted default documents.

    A rule that nothing reads is an error, and no other finding repeats it.
    """
    names = _names(configuration)
    lost = [finding for document in documents for finding in lost_rules(document, names)]
    positions = {(finding.file, finding.line, finding.column) for finding in lost}
    whole = lint(None, documents, configuration)
    others = [
        finding
        for finding in whole.findings
        if finding.rule not in {*_UNREAD, "unread-section"}
        or (finding.file, finding.line, finding.column) not in positions
    ]
    return LintReport(findings=sort_findings([*lost, *others]), secrets=whole.secrets)


def check(documents: ConfigDocuments) -> tuple[str, ...]:
    """Return a line on each key that nothing reads and that is close to a key that is read.

    Raises ConfigError for a lost rule.
    """
    team = [document for document in documents.defaults if document.trusted]
    used = _used_names(team)
    configuration = _known(schemas_with(used), [documents.project], team)
    names = _names(configuration)
    sections = {key for document in team for key in document.content} - {*DEFINITION}
    # which name a misspelt one is meant for is only known with all steps loaded
    if not (used <= names.keys | names.steps and sections <= {"general", "steps", "stages"}):
        configuration = known([documents.project], team=team)
        names = _names(configuration)
    lost = [finding for document in team for finding in lost_rules(document, names)]
    if lost:
        more = f" ({len(lost)} such faults)" if len(lost) > 1 else ""
        raise ConfigError(
            f"{lost[0].message}{more}",
            where=lost[0].where,
            hint=f"{lost[0].fix}; `towline lint --defaults FILE` says all of them",
        )
    found = report([_without_parameters(document) for document in team], configuration)
    return tuple(
        f"{finding.where}: {finding.message} ({finding.fix})"
        for finding in found.findings
        if finding.rule in _UNREAD
    )


def _used_names(documents: Sequence[ConfigDocument]) -> frozenset[str]:
    """Return the names of steps, and the keys in sections, that the documents use."""
    sections: list[Mapping[str, Any]] = [
        document.section(kind) for document in documents for kind in ("general", "steps")
    ]
    for kind in ("steps", "stages"):
        sections += [
            values or {}
            for document in documents
            for values in dict[str, Any](document.section(kind)).values()
        ]
    return frozenset(key for section in sections for key in section)


def _without_parameters(document: ConfigDocument) -> ConfigDocument:
    """Return the document with empty sections of steps, whose keys `resolve` checks."""
    return replace(
        document,
        content={**document.content, "steps": {name: {} for name in document.section("steps")}},
    )


def _names(configuration: KnownConfiguration) -> KnownNames:
    schemas = (*configuration.steps, *configuration.shared)
    keys = {
        key
        for schema in schemas
        for parameter in schema.parameters
        for key in (parameter.name, *(alias.name for alias in parameter.aliases))
    }
    rules = {
        parameter.name for schema in schemas for parameter in schema.parameters if parameter.trusted
    }
    return KnownNames(
        rules=frozenset(rules),
        bounds=BOUNDS,
        keys=frozenset(keys),
        steps=frozenset(name for schema in configuration.steps for name in schema.names),
        stages=frozenset(configuration.stages),
    )
