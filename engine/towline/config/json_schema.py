"""Pure.

The project's configuration as a JSON Schema (draft 2020-12), made of the steps' metadata: editors
complete, explain and check with it.

The schema allows everything that the engine accepts: unknown keys, other spellings, numbers for
texts, nulls. It does not require mandatory parameters, since another layer may set them. A key in a
stage's section is checked for the steps that run in the stage: those whose flag is true in the
section, and those of the stage that the file configures.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from towline.config.schema import GENERAL, STAGES, STEPS, Parameter, ParameterAlias, StepSchema

_Json = dict[str, Any]

_TEXT: _Json = {"type": ["string", "number", "null"]}
_TYPES: Mapping[str, _Json] = {
    "string": _TEXT,
    "boolean": {
        "type": ["boolean", "string", "null"],
        "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$",
    },
    "integer": {"type": ["integer", "string", "null"], "pattern": r"^\s*[+-]?[0-9]{1,18}\s*$"},
    "list": {"type": ["array", "null"], "items": _TEXT},
    "map": {"type": ["object", "null"], "additionalProperties": _TEXT},
    "object": {"type": ["object", "null"]},
    "objects": {"type": ["array", "null"], "items": {"type": ["object", "null"]}},
}
_TRUE: _Json = {
    "anyOf": [{"const": True}, {"type": "string", "pattern": r"^\s*[Tt][Rr][Uu][Ee]\s*$"}]
}
_DESCRIPTIVE = ("description", "default", "deprecated")


def json_schema(schemas: Sequence[StepSchema], stages: Mapping[str, Collection[str]]) -> _Json:
    """The schema of `.pipeline/config.yml` for these steps.

    `stages` are the names that are offered, with their steps; any other name is a stage as well.
    """
    flags = {name: _flag(schema, name) for schema in schemas for name in schema.names}
    stage = {"$ref": "#/$defs/stage"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": ".pipeline/config.yml",
        "description": (
            "Settings of a pipeline and its steps. A stage's section wins over a step's section,"
            " and a step's section over the general one."
        ),
        "type": ["object", "null"],
        "properties": {
            "general": {"$ref": "#/$defs/general"},
            "steps": _section(
                "A section for each step, by its name.",
                {name: _step(schema, name) for schema in schemas for name in schema.names},
                _ANY_STEP,
            ),
            "stages": _section(
                "A section for each stage, by its name.", dict.fromkeys(stages, stage), stage
            ),
            "customDefaults": {
                "description": (
                    "Default documents: paths in the project, or URLs. A later document wins over"
                    " an earlier one, and this file over all of them."
                ),
                "type": ["array", "null"],
                "items": {"type": "string"},
            },
            "hooks": {"description": "Settings for notifications.", "type": ["object", "null"]},
        },
        "additionalProperties": True,
        "allOf": [_checks_stages(schema, stages) for schema in schemas],
        "$defs": {
            "general": _section(
                "Settings for every step and stage.",
                {**_described_keys(schemas, GENERAL), **_checked_keys(schemas), **flags},
            ),
            "stage": {
                **_section(
                    "Settings for this stage only, and flags of the steps that run in it.",
                    {**_described_keys(schemas, STAGES), **flags},
                ),
                "allOf": [
                    {"if": {"anyOf": _has_true_flag(schema)}, "then": _in_stage(schema)}
                    for schema in schemas
                ],
            },
            **{
                f"{schema.name} in a stage": {
                    "properties": _without_description(_keys(schema.parameters, STAGES))
                }
                for schema in schemas
            },
            **{schema.name: _section(schema.description, _step_keys(schema)) for schema in schemas},
        },
    }


def _checks_stages(schema: StepSchema, stages: Mapping[str, Collection[str]]) -> _Json:
    """The rule that the sections of a step's stages are checked for it, if it is configured."""
    sections: _Json = {
        "required": ["steps"],
        "properties": {
            "steps": {"type": "object", "anyOf": [{"required": [name]} for name in schema.names]}
        },
    }
    switched: _Json = {
        "required": ["general"],
        "properties": {"general": {"anyOf": _has_true_flag(schema)}},
    }
    having = {name: _in_stage(schema) for name, steps in stages.items() if schema.name in steps}
    return {
        "if": {"type": "object", "anyOf": [sections, switched]},
        "then": {"properties": {"stages": {"properties": having}}},
    }


def _has_true_flag(schema: StepSchema) -> list[_Json]:
    """The condition that one of the step's flags is true in a section."""
    return [
        {"type": "object", "required": [name], "properties": {name: _TRUE}} for name in schema.names
    ]


def _in_stage(schema: StepSchema) -> _Json:
    return {"$ref": f"#/$defs/{schema.name} in a stage"}


def _without_description(described: Mapping[str, _Json]) -> dict[str, _Json]:
    """The schema of values without their description."""
    return {
        key: {word: value for word, value in each.items() if word not in _DESCRIPTIVE}
        for key, each in described.items()
    }


def _described_keys(schemas: Sequence[StepSchema], scope: str) -> dict[str, _Json]:
    """The keys that any step reads in sections of a scope: their descriptions, without types."""
    return {
        key: {word: each[word] for word in ("description", "deprecated") if word in each}
        for key, each in _keys_of_all(schemas, scope).items()
    }


def _checked_keys(schemas: Sequence[StepSchema]) -> dict[str, _Json]:
    """The keys of the general section that a step of the engine reads, with their types.

    Keys that only steps of other libraries read are not checked here.
    """
    own = {
        key for schema in schemas if not schema.library for key in _keys(schema.parameters, GENERAL)
    }
    return {key: each for key, each in _keys_of_all(schemas, GENERAL).items() if key in own}


_ANY_STEP: _Json = {"type": ["object", "null"]}


def _section(
    description: str,
    properties: Mapping[str, _Json],
    others: object = True,  # noqa: FBT002 - JSON's true
) -> _Json:
    return {
        "description": description,
        "type": ["object", "null"],
        "properties": dict(properties),
        "additionalProperties": others,
    }


def _step(schema: StepSchema, name: str) -> _Json:
    link: _Json = {"$ref": f"#/$defs/{schema.name}"}
    return (
        link
        if name == schema.name
        else {**link, "description": f"Another spelling of {schema.name}. {schema.description}"}
    )


def _flag(schema: StepSchema, name: str) -> _Json:
    spelling = "" if name == schema.name else f" Another spelling of {schema.name}."
    return {
        "description": (
            f"Whether {schema.name} runs; without it, conditions decide.{spelling}"
            f" {schema.description}"
        ),
        **_TYPES["boolean"],
        "pattern": r"^\s*([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|)\s*$",
    }


def _step_keys(schema: StepSchema) -> dict[str, _Json]:
    """The keys of a step's own section."""
    return _keys(schema.parameters, STEPS)


def _keys_of_all(schemas: Sequence[StepSchema], scope: str) -> dict[str, _Json]:
    """The keys of a section that every step reads.

    If steps read one key as different types, each of these types fits.
    """
    found: dict[str, list[_Json]] = {}
    for schema in schemas:
        for key, described in _keys(schema.parameters, scope).items():
            found.setdefault(key, []).append(
                {**described, "description": f"{schema.name}: {described['description']}"}
            )
    return {key: _any_of(described) for key, described in found.items()}


def _keys(parameters: Iterable[Parameter], scope: str) -> dict[str, _Json]:
    """The keys that a step reads in sections of a scope.

    A parameter's name wins over another one's alias.
    """
    names: dict[str, _Json] = {}
    aliases: dict[str, _Json] = {}
    for parameter in (each for each in parameters if scope in each.scope):
        names[parameter.name] = _described(parameter, scope)
        for alias in parameter.aliases:
            if scope in alias.scope:
                path, described = _nested(alias.name, _alias(parameter, alias, scope))
                aliases.setdefault(path, described)
    return {**aliases, **names}


def _nested(path: str, described: _Json) -> tuple[str, _Json]:
    """The first key of an alias `a/b/c`, and its schema: nested maps down to the parameter."""
    first, *inner = path.split("/")
    for key in reversed(inner):
        described = {
            "description": described["description"],
            "type": ["object", "null"],
            "properties": {key: described},
        }
    return first, described


def _described(parameter: Parameter, scope: str) -> _Json:
    """A parameter's type, values, default and description in sections of a scope."""
    if parameter.read_by_others and scope == GENERAL:
        return {
            "description": (
                f"{parameter.description} Here it is for other steps: this step reads it only"
                " from the platform team."
            )
        }
    if parameter.trusted:  # the engine refuses it here, whatever its value
        return {
            "description": (
                f"{parameter.description} Not in this file: the platform team alone sets it."
            ),
            "not": {},
        }
    notes = ["A secret: not in this file, but as a credential or a variable."] * parameter.secret
    described = {"description": " ".join([parameter.description, *notes]), **_values(parameter)}
    return described if parameter.default is None else {**described, "default": parameter.default}


def _values(parameter: Parameter) -> _Json:
    if not parameter.possible_values:
        limits = {"minimum": parameter.minimum, "maximum": parameter.maximum}
        return {
            **_TYPES[parameter.type],
            **{limit: number for limit, number in limits.items() if number is not None},
        }
    if parameter.type == "list":
        return {**_TYPES["list"], "items": {"enum": [*parameter.possible_values, None]}}
    return {"enum": [*parameter.possible_values, "", None]}


def _alias(parameter: Parameter, alias: ParameterAlias, scope: str) -> _Json:
    described = _described(parameter, scope)
    described["description"] = (
        f"{'Deprecated, use' if alias.deprecated else 'Another name of'} {parameter.name}."
        f" {parameter.description}"
    )
    return {**described, "deprecated": True} if alias.deprecated else described


def _any_of(described: Sequence[_Json]) -> _Json:
    """One description of a key that several steps read."""
    values = [
        {key: value for key, value in each.items() if key not in _DESCRIPTIVE} for each in described
    ]
    text = "\n".join(each["description"] for each in described)
    different = [value for number, value in enumerate(values) if value not in values[:number]]
    deprecated = {"deprecated": True} if all(each.get("deprecated") for each in described) else {}
    return {
        "description": text,
        **(different[0] if len(different) == 1 else {"anyOf": different}),
        **deprecated,
    }
