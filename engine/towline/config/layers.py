"""Layers of configuration: documents, pipeline environment, variables and call, by precedence.

`step_layers` is the list of precedence. A layer holds only keys that the step's schema allows in it
(scope, by exact key), under the parameter's own name, each with its origin.
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
    layer_of,
)
from towline.config.schema import (
    GENERAL,
    PARAMETERS,
    STAGES,
    STEPS,
    ConditionalDefault,
    Parameter,
    StepSchema,
    as_text,
)
from towline.config.values import EMPTY, ZERO, parse_text, stripped
from towline.errors import ConfigError
from towline.literals import RepeatedKey, from_json
from towline.pipeline.environment import is_changed, is_proven, value_origin
from towline.record import field, frozen, replace

PARAMETERS_JSON = "PIPER_parametersJSON"
EMPTY_LAYER = Layer(name="variables", trusted=True, settings={})
_Where = Callable[..., str]  # the origin of a key, or of a key below it
_Entries = Mapping[str, tuple[object, _Where]]


@frozen
class Inputs:
    """The sources of a step's settings.

    `flags` are texts as typed, `parameters` are those of the call, `vault` are the values in Vault.
    The call is not trusted (`trusted_call`) if a change request is built: its Jenkinsfile or
    workflow belongs to its author. `bound` maps a variable to the id of the
    Jenkins credential that is bound to it.
    """

    stage: str
    documents: ConfigDocuments
    pipeline_environment: Mapping[str, object]
    environ: Mapping[str, str]
    parameters: Mapping[str, object]
    flags: Mapping[str, object]
    vault: Layer | None = None
    trusted_call: bool = True
    bound: Mapping[str, str] = field(default_factory=dict)


def effective_settings(schema: StepSchema, inputs: Inputs) -> dict[str, Setting]:
    """The settings of every key, unchecked: the step's layers, folded."""
    return fold_layers(schema, step_layers(schema, inputs))


def fold_layers(schema: StepSchema, layers: Sequence[Layer]) -> dict[str, Setting]:
    """Layers folded, with conditional defaults for parameters that no layer sets."""
    settings = fold_settings(layers)
    return {**settings, **fold_settings(_conditional_layers(schema, layers, settings))}


def step_layers(schema: StepSchema, inputs: Inputs) -> tuple[Layer, ...]:
    """Every layer of a step's settings, weakest first (facts 1.2).

    A source with `over: GENERAL` stands over the section `general` (docs/contract.md).
    """
    project, stage = inputs.documents.project, stage_name(inputs.stage)
    defaults = [
        layer
        for document in inputs.documents.defaults
        for layer in (
            _general_layer(schema, document),
            _step_layer(schema, document),
            # Piper takes the scope STEPS here too, unlike in the project's stages (facts 1.2)
            _stage_layer(schema, document, stage, STEPS),
        )
    ]
    call = call_layers(schema, inputs)
    return (
        _default_layer(schema),
        *_pipeline_layers(schema, inputs, over=""),
        *defaults,
        _general_layer(schema, project),
        *_pipeline_layers(schema, inputs, over=GENERAL),
        _step_layer(schema, project),
        _stage_layer(schema, project, stage, STAGES),
        agent_layer(schema, inputs.environ, inputs.bound),
        *(call if inputs.trusted_call else [_without_trusted(schema, layer) for layer in call]),
        *([inputs.vault] if inputs.vault else []),
    )


def call_layers(schema: StepSchema, inputs: Inputs) -> tuple[Layer, ...]:
    """The layers of the call itself, weakest first, as if it were trusted."""
    json_parameters = read_parameters(inputs.environ.get(PARAMETERS_JSON, ""))
    flags = {name: parse_text(_type_of(schema, name), text) for name, text in inputs.flags.items()}
    return (
        _call_layer(schema, "parameters JSON", json_parameters, PARAMETERS_JSON),
        _call_layer(schema, "call", inputs.parameters, "parameter of the call"),
        layer_of("flags", flags, trusted=True, origins={name: f"--{name}" for name in flags}),
    )


def trusted_only(schema: StepSchema, layer: Layer) -> list[str]:
    """The keys of a layer that only trusted layers may set."""
    parameters = ((name, schema.find(name)) for name in layer.settings)
    return [name for name, parameter in parameters if parameter and parameter.trusted]


def _without_trusted(schema: StepSchema, layer: Layer) -> Layer:
    """A layer as one that is not trusted, without the keys that only trusted layers set."""
    return layer.only(layer.settings.keys() - set(trusted_only(schema, layer))).distrusted()


def unfiltered_layers(
    documents: ConfigDocuments, names: Sequence[str], stage: str, *, below: Sequence[str] = ()
) -> tuple[Layer, ...]:
    """Every key of the sections of a step in a stage, weakest first (facts 3.2).

    `names` are the spellings of the step, its own name first. A key that is one of them, the step's
    flag, stands under the step's own name. The step sections `below` are read below its own.
    """
    stage = stage_name(stage)
    sections = (
        ("general", [["general"]]),
        (f"step {names[0]}", _step_paths([*names, *below])),
        (f"stage {stage}", [["stages", stage]]),
    )
    layers = []
    for document in (*documents.defaults, documents.project):
        for label, paths in sections:
            entries = _entries(document, *paths)
            flag = next((name for name in names if name in entries), "")
            renamed = {key: key for key in entries if key not in names}
            renamed |= {names[0]: flag} if flag else {}
            settings = {
                name: Setting(
                    value=entries[key][0],
                    origin=entries[key][1](),
                    layer=label,
                    trusted=document.trusted,
                )
                for name, key in renamed.items()
            }
            layers.append(Layer(name=label, trusted=document.trusted, settings=settings))
    return tuple(layers)


def mentions_any(schema: StepSchema, inputs: Inputs, keys: Collection[str]) -> bool:
    """Whether the step's sections, the agent or the call have one of `keys`, with any value.

    It is cheap, and is asked before the code that needs the keys is loaded. Raises
    ConfigError.
    """
    if any(inputs.environ.get(f"PIPER_{key}") for key in keys):
        return True
    paths = [("general",), *_step_paths(schema.names), ("stages", stage_name(inputs.stage))]
    documents = (*inputs.documents.defaults, inputs.documents.project)
    sources = (
        inputs.parameters,
        inputs.flags,
        read_parameters(inputs.environ.get(PARAMETERS_JSON, "")),
        *(document.section(*path) for document in documents for path in paths),
    )
    return any(key in source for source in sources for key in keys)


def read_parameters(text: str) -> Mapping[str, object]:
    """The parameters in the text of PIPER_parametersJSON, none if it is empty.

    Raises ConfigError if it is not a JSON object.
    """
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
            "the parameters are not a JSON object",
            where=PARAMETERS_JSON,
            hint='write {"name": value}, or remove the variable',
        )
    return parameters


def is_for_other_steps(schema: StepSchema, name: str) -> bool:
    """Whether the step ignores the key in `general` of a document that a pull request can change.

    Piper's other steps read it there.
    """
    parameter = schema.find(name)
    return parameter is not None and parameter.read_by_others


def agent_layer(
    schema: StepSchema, environ: Mapping[str, str], bound: Mapping[str, str] | None = None
) -> Layer:
    """The layer of the agent's variables PIPER_<parameter>; trusted.

    `bound` maps a variable to the id of the Jenkins credential that is bound to it.
    """
    settings = {}
    for parameter in schema.parameters:
        variable = f"PIPER_{parameter.name}"
        if environ.get(variable):
            settings[parameter.name] = Setting(
                value=parse_text(parameter.type, environ[variable]),
                origin=variable,
                layer="variables",
                trusted=True,
                bound=(bound or {}).get(variable, ""),
            )
    return Layer(name="variables", trusted=True, settings=settings)


# ---- layers of defaults and documents


def _default_layer(schema: StepSchema) -> Layer:
    """The layer of the metadata's defaults, and of maps of conditional ones by their condition."""
    conditional: dict[str, dict[str, object]] = {}
    for parameter in schema.parameters:
        for condition in parameter.conditions:
            conditional.setdefault(condition.value, {})[parameter.name] = condition.default
    defaults = {
        parameter.name: parameter.default
        for parameter in schema.parameters
        if parameter.default is not None
    }
    return layer_of(DEFAULT, {**conditional, **defaults}, trusted=True)


def _general_layer(schema: StepSchema, document: ConfigDocument) -> Layer:
    layer = _section_layer(schema, document, GENERAL, "general", ["general"])
    if document.trusted:
        return layer
    return layer.only([name for name in layer.settings if not is_for_other_steps(schema, name)])


def _step_layer(schema: StepSchema, document: ConfigDocument) -> Layer:
    paths = _step_paths(schema.names)
    return _section_layer(schema, document, STEPS, f"step {schema.name}", *paths)


def _stage_layer(schema: StepSchema, document: ConfigDocument, stage: str, scope: str) -> Layer:
    return _section_layer(schema, document, scope, f"stage {stage}", ["stages", stage])


def _step_paths(names: Sequence[str]) -> list[list[str]]:
    return [["steps", name] for name in names]


def _section_layer(
    schema: StepSchema, document: ConfigDocument, scope: str, label: str, *paths: Sequence[str]
) -> Layer:
    layer = _accepted_layer(
        schema, scope, _entries(document, *paths), name=label, trusted=document.trusted
    )
    return _without_trusted(schema, layer) if document.carried else layer


def _call_layer(
    schema: StepSchema, name: str, parameters: Mapping[str, object], where: str
) -> Layer:
    entries = {key: (value, partial(_call_origin, where)) for key, value in parameters.items()}
    return _accepted_layer(schema, PARAMETERS, entries, name=name, trusted=True)


def _call_origin(where: str, *_: str) -> str:
    return where


def _entries(document: ConfigDocument, *paths: Sequence[str]) -> _Entries:
    """The keys of several sections with their origins, without nulls; an earlier section wins."""
    found: dict[str, tuple[object, _Where]] = {}
    for path in paths:
        for key, value in document.section(*path).items():
            if value is not None and key not in found:
                found[key] = value, partial(document.where, *path, key)
    return found


def _accepted_layer(
    schema: StepSchema, scope: str, entries: _Entries, *, name: str, trusted: bool
) -> Layer:
    """The entries that this scope allows, under each parameter's own name, as the layer `name`.

    An alias is taken if that name is absent. Maps of conditional defaults stay under the value of
    their condition.
    """
    settings: dict[str, Setting] = {}
    for parameter in schema.parameters:
        if scope not in parameter.scope:
            continue
        for condition in parameter.conditions:
            if condition.value in entries:
                value, where = entries[condition.value]
                settings[condition.value] = Setting(
                    value=value, origin=where(), layer=name, trusted=trusted
                )
        entry = _entry_of(parameter, scope, entries)
        if entry is not None:
            value, origin, alias = entry
            settings[parameter.name] = Setting(
                value=value, origin=origin, layer=name, trusted=trusted, alias=alias
            )
    return Layer(name=name, trusted=trusted, settings=settings)


def _entry_of(
    parameter: Parameter, scope: str, entries: _Entries
) -> tuple[object, str, str] | None:
    """The first value of the parameter's name and aliases, with its origin and alias."""
    # a name is one key, an alias may be a path
    spellings = [("", [parameter.name])]
    spellings += [
        (alias.name, alias.name.split("/")) for alias in parameter.aliases if scope in alias.scope
    ]
    for alias, path in spellings:
        if path[0] not in entries:
            continue
        value, where = entries[path[0]]
        for part in path[1:]:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            return value, where(*path[1:]), alias
    return None


def _conditional_layers(
    schema: StepSchema, layers: Sequence[Layer], settings: Mapping[str, Setting]
) -> Iterable[Layer]:
    """The layers of conditional defaults for each parameter that nothing sets."""
    for parameter in schema.parameters:
        for condition in parameter.conditions if parameter.name not in settings else ():
            chosen = settings.get(condition.parameter)
            if chosen is not None and as_text(chosen.value) == condition.value:
                yield from _conditional_layer(parameter, condition, layers)


def _conditional_layer(
    parameter: Parameter, condition: ConditionalDefault, layers: Sequence[Layer]
) -> Iterable[Layer]:
    """The parameter's entry in the map under the condition's value, in each layer that has it."""
    for layer in layers:
        held = layer.settings.get(condition.value)
        if held is None or not isinstance(held.value, dict):
            continue
        value = held.value.get(parameter.name)
        if value is not None:
            setting = replace(held, value=value, alias="")
            yield replace(layer, settings={parameter.name: setting})


# ---- layers of the pipeline environment


def _pipeline_layers(schema: StepSchema, inputs: Inputs, *, over: str) -> tuple[Layer, ...]:
    """Layers of the pipeline environment: per parameter the first source that is not empty.

    An empty list or map is taken over a default only, as in Piper. Values that no step of this
    pipeline is known to have written are a layer of their own, and so are values that were changed
    after a step had written them.
    """
    values = inputs.pipeline_environment
    keys = _source_keys(schema, values, over=over)
    kinds = (CHANGED, UNPROVEN, PIPELINE_ENVIRONMENT)
    settings: dict[str, dict[str, Setting]] = {kind: {} for kind in kinds}
    for name, key in keys.items():
        kind = _pipeline_layer_of(values, key)
        settings[kind][name] = Setting(
            value=stripped(values[key]),
            origin=value_origin(values, key),
            layer=kind,
            trusted=False,
        )
    return tuple(Layer(name=kind, trusted=False, settings=settings[kind]) for kind in kinds)


def _source_keys(
    schema: StepSchema, values: Mapping[str, object], *, over: str
) -> Mapping[str, str]:
    """The key of the pipeline environment that has each parameter's value, by parameter."""
    found: dict[str, str] = {}
    empty: dict[str, str] = {}
    for parameter in schema.parameters:
        for source in parameter.sources:
            key = source.pipeline_environment
            value = stripped(values.get(key))
            if source.over == over and value not in EMPTY:
                found.setdefault(parameter.name, key)
            is_empty = value in ([], {}) and value == ZERO[parameter.type]
            if not over and is_empty and parameter.default not in EMPTY:
                empty.setdefault(parameter.name, key)
    return {**empty, **found}


def _pipeline_layer_of(values: Mapping[str, object], key: str) -> str:
    """The name of a value's layer: whether a step of this pipeline is known to have written it."""
    if is_proven(values, key):
        return PIPELINE_ENVIRONMENT
    return CHANGED if is_changed(values, key) else UNPROVEN


def _type_of(schema: StepSchema, name: str) -> str:
    parameter = schema.find(name)
    return parameter.type if parameter else ""
