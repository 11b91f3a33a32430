"""Pure. Variables of the agent that are nearly those by which the platform team sets its rules: such a rule would not count, and nothing would say so."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from towline.errors import ConfigError
from towline.suggest import close

_NEAR, _SLIPS = 0.88, 3
_PREFIX, _DOCUMENTS = "PIPER_", "TOWLINE_DEFAULTS"


def check_variables(environ: Mapping[str, str], rules: Collection[str], keys: Collection[str]) -> None:
    """Pass where no variable is nearly one that holds one of the `rules`, parameters that only the platform team sets, or that names its documents.

    `keys` are all parameters. Raises ConfigError.
    """
    rights = [_DOCUMENTS, *(f"{_PREFIX}{rule}" for rule in rules)]
    for name, value in environ.items():
        if not value or not name.startswith((_PREFIX, "TOWLINE_")) or name in rights or name.removeprefix(_PREFIX) in keys:
            continue
        meant = close(name, (right for right in rights if abs(len(right) - len(name)) <= _SLIPS), cutoff=_NEAR)
        if meant:
            raise ConfigError(f"nothing reads the variable {name}, and the rule of the platform team in it does not count", where=name,
                              hint=f"did you mean {meant}?")
