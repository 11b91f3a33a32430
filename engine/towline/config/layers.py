"""From documents, pipeline environment, variables and call to one ordered tuple of layers, each trusted or not: `ordered` is the precedence list.

A layer holds only what the step's schema lets stand in it (scope, by exact key), under the
parameter's own name, with the place of every value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from towline.config.documents import (
    ConfigDocument,
    ConfigDocuments,
    stage_name,
)
from towline.config.merge import (
    CHANGED,
    DEFAULT,
    PIPELINE_ENVIRONMENT,
    UNPROVEN,
    Layer,
    Setting,
    fold_settings,
)
from towline.config.schema import GENERAL, PARAMETERS, STAGES, STEPS, StepSchema, as_text
from towline.config.values import EMPTY, ZERO, parse_text
from towline.errors import ConfigError
from towline.literals import RepeatedKey, from_json
from towline.pipeline.environment import is_changed, is_proven, value_origin
from towline.record import field, frozen, replace

PARAMETERS_JSON = "PIPER_parametersJSON"
EMPTY_LAYER = Layer(name="variables", trusted=True, values={})
_Where = Callable[..., str]
_Entries = Mapping[str, tuple[object, _Where]]


@frozen
class Inputs:
    """All that a step's settings are made from; `flags` are texts as typed, `parameters` what the call passed, `vault` what Vault holds.

    `called`: the call is trusted. That of a change request is not: its Jenkinsfile or workflow
    belongs to its author. `bound`: the variables that Jenkins credentials are bound to, with their
    ids.
    """

    stage: str
    documents: ConfigDocuments
    pipeline_environment: Mapping[str, object]
    environ: Mapping[str, str]
    parameters: Mapping[str, object]
    flags: Mapping[str, object]
    vault: Layer | None = None
    called: bool = True
    bound: Mapping[str, str] = field(default_factory=dict)


def effective_settings(schema: StepSchema, inputs: Inputs) -> dict[str, Setting]:
    """The settings of every key, unchecked: what `settled` makes of the step's layers."""
    return fold_layers(schema, step_layers(schema, inputs))


def fold_layers(schema: StepSchema, layers: Sequence[Layer]) -> dict[str, Setting]:
    """Layers folded, and what conditional defaults add where a parameter is set in none of them."""
    settings = fold_settings(layers)
    return {**settings, **fold_settings(_conditional(schema, layers, settings))}


def step_layers(schema: StepSchema, inputs: Inputs) -> tuple[Layer, ...]:
    """Every layer of a step's settings, weakest first (facts 1.2; `over: GENERAL` of a source: docs/contract.md)."""
    project, stage = inputs.documents.project, stage_name(inputs.stage)
    return (
        _defaults(schema),
        *_pipeline(schema, inputs, over=""),
        *(
            layer
            for document in inputs.documents.defaults
            for layer in (
                _section(schema, document, GENERAL, "general", ["general"]),
                _section(
                    schema, document, STEPS, f"step {schema.name}", *_step_paths(schema.names)
                ),
                # Piper asks for the scope STEPS here too, unlike in the project's stages (facts
                # 1.2)
                _section(schema, document, STEPS, f"stage {stage}", ["stages", stage]),
            )
        ),
        _section(schema, project, GENERAL, "general", ["general"]),
        *_pipeline(schema, inputs, over=GENERAL),
        _section(schema, project, STEPS, f"step {schema.name}", *_step_paths(schema.names)),
        _section(schema, project, STAGES, f"stage {stage}", ["stages", stage]),
        agent_layer(schema, inputs.environ, inputs.bound),
        *(
            layer if inputs.called else _without_rules(schema, layer)
            for layer in call_layers(schema, inputs)
        ),
        *([inputs.vault] if inputs.vault else []),
    )


def call_layers(schema: StepSchema, inputs: Inputs) -> tuple[Layer, ...]:
    """What the call itself says, weakest first, as if it were trusted."""
    return (
        _call(
            schema,
            "parameters JSON",
            read_parameters(inputs.environ.get(PARAMETERS_JSON, "")),
            PARAMETERS_JSON,
        ),
        _call(schema, "call", inputs.parameters, "parameter of the call"),
        _layer(
            "flags",
            {
                name: _Found(value=parse_text(_kind(schema, name), text), where=f"--{name}")
                for name, text in inputs.flags.items()
            },
            trusted=True,
        ),
    )


def trusted_only(schema: StepSchema, layer: Layer) -> list[str]:
    """What of a layer only trusted ones may set."""
    return [name for name in layer.values if (parameter := schema.find(name)) and parameter.trusted]


def _without_rules(schema: StepSchema, layer: Layer) -> Layer:
    """A layer that is not trusted after all, without what only trusted ones set."""
    rules = trusted_only(schema, layer)
    return replace(
        layer,
        trusted=False,
        values={name: value for name, value in layer.values.items() if name not in rules},
    )


def unfiltered_layers(
    documents: ConfigDocuments, names: Sequence[str], stage: str
) -> tuple[Layer, ...]:
    """Every key of the sections that count for a step (`names`: its spellings, own name first) in a stage, weakest first (facts 3.2).

    A key that is another spelling of the step (its flag) stands under the step's own name.
    """
    layers = []
    stage = stage_name(stage)
    for document in (*documents.defaults, documents.project):
        for label, paths in (
            ("general", [["general"]]),
            (f"step {names[0]}", _step_paths(names)),
            (f"stage {stage}", [["stages", stage]]),
        ):
            entries = {
                key: _Found(value=value, where=where())
                for key, (value, where) in _entries(document, *paths).items()
            }
            flags = [entries.pop(name) for name in names if name in entries]
            layers.append(
                _layer(
                    label,
                    {**entries, **({names[0]: flags[0]} if flags else {})},
                    trusted=document.trusted,
                )
            )
    return tuple(layers)


def mentions_any(schema: StepSchema, inputs: Inputs, keys: Collection[str]) -> bool:
    """Whether the sections that count for the step, the agent or the call have one of these keys, whatever stands there; raises ConfigError.

    A look that costs little, before what the keys are for is loaded.
    """
    paths = [("general",), *_step_paths(schema.names), ("stages", stage_name(inputs.stage))]
    documents = (*inputs.documents.defaults, inputs.documents.project)
    sources = (
        inputs.parameters,
        inputs.flags,
        read_parameters(inputs.environ.get(PARAMETERS_JSON, "")),
    )
    held = (*sources, *(document.section(*path) for document in documents for path in paths))
    return any(key in section for section in held for key in keys) or any(
        inputs.environ.get(f"PIPER_{key}") for key in keys
    )


def read_parameters(text: str) -> Mapping[str, object]:
    """The parameters in the text of PIPER_parametersJSON, none where it is empty; raises ConfigError where it is no JSON object."""
    if not text.strip():
        return {}
    try:
        parameters = from_json(text)
    except RepeatedKey as fault:
        raise ConfigError(
            f"the parameters have the key {fault.key} twice",
            where=PARAMETERS_JSON,
            hint="remove one of the two",
        ) from fault
    except ValueError:
        parameters = None
    if not isinstance(parameters, dict):
        raise ConfigError(
            "the parameters are no JSON object",
            where=PARAMETERS_JSON,
            hint='write {"name": value}, or remove the variable',
        )
    return parameters


# ---- layers


@frozen
class _Found:
    """A value with its place, and the alias that it was written under."""

    value: object
    where: str
    alias: str = ""


def _step_paths(names: Sequence[str]) -> list[list[str]]:
    return [["steps", name] for name in names]


def _layer(name: str, found: Mapping[str, _Found], *, trusted: bool) -> Layer:
    return Layer(
        name=name,
        trusted=trusted,
        values={key: entry.value for key, entry in found.items()},
        origins={key: entry.where for key, entry in found.items()},
        aliases={key: entry.alias for key, entry in found.items() if entry.alias},
    )


def _defaults(schema: StepSchema) -> Layer:
    found = {
        parameter.name: _Found(value=parameter.default, where=DEFAULT)
        for parameter in schema.parameters
        if parameter.default is not None
    }
    conditional: dict[str, dict[str, object]] = {}
    for parameter in schema.parameters:
        for condition in parameter.conditions:
            conditional.setdefault(condition.value, {})[parameter.name] = condition.default
    return _layer(
        DEFAULT,
        {
            **{value: _Found(value=held, where=DEFAULT) for value, held in conditional.items()},
            **found,
        },
        trusted=True,
    )


def _section(
    schema: StepSchema, document: ConfigDocument, scope: str, label: str, *paths: Sequence[str]
) -> Layer:
    found = _accepted(schema, scope, _entries(document, *paths))
    if scope == GENERAL and not document.trusted:
        found = {
            name: entry for name, entry in found.items() if not is_for_other_steps(schema, name)
        }
    layer = _layer(label, found, trusted=document.trusted)
    return _without_rules(schema, layer) if document.carried else layer


def is_for_other_steps(schema: StepSchema, name: str) -> bool:
    """Whether a key in `general` of a document that a pull request can change is none of the step's: Piper's other steps read it there."""
    parameter = schema.find(name)
    return parameter is not None and parameter.read_by_others


def _call(schema: StepSchema, name: str, parameters: Mapping[str, object], where: str) -> Layer:
    entries = {key: (value, partial(_same, where)) for key, value in parameters.items()}
    return _layer(name, _accepted(schema, PARAMETERS, entries), trusted=True)


def _same(where: str, *_: str) -> str:
    return where


def _entries(document: ConfigDocument, *paths: Sequence[str]) -> _Entries:
    """The keys of several sections with their places, nulls left out; an earlier section wins."""
    found: dict[str, tuple[object, _Where]] = {}
    for path in paths:
        for key, value in document.section(*path).items():
            if value is not None and key not in found:
                found[key] = value, partial(document.where, *path, key)
    return found


def _accepted(schema: StepSchema, scope: str, entries: _Entries) -> Mapping[str, _Found]:
    """What may stand in this scope, under each parameter's own name (an alias counts where that is absent); and the maps of conditional defaults."""
    found: dict[str, _Found] = {}
    for parameter in schema.parameters:
        if scope in parameter.scope:
            for value in {condition.value for condition in parameter.conditions} & entries.keys():
                found[value] = _Found(value=entries[value][0], where=entries[value][1]())
            paths = {
                alias.name: alias.name.split("/")
                for alias in parameter.aliases
                if scope in alias.scope
            }
            # a name is one key, an alias may be a path
            walked = (
                _walk(entries, path, alias)
                for alias, path in {"": [parameter.name], **paths}.items()
            )
            entry = next((entry for entry in walked if entry is not None), None)
            if entry is not None:
                found[parameter.name] = entry
    return found


def _walk(entries: _Entries, path: Sequence[str], alias: str) -> _Found | None:
    """The value at a path of keys, None where there is none."""
    if path[0] not in entries:
        return None
    value, where = entries[path[0]]
    for part in path[1:]:
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else _Found(value=value, where=where(*path[1:]), alias=alias)


def _pipeline(schema: StepSchema, inputs: Inputs, *, over: str) -> tuple[Layer, ...]:
    """Per parameter the first non-empty of its sources in the pipeline environment; an empty list or map stands over defaults alone, as in Piper.

    What no step of this pipeline is known to have written is a layer of its own, and so is what
    stands in the place of what one has.
    """
    values = inputs.pipeline_environment
    found: dict[str, str] = {}
    empty: dict[str, str] = {}
    for parameter in schema.parameters:
        for source in parameter.sources:
            key = source.pipeline_environment
            value = _stripped(values.get(key))
            if source.over == over and parameter.name not in found and value not in EMPTY:
                found[parameter.name] = key
            if (
                not over
                and value in ([], {})
                and value == ZERO[parameter.type]
                and parameter.default not in EMPTY
            ):
                empty.setdefault(parameter.name, key)
    keys = {**empty, **found}
    entries = {
        name: _Found(value=_stripped(values[key]), where=value_origin(values, key))
        for name, key in keys.items()
    }
    names = {name: _known(values, key) for name, key in keys.items()}
    kinds = (CHANGED, UNPROVEN, PIPELINE_ENVIRONMENT)
    return tuple(
        _layer(
            kind, {name: entries[name] for name in entries if names[name] == kind}, trusted=False
        )
        for kind in kinds
    )


def _known(values: Mapping[str, object], key: str) -> str:
    """The layer of a value of the pipeline environment: how far it is known who has written it."""
    return (
        PIPELINE_ENVIRONMENT
        if is_proven(values, key)
        else CHANGED
        if is_changed(values, key)
        else UNPROVEN
    )


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def agent_layer(
    schema: StepSchema, environ: Mapping[str, str], bound: Mapping[str, str] | None = None
) -> Layer:
    """What the variables PIPER_<parameter> of the agent say, and those that are bound to Jenkins credentials; trusted."""
    found = {}
    for parameter in schema.parameters:
        variable = f"PIPER_{parameter.name}"
        if environ.get(variable):
            found[parameter.name] = _Found(
                value=parse_text(parameter.type, environ[variable]), where=variable
            )
    ids = {
        name: bound[entry.where] for name, entry in found.items() if bound and entry.where in bound
    }
    return replace(_layer("variables", found, trusted=True), bound=ids)


def _conditional(
    schema: StepSchema, layers: Sequence[Layer], settings: Mapping[str, Setting]
) -> Iterable[Layer]:
    """The layers of conditional defaults: for each parameter that nothing sets, what the maps under its condition's value hold."""
    for parameter in schema.parameters:
        for condition in parameter.conditions if parameter.name not in settings else ():
            chosen = settings.get(condition.parameter)
            if chosen is None or as_text(chosen.value) != condition.value:
                continue
            for layer in layers:
                held = layer.values.get(condition.value)
                if isinstance(held, dict) and held.get(parameter.name) is not None:
                    origins = {parameter.name: layer.origin(condition.value)}
                    yield Layer(
                        name=layer.name,
                        trusted=layer.trusted,
                        values={parameter.name: held[parameter.name]},
                        origins=origins,
                    )


def _kind(schema: StepSchema, name: str) -> str:
    parameter = schema.find(name)
    return parameter.type if parameter else ""
