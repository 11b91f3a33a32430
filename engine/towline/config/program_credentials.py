"""Pure.

Vault's general and test credentials for programs (facts 8): secrets, fields, names of variables.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from towline.config.merge import Setting
from towline.config.schema import SCOPES, Parameter, StepSchema, as_text
from towline.config.settings import Settings
from towline.config.values import EMPTY
from towline.config.vault_lookup import VaultQuestion, path_properties, secret_paths
from towline.errors import ConfigError
from towline.record import frozen, replace

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")
_SHAPE = (
    "write one path with one list of keys, or a list of paths with a list of keys for each path;"
    " and, if you set prefixes, one for each path"
)


@frozen
class _Kind:
    """General or test credentials.

    The keys of the configuration begin with `stem`; `usual` is the default prefix of the variables.
    """

    stem: str
    usual: str
    general: bool

    @property
    def keys(self) -> tuple[str, str, str]:
        """The keys for path, fields and prefix."""
        return f"{self.stem}Path", f"{self.stem}Keys", f"{self.stem}EnvPrefix"


_KINDS = (
    _Kind(stem="vaultCredential", usual="PIPER_VAULTCREDENTIAL_", general=True),
    _Kind(stem="vaultTestCredential", usual="PIPER_TESTCREDENTIAL_", general=False),
)
_TYPES = ("string", "list", "string")


@frozen
class WantedCredential(VaultQuestion):
    """Fields of one secret; the first of `paths` that has one of them decides.

    Each field becomes a variable for each prefix, and if `encoded`, one in base64 as well. `own`: a
    pull request can change the first prefix. `where` is the place of the keys.
    """

    prefixes: tuple[str, ...] = ()
    encoded: bool = False
    own: bool = False
    where: str = ""


@frozen
class FoundCredential:
    """The fields of a credential at `path` in Vault; it is empty if none of its paths has one."""

    wanted: WantedCredential
    path: str
    fields: Mapping[str, str]


def with_credential_keys(step: StepSchema) -> StepSchema:
    """The step's schema with the keys of the configuration for these credentials."""
    added = (
        Parameter(name=name, type=type_name, description="", scope=SCOPES)
        for kind in _KINDS
        for name, type_name in zip(kind.keys, _TYPES, strict=True)
    )
    return replace(step, parameters=(*step.parameters, *added))


def check_credentials(values: Mapping[str, Setting]) -> bool:
    """Whether the settings name such credentials.

    Raises ConfigError for paths, keys and prefixes of different shapes, and for an invalid prefix.
    """
    # a list, not `any`: the second kind is checked even if the first is set
    return True in [_check(kind, values) for kind in _KINDS]


def _check(kind: _Kind, values: Mapping[str, Setting]) -> bool:
    path, keys, prefix = kind.keys
    if not _given(path, values):
        return False
    if not _have_equal_shape(*_values(kind, values)):
        where = values[keys if keys in values else path].origin
        raise ConfigError(
            f"{path}, {keys} and {prefix} do not have the same shape", where=where, hint=_SHAPE
        )
    for _, _, chosen in _entries(kind, values):
        if chosen and not _NAME.fullmatch(chosen):
            raise ConfigError(
                f"{prefix} is {chosen!r}, and the name of a variable cannot begin with it",
                where=values[prefix].origin,
                hint="write letters, digits and _, and begin with a letter or _",
            )
    return True


def _have_equal_shape(path: object, keys: object, prefix: object) -> bool:
    if not isinstance(path, list):
        return (
            bool(_text(path))
            and isinstance(keys, list)
            and bool(keys)
            and all(map(_text, keys))
            and (prefix is None or bool(_text(prefix)))
        )
    prefixes = [None] * len(path) if prefix is None else prefix
    if (
        not isinstance(keys, list)
        or not isinstance(prefixes, list)
        or not len(path) == len(keys) == len(prefixes)
    ):
        return False
    return all(
        not isinstance(each, list) and _have_equal_shape(each, its_keys, prefix or None)
        for each, its_keys, prefix in zip(path, keys, prefixes, strict=True)
    )


def wanted_credentials(
    step: StepSchema, settings: Settings, values: Mapping[str, Setting]
) -> Iterator[WantedCredential]:
    """The fields that are wanted of each secret.

    `values` are the step's layers, folded, which `check_credentials` accepts. Raises ConfigError as
    `secret_paths` does.
    """
    properties = path_properties(step, settings, values)
    for kind in _KINDS:
        path, keys, prefix = kind.keys
        for name, fields, chosen in _entries(kind, values):
            found = secret_paths(
                settings, properties, name, "" if values[path].trusted else values[path].origin
            )
            usual = (kind.usual,) if not chosen or kind.general else ()
            yield WantedCredential(
                parameter=name,
                paths=tuple(found),
                origins=found,
                fields=fields,
                prefixes=tuple(dict.fromkeys([*filter(None, [chosen]), *usual])),
                encoded=kind.general,
                own=prefix in values and not values[prefix].trusted,
                where=values[keys if keys in values else path].origin,
            )


def _values(kind: _Kind, values: Mapping[str, Setting]) -> tuple[object, object, object]:
    """Path, keys and prefix as they are set; None for each that is not set."""
    path, keys, prefix = (
        values[name].value if _given(name, values) else None for name in kind.keys
    )
    return path, keys, prefix


def _entries(
    kind: _Kind, values: Mapping[str, Setting]
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Path, fields and prefix of each secret; empty ones if lists have different lengths."""
    path, keys, prefix = _values(kind, values)
    several = isinstance(path, list)
    for number, secret in enumerate(path if isinstance(path, list) else [path] if path else []):
        fields, chosen = (_element(value, number) if several else value for value in (keys, prefix))
        yield (
            _text(secret),
            tuple(map(_text, fields)) if isinstance(fields, list) else (),
            _text(chosen),
        )


def _element(value: object, number: int) -> object:
    return value[number] if isinstance(value, list) and number < len(value) else None


def _given(name: str, values: Mapping[str, Setting]) -> bool:
    return name in values and values[name].value not in EMPTY


def _text(value: object) -> str:
    """A text or number as text; empty for anything else."""
    return (
        as_text(value)
        if isinstance(value, str | int | float) and not isinstance(value, bool)
        else ""
    )


def read_credentials(
    wanted: Iterable[VaultQuestion], read: Callable[[str], Mapping[str, str]]
) -> Iterator[FoundCredential]:
    """The fields of each wanted credential; `read` maps a path to its fields."""
    for question in wanted:
        if isinstance(question, WantedCredential):
            candidates = ((path, read(path)) for path in question.paths)
            path, fields = next(
                (
                    (path, fields)
                    for path, fields in candidates
                    if fields.keys() & set(question.fields)
                ),
                ("", {}),
            )
            yield FoundCredential(wanted=question, path=path, fields=fields)


def credential_variables(
    found: Iterable[FoundCredential], environ: Mapping[str, str], warn: Callable[[str], None]
) -> dict[str, str]:
    """The variables by name; warns of a missing field.

    Raises ConfigError if a credential has no field at all, if two fields would be one variable, or
    if a project's prefix makes a variable that exists already.
    """
    made: dict[str, str] = {}
    for credential in found:
        wanted = credential.wanted
        if not credential.path:
            raise ConfigError(
                f"Vault has none of {', '.join(wanted.fields)} at"
                f" {' or '.join(wanted.paths) or wanted.parameter}",
                where=wanted.where,
                hint=(
                    "correct the path or the keys, or write them into Vault"
                    if wanted.paths
                    else "set vaultPath or vaultBasePath, below which secrets are looked for"
                ),
            )
        for field in wanted.fields:
            if field not in credential.fields:
                warn(f"Vault has no field {field} at {credential.path} ({wanted.where})")
                continue
            for name, value in _named(wanted, field, credential.fields[field]):
                if made.setdefault(name, value) != value:
                    raise ConfigError(
                        f"two fields of Vault's secrets would both be the variable {name}",
                        where=wanted.where,
                        hint="give one of them another prefix",
                    )
                if wanted.own and name in environ:
                    raise ConfigError(
                        f"the variable {name} exists, and the project's prefix would let a secret"
                        " of Vault replace it",
                        where=wanted.where,
                        hint="choose another prefix",
                    )
    return made


def _named(wanted: WantedCredential, field: str, value: str) -> Iterator[tuple[str, str]]:
    name = _NOT_IN_NAMES.sub("", field.upper().replace("-", "_"))
    for prefix in wanted.prefixes:
        if not name:
            raise ConfigError(
                f"the field {field!r} has no letter or digit for the name of a variable",
                where=wanted.where,
                hint="use a field with letters or digits in its name",
            )
        yield f"{prefix}{name}", value
        if wanted.encoded:
            yield f"{prefix}{name}_BASE64", base64.b64encode(value.encode()).decode()
