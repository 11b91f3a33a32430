"""Pure.

Variables of the agent that are nearly those by which the platform team sets its rules: such a rule
would not count, and nothing would say so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from towline.config.slips import alike, key_slip
from towline.errors import ConfigError
from towline.suggest import close

_NEAR, _NEAR_VARIABLE, _SLIPS = 0.82, 0.88, 3  # variables have a prefix in common
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
        if name not in keys and (meant := _near(name, rules, _NEAR)):
            raise _lost(name, meant, where=where)


def _near(name: str, known: Iterable[str], cutoff: float) -> str:
    return close(
        name,
        (one for one in alike(name, known) if abs(len(one) - len(name)) <= _SLIPS),
        cutoff=cutoff,
    )


def _lost(what: str, meant: str, *, where: str) -> ConfigError:
    return ConfigError(
        f"nothing reads {what}, and the rule of the platform team in it does not count",
        where=where,
        hint=f"did you mean {meant}?",
    )
