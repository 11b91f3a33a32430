"""Pure.

Lint of one value: its type and possible values, trust, flags, spelling of numbers, aliases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from towline.config.conditions import parse_flag
from towline.config.lint.findings import Finding, finding
from towline.config.lint.known import ALL_BRANCHES, KnownKeys, Path, Reader, Section
from towline.config.merge import Setting, prune
from towline.config.rules import SettingFault, fit_setting, name_with_alias, untrusted_fault
from towline.config.values import EMPTY, respelled_values
from towline.record import replace
from towline.secret import is_secret
from towline.suggest import close

# unknown keys per section or list that get a hint with the nearest known key: a hint takes a while,
# and with more unknown keys something else is wrong
MOST_HINTS = 100


def check_value(
    section: Section, key: str, value: object, readers: Sequence[Reader]
) -> Iterator[Finding]:
    """The findings on a value for the parameters that read it: one of each rule."""
    path, rules = (*section.path, key), set()
    for reader in readers:
        read = _read(value, reader)
        for fault in _faults(section, reader, read) if read is not None else ():
            if fault.rule not in rules:
                rules.add(fault.rule)
                yield _of_fault(section, path, reader, fault)
        if "number-as-text" not in rules and (message := _respelled(reader, value)):
            rules.add("number-as-text")
            yield finding("number-as-text", section.document, path, message=message)
        yield from _check_maps(section, path, value, reader)
    reading = [reader for reader in readers if _read(value, reader) is not None]
    deprecated = [reader for reader in reading if reader.alias and reader.alias.deprecated]
    if deprecated and len(deprecated) == len(reading):
        yield finding(
            "deprecated-alias",
            section.document,
            path,
            message=f"{key} is deprecated",
            fix=f"write {deprecated[0].parameter.name}",
        )


def _of_fault(section: Section, path: Path, reader: Reader, fault: SettingFault) -> Finding:
    """The finding on a fault of a value; of a step of another library it is a warning at most."""
    found = finding(fault.rule, section.document, path, message=fault.problem, fix=fault.hint)
    if reader.schema.library and found.level == "error":
        return replace(found, level="warning")
    return found


def _check_maps(section: Section, path: Path, value: object, reader: Reader) -> Iterator[Finding]:
    """The findings in a list of maps that override a step's other parameters (`targets`).

    A run refuses each of them.
    """
    if reader.parameter.type != "objects" or reader.schema.library or not isinstance(value, list):
        return
    own = reader.schema.over(reader.parameter.name)
    hints = MOST_HINTS
    for number, item in enumerate(value):
        for key, inner in item.items() if isinstance(item, dict) else ():
            if parameter := own.get(key):
                inside = replace(section, path=(*path, number))
                readers = [Reader(schema=reader.schema, parameter=parameter)]
                yield from check_value(inside, key, inner, readers)
            elif not is_secret(key):
                near = close(key, own) if hints > 0 else ""
                hints -= 1
                yield finding(
                    "wrong-target",
                    section.document,
                    (*path, number, key),
                    message=f"{key} cannot be set in an entry of {reader.parameter.name}",
                    fix=f"did you mean {near!r}?" if near else "",
                )


def _faults(section: Section, reader: Reader, value: object) -> Iterator[SettingFault]:
    parameter, trusted = reader.parameter, section.document.trusted
    if parameter.read_by_others and section.path == ("general",) and not trusted:
        return
    if parameter.trusted and not trusted:
        if value not in EMPTY:
            yield untrusted_fault(parameter, "")
        return
    setting = Setting(value=prune(value), origin="", layer="", trusted=False)
    fit = fit_setting(parameter, setting, _name(reader))
    if isinstance(fit, SettingFault):
        yield fit


def _respelled(reader: Reader, value: object) -> str:
    """The message on a number or date that is read as text, and that Piper would spell otherwise.

    Empty if there is none.
    """
    found = next(respelled_values(_read(value, reader), reader.parameter.type), None)
    if found is None:
        return ""
    written, kind, read = found
    taken = (
        f", and so does {reader.schema.name}"
        if reader.schema.library
        else f": Towline takes {written}, Piper {read}"
    )
    return f"{_name(reader)} is {written}, {kind} that YAML reads as {read}{taken}"


def _name(reader: Reader) -> str:
    return name_with_alias(reader.parameter.name, reader.alias.name if reader.alias else "")


def _read(value: Any, reader: Reader) -> object:
    """A key's value as the parameter reads it: all of it, or the part that a deep alias names."""
    for part in reader.alias.name.split("/")[1:] if reader.alias else ():
        value = value.get(part) if isinstance(value, dict) else None
    return value


def check_flag(known: KnownKeys, section: Section, key: str, value: object) -> Iterator[Finding]:
    """The findings on the value of a flag of a step or a stage."""
    path, flag = (*section.path, key), parse_flag(value)
    is_of_other = known.spellings.get(key) in known.known.others
    if flag is not None and isinstance(value, str):
        in_piper = "Piper ignores it" if key == ALL_BRANCHES else "Piper's stages read it as true"
        message = f"the flag {key} is the text {value!r}, read as {str(flag).lower()}: {in_piper}"
        found = finding("wrong-flag", section.document, path, message=message)
        yield replace(found, level="warning")
    elif flag is None and value not in EMPTY and not is_of_other:
        yield finding(
            "wrong-flag",
            section.document,
            path,
            message=f"the flag {key} is {_kind(value)}, expected true or false",
            fix=(
                "write the step's parameters in steps, or directly in the stage's section"
                if isinstance(value, dict)
                else ""
            ),
        )


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return "a number" if isinstance(value, int | float) else "a text"
