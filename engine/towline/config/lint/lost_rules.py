"""Pure.

Rules of the platform team that do not count: keys that only it may set, misspelt or out of place in
its own default documents.

Such a slip is no matter of taste: `credentialHost` lets every credential go everywhere, and nothing
else would say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from towline.config.documents import ConfigDocument, stage_name
from towline.config.lint.findings import Finding, finding
from towline.config.near_names import alike, stage_slip
from towline.suggest import close

_NEAR, _SLIPS = 0.82, 3
_OWN = ("x-", ".", "_")  # of sections that somebody else reads
_SECTIONS = ("general", "steps", "stages")


@dataclass(frozen=True, kw_only=True)
class Names:
    """What there is: the `rules`, keys that only the platform team may set; every key that means something; every spelling of a step; stages.

    `bounds`: keys that a project may set as well, and whose value in the platform team's document
    bounds what it may.
    """

    rules: frozenset[str]
    bounds: frozenset[str] = frozenset()
    keys: frozenset[str]
    steps: frozenset[str]
    stages: frozenset[str]


def lost_rules(document: ConfigDocument, names: Names) -> Iterator[Finding]:
    """A finding for each rule in the platform team's `document` that nothing reads."""
    for key, value in document.content.items():
        if key in _SECTIONS:
            continue
        rule, section = (
            _rule(key, names) if _meant(key, value) else "",
            close(key, _SECTIONS, cutoff=0.7),
        )
        if rule:
            yield _lost(document, (key,), f"{key} stands in no section", f"write {rule} in general")
        elif section and _held(value, names):
            yield _lost(
                document, (key,), f"nothing reads the section {key}", f"did you mean {section!r}?"
            )
        elif not key.startswith(_OWN) and (rule := _exact(value, names)):
            yield _lost(
                document,
                (key,),
                f"no step reads {rule} in the section {key}",
                "move it to general, or begin the section's name with x-",
            )
    general: Mapping[str, Any] = document.section("general")
    yield from _keys(document, ("general",), general, names)
    yield from _sections(document, "steps", names.steps, names)
    yield from _sections(document, "stages", names.stages, names)


def _sections(
    document: ConfigDocument, kind: str, known: frozenset[str], names: Names
) -> Iterator[Finding]:
    sections: Mapping[str, Any] = document.section(kind)
    for name, values in sections.items():
        slip = _near if kind == "steps" else stage_slip
        meant = "" if name in known or stage_name(name) in known else slip(name, known)
        if meant and _held(values, names):
            yield _lost(
                document,
                (kind, name),
                f"there is no {kind.removesuffix('s')} {name}",
                f"did you mean {meant!r}?",
            )
        if kind == "stages" or name in known or meant:  # another step's own section is its own
            yield from _keys(document, (kind, name), values or {}, names)


def _keys(
    document: ConfigDocument, path: tuple[str, ...], values: Mapping[str, Any], names: Names
) -> Iterator[Finding]:
    for key, value in values.items():
        rule = "" if key in names.rules else _rule(key, names)
        if rule:
            yield _lost(document, (*path, key), f"nothing reads {key}", f"did you mean {rule!r}?")
        elif key in names.rules and isinstance(value, list) and None in value:
            yield _lost(
                document,
                (*path, key),
                f"{key} has an entry without a value",
                "write it out, or remove it",
            )
        elif key not in names.keys and not key.startswith(_OWN) and (rule := _exact(value, names)):
            yield _lost(
                document,
                (*path, key),
                f"nothing reads {rule} in {'.'.join((*path, key))}",
                f"move it to {'.'.join(path)}",
            )


def _lost(document: ConfigDocument, path: tuple[str, ...], what: str, fix: str) -> Finding:
    return finding(
        "lost-rule",
        document,
        path,
        message=f"{what}, and the rule of the platform team in it does not count",
        fix=fix,
    )


def _rule(key: str, names: Names) -> str:
    """The rule that a key is, or is a slip of."""
    if key in names.rules:
        return key
    return "" if key in names.keys else _near(key, names.rules | names.bounds)


def _exact(value: Any, names: Names) -> str:
    """The first rule, by its very name, in a section that belongs to others, or in the maps in it; empty if there is none."""
    inner = value.items() if isinstance(value, dict) else ()
    return next(
        (
            found
            for key, below in inner
            if (found := key if key in names.rules and _meant(key, below) else _exact(below, names))
        ),
        "",
    )


def _meant(key: str, value: Any) -> bool:
    """Whether a key that others may have, too, has a value as only the rule has it."""
    if key == "credentials":
        return (
            isinstance(value, dict)
            and bool(value)
            and all(isinstance(hosts, list) for hosts in value.values())
        )
    return key != "enforcement" or value in ("warn", "error")


def _near(name: str, known: frozenset[str]) -> str:
    return close(
        name,
        (each for each in alike(name, known) if abs(len(each) - len(name)) <= _SLIPS),
        cutoff=_NEAR,
    )


def _held(value: Any, names: Names) -> bool:
    """Whether a section holds a rule, in itself or in the sections in it."""
    if not isinstance(value, dict):
        return False
    return any(_rule(key, names) or _held(inner, names) for key, inner in value.items())
