"""Pure.

Lost rules: keys that only the platform team may set, misspelt or misplaced in its documents.

Such a slip switches a rule off silently: with `credentialHost` instead of `credentialHosts`, every
credential may go to every host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from towline.config.documents import ConfigDocument, stage_name
from towline.config.lint.findings import Finding, finding
from towline.config.near_names import OTHERS_PREFIXES, rule_slip, stage_slip
from towline.config.schema import SETTING_SECTIONS
from towline.record import frozen
from towline.suggest import CUTOFF_FEW, close


@frozen
class KnownNames:
    """All known names: rules, keys that anything reads, spellings of steps, and stages.

    `rules` are keys that only the platform team may set. `bounds` are keys that a project may set
    too; their value in the platform team's documents limits the project's choice.
    """

    rules: frozenset[str]
    bounds: frozenset[str] = frozenset()
    keys: frozenset[str]
    steps: frozenset[str]
    stages: frozenset[str]


def lost_rules(document: ConfigDocument, names: KnownNames) -> Iterator[Finding]:
    """A finding for each rule in the platform team's `document` that nothing reads."""
    for key, value in document.content.items():
        if key not in SETTING_SECTIONS:
            yield from _unknown_section(document, key, value, names)
    general: Mapping[str, Any] = document.section("general")
    yield from _misplaced_keys(document, ("general",), general, names)
    yield from _named_sections(document, "steps", names.steps, names)
    yield from _named_sections(document, "stages", names.stages, names)


def _unknown_section(
    document: ConfigDocument, key: str, value: object, names: KnownNames
) -> Iterator[Finding]:
    """The finding on a key at the top of the document that is not a section."""
    if _has_rule_value(key, value) and (rule := _rule(key, names)):
        fix = f"write {rule} in general"
        yield _lost(document, (key,), f"{key} stands outside of every section", fix)
        return
    section = close(key, SETTING_SECTIONS, cutoff=CUTOFF_FEW)
    if section and _holds_rule(value, names):
        fix = f"did you mean {section!r}?"
        yield _lost(document, (key,), f"nothing reads the section {key}", fix)
    elif not key.startswith(OTHERS_PREFIXES) and (rule := _exact_rule(value, names)):
        fix = "move it to general, or begin the section's name with x-"
        yield _lost(document, (key,), f"no step reads {rule} in the section {key}", fix)


def _named_sections(
    document: ConfigDocument, kind: str, known: frozenset[str], names: KnownNames
) -> Iterator[Finding]:
    """The findings in the sections of steps or of stages, whichever `kind` says."""
    sections: Mapping[str, Any] = document.section(kind)
    misspelt = rule_slip if kind == "steps" else stage_slip
    for name, values in sections.items():
        is_known = name in known or stage_name(name) in known
        meant = "" if is_known else misspelt(name, known)
        if meant and _holds_rule(values, names):
            problem, fix = (
                f"there is no {kind.removesuffix('s')} {name}",
                f"did you mean {meant!r}?",
            )
            yield _lost(document, (kind, name), problem, fix)
        # sections of steps of other libraries are not checked
        if kind == "stages" or name in known or meant:
            yield from _misplaced_keys(document, (kind, name), values or {}, names)


def _misplaced_keys(
    document: ConfigDocument, path: tuple[str, ...], values: Mapping[str, Any], names: KnownNames
) -> Iterator[Finding]:
    """The findings on misspelt rules, rules with empty entries, and rules one level too deep."""
    for key, value in values.items():
        below, is_rule = (*path, key), key in names.rules
        if not is_rule and (rule := _rule(key, names)):
            yield _lost(document, below, f"nothing reads {key}", f"did you mean {rule!r}?")
        elif is_rule and isinstance(value, list) and None in value:
            fix = "give the entry a value, or remove it"
            yield _lost(document, below, f"{key} has an entry without a value", fix)
        elif key in names.keys or key.startswith(OTHERS_PREFIXES):
            continue
        elif rule := _exact_rule(value, names):
            problem = f"nothing reads {rule} in {'.'.join(below)}"
            yield _lost(document, below, problem, f"move it to {'.'.join(path)}")


def _lost(document: ConfigDocument, path: tuple[str, ...], problem: str, fix: str) -> Finding:
    message = f"{problem}, and the rule of the platform team in it is ignored"
    return finding("lost-rule", document, path, message=message, fix=fix)


def _rule(key: str, names: KnownNames) -> str:
    """The rule that `key` is or misspells; empty if there is none."""
    if key in names.rules:
        return key
    return "" if key in names.keys else rule_slip(key, names.rules | names.bounds)


def _exact_rule(value: Any, names: KnownNames) -> str:
    """The first correctly spelt rule in an unknown section, or in a map in it; empty if none."""
    if not isinstance(value, dict):
        return ""
    for key, inner in value.items():
        is_rule = key in names.rules and _has_rule_value(key, inner)
        if found := key if is_rule else _exact_rule(inner, names):
            return found
    return ""


def _has_rule_value(key: str, value: object) -> bool:
    """Whether the value has the form of the rule's: other programs may use the same key."""
    if key == "credentials":
        if not isinstance(value, dict) or not value:
            return False
        return all(isinstance(hosts, list) for hosts in value.values())
    return key != "enforcement" or value in ("warn", "error")


def _holds_rule(value: Any, names: KnownNames) -> bool:
    """Whether a section, or a section in it, has a rule or a misspelt one."""
    if not isinstance(value, dict):
        return False
    return any(_rule(key, names) or _holds_rule(inner, names) for key, inner in value.items())
