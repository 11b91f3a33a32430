"""Pure.

Rules on settings: types, possible values, mandatory parameters, groups, and trust.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from towline import host_patterns
from towline.config.merge import DEFAULT, Layer, Setting
from towline.config.schema import PARAMETERS, OneOfRule, Parameter, Requirement, StepSchema, as_text
from towline.config.values import EMPTY, EXPECTED, HOW_TO_WRITE, coerce, repeated_key
from towline.literals import text_of
from towline.printable import masked
from towline.record import frozen, replace
from towline.suggest import nearest

_FILE = ".pipeline/config.yml"


@frozen
class SettingFault:
    """A fault of a configuration: its place, what is wrong, and what to do about it.

    `credential`: a login lacks a part. `rule` is lint's (config/lint/findings.py) if the fault is
    one of a single value, whatever else is set.
    """

    where: str
    problem: str
    hint: str
    credential: bool = False
    rule: str = ""

    def __str__(self) -> str:
        return f"{f'{self.where}: ' if self.where else ''}{self.problem} ({self.hint})"


def check_settings(
    schema: StepSchema, layers: Sequence[Layer], folded: Mapping[str, Setting]
) -> tuple[dict[str, Setting], tuple[SettingFault, ...]]:
    """The settings, converted to their parameters' types, and every fault.

    The faults come in order: untrusted settings first, then by parameter, then by group.
    """
    settings: dict[str, Setting] = {}
    misfits: dict[str, SettingFault] = {}
    for parameter in schema.parameters:
        if parameter.name in folded:
            fit = fit_setting(
                parameter,
                folded[parameter.name],
                name_with_alias(parameter.name, folded[parameter.name].alias),
            )
            if isinstance(fit, SettingFault):
                misfits[parameter.name] = fit
            else:
                settings[parameter.name] = fit
    faults = [*_untrusted(schema, layers)]
    for parameter in schema.parameters:
        fault = misfits.get(parameter.name) or _missing(schema, parameter, settings)
        faults += [fault] if fault else []
    unfit = misfits.keys()
    faults += (
        fault
        for rule in schema.rules
        if not unfit & {name for group in rule.one_of for name in group}
        for fault in _broken(schema, rule, settings)
    )
    return settings, tuple(faults)


def _untrusted(schema: StepSchema, layers: Sequence[Layer]) -> Iterator[SettingFault]:
    for parameter in schema.parameters:
        for layer in layers if parameter.trusted else ():
            if not layer.trusted and layer.value(parameter.name) not in EMPTY:
                yield untrusted_fault(parameter, layer.settings[parameter.name].origin)


def untrusted_fault(parameter: Parameter, where: str) -> SettingFault:
    """The fault of a trusted parameter that is set where a pull request can change it."""
    of_steps = (
        f", as PIPER_{parameter.name} on the agent, or as {parameter.name} in the call of the step"
        if PARAMETERS in parameter.scope
        else ""
    )
    return SettingFault(
        rule="platform-only",
        where=where,
        problem=f"{parameter.name} may not be set by what a pull request can change",
        hint=(
            "remove it there; it counts in the platform team's defaults (TOWLINE_DEFAULTS on the"
            f" agent, or defaults of the call){of_steps}"
        ),
    )


# ---- one value


def name_with_alias(name: str, alias: str) -> str:
    """A parameter by its name, and by the alias that is written instead, if any."""
    return f"{name} (written as {alias})" if alias else name


def fit_setting(parameter: Parameter, setting: Setting, name: str) -> Setting | SettingFault:
    """The setting, converted to the parameter's type, or the fault of its value.

    `name` is the parameter's name in messages.
    """
    try:
        value = coerce(setting.value, parameter.type)
    except ValueError:
        twice = (
            ""
            if parameter.secret or not isinstance(setting.value, str)
            else repeated_key(setting.value)
        )
        problem = (
            f"{name} is {shown_value(parameter, setting.value)},"
            f" expected {EXPECTED[parameter.type]}" + f", each key once ({twice})" * bool(twice)
        )
        return SettingFault(
            rule="wrong-type",
            where=setting.origin,
            problem=problem,
            hint=HOW_TO_WRITE[parameter.type],
        )
    if parameter.later and value not in (*EMPTY, parameter.default):
        return SettingFault(
            where=setting.origin,
            problem=f"{name} is set, but Towline cannot do this yet",
            hint=parameter.later,
        )
    if isinstance(value, int) and parameter.minimum is not None and value < parameter.minimum:
        problem = f"{name} is {value}, expected at least {parameter.minimum}"
        return SettingFault(
            rule="wrong-value", where=setting.origin, problem=problem, hint=_without(parameter)
        )
    if isinstance(value, int) and parameter.maximum is not None and value > parameter.maximum:
        problem = f"{name} is {value}, expected at most {parameter.maximum}"
        return SettingFault(
            rule="wrong-value", where=setting.origin, problem=problem, hint=_without(parameter)
        )
    for text in _choices(parameter, value):
        if text not in parameter.possible_values:
            close = nearest(text, parameter.possible_values)
            hint = (
                f"{close} " * close.startswith("did")
                + f"possible: {', '.join(parameter.possible_values)}"
            )
            return SettingFault(
                rule="wrong-value",
                where=setting.origin,
                problem=f"{name} is {shown_value(parameter, text)}",
                hint=hint,
            )
    if fault := _no_host(parameter, value):
        problem, hint = fault
        return SettingFault(
            rule="wrong-value", where=setting.origin, problem=f"{name} has {problem}", hint=hint
        )
    # empty may stand everywhere, and is none of them
    if parameter.possible_values and value == "" and parameter.default:
        value = parameter.default
    return replace(setting, value=value)


def _no_host(parameter: Parameter, value: object) -> tuple[str, str] | None:
    """The entry of a list of hosts, or of a map of such lists, that no host can match, and the fix.

    None if there is none.
    """
    if not parameter.format:
        return None
    for key, held in value.items() if isinstance(value, dict) else [("", value)]:
        if not isinstance(held, list) or not all(isinstance(text, str) for text in held):
            return f"no list of hosts for {key}", f"write `{key}: [host]`"
        for text in held:
            try:
                host_patterns.parse(text)
            except ValueError as fault:
                return f"{shown_value(parameter, text)}, which no host can be", str(fault)
    return None


def _without(parameter: Parameter) -> str:
    """The hint for a value that is out of bounds."""
    return (
        "correct it, or leave it out"
        if parameter.default is None
        else f"correct it, or leave it out for {parameter.default}"
    )


def _choices(parameter: Parameter, value: object) -> list[str]:
    """The texts of a value that must be among the possible values."""
    if not parameter.possible_values or value in EMPTY:
        return []
    return [as_text(item) for item in value] if isinstance(value, list) else [as_text(value)]


def shown_value(parameter: Parameter, value: object) -> str:
    """A value for messages: without secrets and user info of URLs, and at most a line long."""
    if parameter.secret:
        return "a secret value that does not fit"
    if isinstance(value, list | dict):
        kind = "list" if isinstance(value, list) else "map"
        return f"a {kind} with more than texts in it" if parameter.type == kind else f"a {kind}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text_of(value)
    return masked(re.sub(r"://[^/@\s]*@", "://", json.dumps(value, ensure_ascii=False)))[:80]


# ---- what must be set


def _missing(
    schema: StepSchema, parameter: Parameter, settings: Mapping[str, Setting]
) -> SettingFault | None:
    """The fault of a mandatory parameter without a value; None if it is not mandatory or has one.

    A Jenkins credential still to be bound counts as a value.
    """
    if _given(schema, parameter.name, settings) or any(
        _set(name, settings) for name in parameter.unless
    ):
        return None
    why = ""
    if not parameter.mandatory:
        if not parameter.mandatory_if or not all(
            _holds(requirement, settings) for requirement in parameter.mandatory_if
        ):
            return None
        reasons = [_reason(requirement, settings) for requirement in parameter.mandatory_if]
        why = f", and {' and '.join(reasons)} need{'s' if len(reasons) == 1 else ''} it"
    where = settings[parameter.name].origin if parameter.name in settings else ""
    return SettingFault(
        where=where,
        problem=f"{parameter.name} is not set{why}",
        hint=how_to_set(schema, parameter),
        credential=parameter.secret,
    )


def _given(schema: StepSchema, name: str, settings: Mapping[str, Setting]) -> bool:
    return _set(name, settings) or any(
        name in entry.parameters.values() and _set(entry.name, settings)
        for entry in schema.credentials
    )


def _set(name: str, settings: Mapping[str, Setting]) -> bool:
    return name in settings and settings[name].value not in EMPTY


def _holds(requirement: Requirement, settings: Mapping[str, Setting]) -> bool:
    setting = settings.get(requirement.parameter)
    if requirement.not_empty:
        return _set(requirement.parameter, settings)
    return (as_text(setting.value) if setting else "") in requirement.values


def _reason(requirement: Requirement, settings: Mapping[str, Setting]) -> str:
    setting = settings.get(requirement.parameter)
    if setting is None:
        return f"a missing {requirement.parameter}"
    value = "" if requirement.not_empty else f" {as_text(setting.value)}"
    return (
        f"{requirement.parameter}{value}"
        f" ({'its default, since nothing sets it' if setting.layer == DEFAULT else setting.origin})"
    )


def how_to_set(schema: StepSchema, parameter: Parameter) -> str:
    """Every way to set a parameter, for hints; for a secret, never a file of the project."""
    sections = {
        "STEPS": f"steps.{schema.name}",
        "STAGES": "the stage's section",
        "GENERAL": "general",
    }
    where = " or ".join(section for scope, section in sections.items() if scope in parameter.scope)
    options = [f"give --{parameter.name}"] if schema.flags and not parameter.secret else []
    options += [
        (
            f"set {parameter.name} in {where} of {_FILE}, or as PIPER_{parameter.name}"
            if where and not parameter.secret
            else f"set PIPER_{parameter.name}"
        )
    ]
    options += [
        f"name a Jenkins credential in {entry.name}"
        for entry in schema.credentials
        if parameter.name in entry.parameters.values()
    ]
    options += (
        [f"keep it in Vault (secret {parameter.vault.default or parameter.vault.secret})"]
        if parameter.vault
        else []
    )
    options += [
        f"let an earlier step leave {source.pipeline_environment} in the pipeline environment"
        for source in parameter.sources[:1]
    ]
    return ", or ".join(options)


# ---- groups


def _broken(
    schema: StepSchema, rule: OneOfRule, settings: Mapping[str, Setting]
) -> Iterator[SettingFault]:
    """The faults of incomplete groups, and of a rule without any complete group."""
    halves = []
    for group in rule.one_of:
        given = [name for name in group if _given(schema, name, settings)]
        halves += (
            [(given, [name for name in group if name not in given])]
            if 0 < len(given) < len(group)
            else []
        )
    for given, lacking in halves:
        where = next((settings[name].origin for name in given if _set(name, settings)), "")
        yield SettingFault(
            where=where,
            problem=(
                f"{' and '.join(given)} {_is(given)} set and {' and '.join(lacking)}"
                f" {_is(lacking)} not"
            ),
            hint=rule.message or _how_to_set_all(schema, lacking),
            credential=_secret(schema, rule),
        )
    if (
        not halves
        and not rule.optional
        and not any(all(_given(schema, name, settings) for name in group) for group in rule.one_of)
    ):
        groups = " or ".join(" and ".join(group) for group in rule.one_of)
        yield SettingFault(
            where="",
            problem=f"{groups} must be set",
            hint=rule.message or _how_to_set_all(schema, rule.one_of[0]),
            credential=_secret(schema, rule),
        )


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _how_to_set_all(schema: StepSchema, names: Sequence[str]) -> str:
    return "; ".join(
        how_to_set(schema, parameter) for parameter in schema.parameters if parameter.name in names
    )


def _secret(schema: StepSchema, rule: OneOfRule) -> bool:
    return any(
        parameter.secret
        for parameter in schema.parameters
        if any(parameter.name in group for group in rule.one_of)
    )
