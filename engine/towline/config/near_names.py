"""Pure.

Which known name was meant by one that nobody reads: a few letters away, and no name that other
people's steps have.

Variables of the agent that are nearly those by which the platform team sets its rules: such a rule
would not count, and nothing would say so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

from towline.errors import ConfigError
from towline.suggest import close

SECTIONS = ("general", "steps", "stages", "customDefaults", "hooks")
_NEAR, _NEAR_STAGE, _NEAR_SECTION, _SHORTEST, _SLIPS = 0.85, 0.8, 0.7, 6, 2
_ID = re.compile(r"ids?\Z", re.IGNORECASE)
# parameters of Piper's mtaBuild and golangBuild, one letter away from one of ours
_THEIRS = frozenset({"target", "targetArchitectures"})


def section_slip(key: str) -> str:
    """The section of a document that `key` is probably meant to be; empty if it is one, or rather a name of its own."""
    return (
        ""
        if key in SECTIONS or key.startswith(("x-", ".", "_"))
        else close(key, SECTIONS, cutoff=_NEAR_SECTION)
    )


@lru_cache(maxsize=8192)
def slip(name: str, known: frozenset[str], *, cutoff: float = _NEAR) -> str:
    """The known name that `name` is a slip of, a few letters away and no word more or less; empty where it is rather a name of its own."""
    return close(
        name, (each for each in known if abs(len(each) - len(name)) <= _SLIPS), cutoff=cutoff
    )


def alike(name: str, known: Iterable[str]) -> list[str]:
    """The known names that `name` may be a slip of: an id of something is another thing than that."""
    return [each for each in known if bool(_ID.search(name)) == bool(_ID.search(each))]


def stage_slip(name: str, known: frozenset[str]) -> str:
    """The known stage that `name` is a slip of; empty where it is rather a stage of its own, such as `Release 2`."""
    near = slip(name, known, cutoff=_NEAR_STAGE)
    return "" if re.match(rf"{re.escape(near)}[^a-z]", name, re.IGNORECASE) else near


@lru_cache(maxsize=8192)
def key_slip(name: str, known: frozenset[str]) -> str:
    """The known key that `name` is one slip away from, where other people's keys may stand, too; empty where there is none."""
    if len(name) < _SHORTEST or name in _THEIRS:
        return ""
    return close(name, one_slip_away(name, _candidates(name, known)), cutoff=0.5)


def _candidates(name: str, known: frozenset[str]) -> set[str]:
    """The few of hundreds of known names that may be one slip away: without one letter each, they and `name` meet."""
    shorter = _by_shorter(known)
    if len(name) > max(map(len, known), default=0) + 1:
        return set()
    return {each for word in _shorter(name.lower()) for each in shorter.get(word, ())}


@lru_cache(maxsize=64)
def _by_shorter(known: frozenset[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in known:
        for word in _shorter(each.lower()):
            found[word].append(each)
    return found


def _shorter(word: str) -> set[str]:
    """The word, and what is left of it without one of its letters."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def one_slip_away(name: str, known: Iterable[str]) -> list[str]:
    """The known names that differ from `name` by one letter, by two that changed places, or by the case of letters alone."""
    return [each for each in known if _is_one(name.lower(), each.lower())]


def _is_one(one: str, other: str) -> bool:
    if one == other:
        return True
    start = next(
        (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
        min(len(one), len(other)),
    )
    one, other = one[start:], other[start:]
    end = next(
        (
            at
            for at, (left, right) in enumerate(zip(reversed(one), reversed(other), strict=False))
            if left != right
        ),
        min(len(one), len(other)),
    )
    one, other = one[: len(one) - end], other[: len(other) - end]
    return max(len(one), len(other)) <= 1 or (len(one) == len(other) == 2 and one == other[::-1])


_NEAR_VARIABLE, _NEAR_VARIABLE, _VARIABLE_SLIPS = 0.82, 0.88, 3  # variables have a prefix in common
_PREFIX, _DOCUMENTS = "PIPER_", "TOWLINE_DEFAULTS"
# parameters of a project, too, whose value in a trusted layer bounds what the project may choose
# (docs/trust.md): misspelt, it bounds nothing
BOUNDS = frozenset(
    {
        "vaultServerUrl",
        "vaultNamespace",
        "vaultPath",
        "vaultBasePath",
        "vaultAuthRole",
        "vaultAuthMount",
    }
)


def check_variables(
    environ: Mapping[str, str], rules: Collection[str], keys: Collection[str]
) -> None:
    """Pass where no variable is nearly one that holds one of the `rules`, parameters that only the platform team sets, or that names its documents.

    `keys` are all parameters. Raises ConfigError.
    """
    rights = [_DOCUMENTS, *(f"{_PREFIX}{rule}" for rule in rules)]
    for name, value in environ.items():
        if (
            not value
            or not name.startswith((_PREFIX, "TOWLINE_"))
            or name in rights
            or name.removeprefix(_PREFIX) in keys
        ):
            continue
        if meant := _near(name, rights, _NEAR_VARIABLE):
            raise _lost(f"the variable {name}", meant, where=name)


def misspelt(
    environ: Mapping[str, str], names: Iterable[str], keys: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Each name that a variable has and that is one slip away from a parameter, one of `names`, and this one; `keys` are all that are read."""
    known = frozenset(names)
    for variable, value in environ.items():
        name = variable.removeprefix(_PREFIX)
        if value and name != variable and name not in keys and (meant := key_slip(name, known)):
            yield name, meant


def check_parameters(
    names: Iterable[str], rules: Collection[str], keys: Collection[str], where: str
) -> None:
    """Pass where none of the `names` of parameters that are left alone is nearly one of the `rules`; raises ConfigError."""
    for name in names:
        if name not in keys and (meant := _near(name, rules, _NEAR_VARIABLE)):
            raise _lost(name, meant, where=where)


def _near(name: str, known: Iterable[str], cutoff: float) -> str:
    return close(
        name,
        (one for one in alike(name, known) if abs(len(one) - len(name)) <= _VARIABLE_SLIPS),
        cutoff=cutoff,
    )


def _lost(what: str, meant: str, *, where: str) -> ConfigError:
    return ConfigError(
        f"nothing reads {what}, and the rule of the platform team in it does not count",
        where=where,
        hint=f"did you mean {meant}?",
    )
