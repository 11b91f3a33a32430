"""Pure.

The keys, steps and stages that lint knows, and the parameters that read a key in each scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from towline.config import piper_context
from towline.config.conditions import parse_flag
from towline.config.documents import ConfigDocument
from towline.config.lint.idle import KnownPipeline
from towline.config.schema import SCOPES, Parameter, ParameterAlias, StepSchema
from towline.record import field, frozen

ALL_BRANCHES = "runInAllBranches"  # the flag of a stage
Path = tuple[str | int, ...]


@frozen
class KnownConfiguration:
    """The schemas and stages that a configuration is checked against.

    `shared` are the schemas of keys that every step reads. `stages` maps each stage to the own
    names of its steps, `others` are steps that no stage of the pipeline has. `technical` maps
    technical names of stages to their names in configurations. `confirms` is the stage that asks a
    person, `confirm_keys` are its keys. `elsewhere` are the platform team's documents: they are not
    checked, but the stages and steps in them are known.
    """

    steps: tuple[StepSchema, ...]
    shared: tuple[StepSchema, ...]
    stages: Mapping[str, frozenset[str]]
    others: frozenset[str] = frozenset()
    technical: Mapping[str, str] = field(default_factory=dict)
    confirms: str = ""
    confirm_keys: frozenset[str] = frozenset()
    elsewhere: tuple[ConfigDocument, ...] = ()


@frozen
class Reader:
    """A parameter that reads a key; `alias` is set if the key is not the parameter's name."""

    schema: StepSchema
    parameter: Parameter
    alias: ParameterAlias | None = None


@frozen
class KnownKeys:
    """`KnownConfiguration`, indexed by key.

    `readers` has the parameters by scope and key, `steps` the schemas by the step's own name, and
    `spellings` the own name by each spelling of a step. `free` are the keys that a step's section
    may have beside its parameters. `own` are the keys that Towline's own steps read, by scope: a
    misspelt key is compared with these. `used` are the names of configured steps.
    """

    known: KnownConfiguration
    readers: Mapping[str, Mapping[str, tuple[Reader, ...]]]
    steps: Mapping[str, StepSchema]
    spellings: Mapping[str, str]
    free: Mapping[str, frozenset[str]]
    own: Mapping[str, frozenset[str]]
    used: frozenset[str]

    @property
    def shared_names(self) -> frozenset[str]:
        """The names of the schemas that every step shares."""
        return frozenset(schema.name for schema in self.known.shared)

    @property
    def pipeline(self) -> KnownPipeline:
        """The names that say which flags have an effect."""
        known = self.known
        return KnownPipeline(
            stages=known.stages,
            spellings=self.spellings,
            others=known.others,
            technical=known.technical,
            confirms=known.confirms,
            confirm_keys=known.confirm_keys,
            named=frozenset(name for each in known.elsewhere for name in each.section("stages")),
        )


@frozen
class Section:
    """A section of a document: its path, its keys' scope, and the steps it configures."""

    document: ConfigDocument
    path: Path
    scope: str
    steps: frozenset[str]


def known_keys(known: KnownConfiguration, documents: Sequence[ConfigDocument]) -> KnownKeys:
    """`known`, indexed by key; `documents` are read for the steps that are used."""
    every = (*known.steps, *known.shared)
    own = [schema for schema in every if not schema.library]
    spellings = {name: schema.name for schema in known.steps for name in schema.names}
    for names in (*known.stages.values(), known.others):
        spellings = {**dict(zip(names, names, strict=True)), **spellings}
    return KnownKeys(
        known=known,
        readers={scope: _readers(every, scope) for scope in SCOPES},
        steps={schema.name: schema for schema in every},
        spellings=spellings,
        free={schema.name: _free_keys(schema) for schema in known.steps},
        own={
            scope: frozenset({*_readers(own, scope), *spellings, ALL_BRANCHES}) for scope in SCOPES
        },
        used=frozenset({*_used(documents, spellings), *(schema.name for schema in known.shared)}),
    )


def _used(documents: Sequence[ConfigDocument], spellings: Mapping[str, str]) -> Iterator[str]:
    """The steps that have a section, or that a flag in `general` enables."""
    for document in documents:
        general = document.section("general")
        flags = [key for key, value in general.items() if parse_flag(value)]
        for name in (*flags, *document.section("steps")):
            if name in spellings:
                yield spellings[name]


def _readers(schemas: Iterable[StepSchema], scope: str) -> Mapping[str, tuple[Reader, ...]]:
    found: dict[str, tuple[Reader, ...]] = {}
    for schema in schemas:
        for parameter in schema.parameters:
            if scope not in parameter.scope:
                continue
            readers = [(parameter.name, Reader(schema=schema, parameter=parameter))]
            readers += [
                (
                    alias.name.partition("/")[0],
                    Reader(schema=schema, parameter=parameter, alias=alias),
                )
                for alias in parameter.aliases
                if scope in alias.scope
            ]
            for key, reader in readers:
                found[key] = (*found.get(key, ()), reader)
    return found


def _free_keys(schema: StepSchema) -> frozenset[str]:
    """Keys for a step's context, for Vault and reports, and of conditional defaults."""
    context = piper_context.known_keys(schema) - piper_context.first_keys(schema)
    return context | piper_context.condition_values(schema)
