"""Pure.

Misspelt names in configurations: the known key, step, stage, section or variable that was meant.

`suggest` compares texts; this module decides what is compared, and when a name is a slip and not a
name of somebody else's. A variable or parameter that misspells a rule of the platform team is an
error, since the rule would be off silently.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

from towline.config.schema import SETTING_SECTIONS
from towline.errors import ConfigError
from towline.suggest import (
    CUTOFF_FEW,
    CUTOFF_KEY,
    CUTOFF_NAME,
    CUTOFF_RULE,
    CUTOFF_SLIP,
    CUTOFF_VARIABLE,
    close,
    of_like_length,
    one_slip_away,
    slip_candidates,
)

SECTIONS = (*SETTING_SECTIONS, "customDefaults", "hooks")
DEFINITION = ("spec", "apiVersion", "kind", "metadata")  # of stages, in a trusted document
OTHERS_PREFIXES = ("x-", ".", "_")  # of sections and keys that other programs read
_SHORTEST_KEY = 6  # letters; a shorter key is one slip away from too many words
# letters that a misspelt name may be longer or shorter
_MOST_LETTERS, _MOST_LETTERS_OF_RULE = 2, 3
_ID = re.compile(r"ids?\Z", re.IGNORECASE)
# parameters of Piper's mtaBuild and golangBuild, one letter away from one of Towline's
_PIPER_ONLY = frozenset({"target", "targetArchitectures"})
_PREFIX, _DOCUMENTS = "PIPER_", "TOWLINE_DEFAULTS"
# A project may set these too, and their value in a trusted layer limits the project's choice
# (docs/trust.md). A misspelt one limits nothing.
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


# ---- names in documents


def section_slip(key: str) -> str:
    """The section that `key` misspells; empty if it is a section or a name of its own."""
    if key in SECTIONS or key.startswith(OTHERS_PREFIXES):
        return ""
    return close(key, SECTIONS, cutoff=CUTOFF_FEW)


@lru_cache(maxsize=8192)
def slip(name: str, known: frozenset[str], *, cutoff: float = CUTOFF_NAME) -> str:
    """The known name that `name` misspells by a few letters; empty if there is none.

    A name with a word more or less is a name of its own.
    """
    return close(name, of_like_length(name, known, _MOST_LETTERS), cutoff=cutoff)


def stage_slip(name: str, known: frozenset[str]) -> str:
    """The known stage that `name` misspells; empty for a stage of its own, such as `Release 2`."""
    near = slip(name, known, cutoff=CUTOFF_KEY)
    return "" if re.match(rf"{re.escape(near)}[^a-z]", name, re.IGNORECASE) else near


def misspelt_stage(
    name: str, known: frozenset[str], configured: Collection[str], *, enables: bool
) -> str:
    """The known stage that the section `name` is meant for; empty if it is a stage of its own.

    It is one if it `enables` steps and the similar stage is `configured` too.
    """
    near = stage_slip(name, known)
    return "" if enables and near in configured else near


def rule_slip(name: str, rules: Iterable[str], *, cutoff: float = CUTOFF_RULE) -> str:
    """The rule of the platform team that `name` misspells; empty if there is none.

    A name that ends in `Id` is not a slip of one that does not (credentialsId and credentials).
    """
    is_id = bool(_ID.search(name))
    alike = [rule for rule in rules if bool(_ID.search(rule)) == is_id]
    return close(name, of_like_length(name, alike, _MOST_LETTERS_OF_RULE), cutoff=cutoff)


@lru_cache(maxsize=8192)
def key_slip(name: str, known: frozenset[str]) -> str:
    """The known key that is one slip away from `name`; empty if there is none.

    For sections where steps of other libraries have keys too.
    """
    if len(name) < _SHORTEST_KEY or name in _PIPER_ONLY:
        return ""
    return close(name, one_slip_away(name, slip_candidates(name, known)), cutoff=CUTOFF_SLIP)


# ---- variables and parameters


def check_variables(
    environ: Mapping[str, str], rules: Collection[str], keys: Collection[str]
) -> None:
    """Pass if no variable misspells TOWLINE_DEFAULTS or the variable of a rule; raises ConfigError.

    `rules` are the parameters that only the platform team sets, `keys` all parameters.
    """
    variables = [_DOCUMENTS, *(f"{_PREFIX}{rule}" for rule in rules)]
    for name, value in environ.items():
        is_ours = name.startswith((_PREFIX, "TOWLINE_"))
        if not value or not is_ours or name in variables or name.removeprefix(_PREFIX) in keys:
            continue
        if meant := rule_slip(name, variables, cutoff=CUTOFF_VARIABLE):
            raise _unread_rule(f"the variable {name}", meant, where=name)


def misspelt(
    environ: Mapping[str, str], names: Iterable[str], keys: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Each variable PIPER_<name> one slip away from a parameter: its name and the parameter's.

    `names` are the parameters, `keys` all names that are read.
    """
    known = frozenset(names)
    for variable, value in environ.items():
        name = variable.removeprefix(_PREFIX)
        if value and name != variable and name not in keys and (meant := key_slip(name, known)):
            yield name, meant


def check_parameters(
    names: Iterable[str], rules: Collection[str], keys: Collection[str], where: str
) -> None:
    """Pass if none of the `names` of ignored parameters misspells a rule; raises ConfigError."""
    for name in names:
        if name not in keys and (meant := rule_slip(name, rules)):
            raise _unread_rule(name, meant, where=where)


def _unread_rule(name: str, meant: str, *, where: str) -> ConfigError:
    return ConfigError(
        f"nothing reads {name}, and the rule of the platform team in it is ignored",
        where=where,
        hint=f"did you mean {meant}?",
    )
