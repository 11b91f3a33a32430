"""Pure.

Which hosts inside of a network the platform team lets a project take default documents from:
`defaultHosts` of a trusted layer.

Whoever opens a pull request chooses `customDefaults`, and a mere plan of it reads them: it must not
have the agent ask what only the agent can reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from towline import allowed_hosts
from towline.config.text_form import typed
from towline.errors import ConfigError

if TYPE_CHECKING:
    from towline.config.documents import Document

NAME = "defaultHosts"
_VARIABLE = f"PIPER_{NAME}"


def default_hosts(documents: Iterable[Document], environ: Mapping[str, str]) -> tuple[str, ...]:
    """The entries of the variable, else of the last trusted document that has any; raises ConfigError for one that no host can match."""
    if text := environ.get(_VARIABLE):
        return _checked(typed("list", text), _VARIABLE)
    found: tuple[str, ...] = ()
    for document in documents:
        value = document.section("general").get(NAME)
        if document.trusted and value is not None:
            found = _checked(value, document.where("general", NAME))
    return found


def _checked(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ConfigError(
            f"{NAME} must be a list of hosts",
            where=where,
            hint="write host, host:port or *.example.com",
        )
    for entry in value:
        try:
            allowed_hosts.parse(entry)
        except ValueError as fault:
            raise ConfigError(
                f"no host can match {entry!r} in {NAME}", where=where, hint=str(fault)
            ) from fault
    return tuple(value)
