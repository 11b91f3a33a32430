"""Pure.

The lookup in Vault for a step: server, paths and fields, by metadata and settings (facts 8).

This module is for values of parameters; `program_credentials` is for those of programs. The command
asks the questions and makes a layer of the answers in `commands/vault_secrets.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from towline.config.credential_rules import host_entries
from towline.config.layers import Inputs, effective_settings, fold_layers, step_layers
from towline.config.merge import Setting
from towline.config.resolve import resolve
from towline.config.schema import SCOPES, Parameter, StepSchema, as_text
from towline.config.settings import Settings, checked_settings
from towline.config.values import EMPTY
from towline.config.vault_login import (
    NAMESPACE,
    PATHS,
    clean_path,
    credential_of,
    namespace_permission,
    role_permission,
)
from towline.credential_hosts import (
    CredentialGate,
    CredentialRefused,
    CredentialRules,
    HostAddress,
    HostSource,
    Permission,
    allow_line,
    named_only_by,
    project_permission,
    warn_or_raise,
    why_project_ignored,
)
from towline.errors import ConfigError, CredentialError
from towline.file_patterns import match_files
from towline.host_patterns import USUAL_PORTS
from towline.image import is_loopback
from towline.record import field, frozen, replace
from towline.vault.logins import VaultLogin

URL = "vaultServerUrl"
_ROOTS = {
    "vaultPath": "$(vaultPath)",
    "vaultPipelineName": "$(vaultBasePath)/$(vaultPipelineName)",
    "vaultBasePath": "$(vaultBasePath)/GROUP-SECRETS",
}
# settings that a path may refer to by `$(name)`
_TEXTS = (URL, NAMESPACE, "vaultPath", "vaultBasePath", "vaultPipelineName")
_PROPERTY = re.compile(r"\$\(([A-Za-z0-9.]*)\)")
_DEPTH, _LENGTH = 10, 2048
Ask = Callable[[StepSchema, Settings, Mapping[str, Setting]], "Iterator[VaultQuestion]"]
_HOST_FIELDS = ("url", "hosts")  # fields of a secret that name the hosts that it is for


@frozen
class VaultServer:
    """The server; `origin` is the place that names it."""

    url: str
    namespace: str
    origin: str


@frozen
class VaultQuestion:
    """A parameter's value: the first field that is not empty, in the first path that has one.

    `fields` are the parameter's name, then its aliases. If `whole`, the first existing secret
    decides, even if it lacks the field. `origins` has the place that names each path.
    """

    parameter: str
    paths: tuple[str, ...]
    fields: tuple[str, ...]
    file: bool = False
    whole: bool = False
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


@frozen
class VaultLookup:
    """All questions to Vault for one step, and the server.

    `named` is the source of the server's address. `chosen` are the paths that the project has
    chosen, each with its place; `bounds` are paths of trusted layers, and the project may choose
    paths below these. `settings` have the rules.
    """

    server: VaultServer
    questions: tuple[VaultQuestion, ...]
    settings: Settings
    named: HostSource
    chosen: Mapping[str, str]
    bounds: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that may be read."""
        return tuple(dict.fromkeys(path for question in self.questions for path in question.paths))


@frozen
class VaultAnswer:
    """A parameter's value in Vault, and its path and field there."""

    parameter: str
    value: str
    origin: str
    file: bool
    hosts: tuple[str, ...] = ()


def plan_lookup(
    step: StepSchema, vault: StepSchema, inputs: Inputs, ask: Ask | None = None
) -> VaultLookup | None:
    """The lookup for `step`; None if Vault is off or there is nothing to read.

    `vault` is the metadata of Vault's own settings. `ask` makes the questions, by default
    `parameter_questions`.

    Raises ConfigError for settings that do not fit, CredentialError if the login would go over
    plain http.
    """
    metadata = _metadata(step, vault)
    known = {parameter.name for parameter in metadata.parameters}
    known_inputs = replace(
        inputs,
        parameters=_only(inputs.parameters, known),
        flags=_only(inputs.flags, known),
        vault=None,
    )
    settings = resolve(metadata, known_inputs, part=True)
    if not settings.given(URL) or settings.flag("skipVault"):
        return None
    ask = ask or parameter_questions
    questions = tuple(ask(step, settings, effective_settings(step, replace(inputs, vault=None))))
    if not questions:
        return None
    trusted_paths, bounds = _trusted(step, metadata, known_inputs, ask)
    chosen = {
        path: origin
        for question in questions
        for path, origin in question.origins.items()
        if path not in trusted_paths
    }
    return VaultLookup(
        server=vault_server(settings),
        questions=questions,
        settings=settings,
        named=server_source(settings),
        chosen=chosen,
        bounds=bounds,
    )


def _only(values: Mapping[str, object], names: Collection[str]) -> Mapping[str, object]:
    return {name: value for name, value in values.items() if name in names}


def _trusted(
    step: StepSchema, metadata: StepSchema, inputs: Inputs, ask: Ask
) -> tuple[frozenset[str], tuple[str, ...]]:
    """The paths that follow from trusted layers alone, and the roots that these layers name."""
    settings = checked_settings(
        metadata, [layer for layer in step_layers(metadata, inputs) if layer.trusted]
    )
    values = fold_layers(step, [layer for layer in step_layers(step, inputs) if layer.trusted])
    paths = frozenset(path for question in ask(step, settings, values) for path in question.paths)
    properties = path_properties(step, settings, values)
    roots = (_bound(settings.text(name), properties) for name in ("vaultPath", "vaultBasePath"))
    return paths, tuple(filter(None, roots))


def _bound(text: str, properties: Mapping[str, str]) -> str:
    """A root in which each `$(x)` that trusted layers know is replaced.

    Empty if it begins with an unknown `$(x)`, or if replacing does not end.
    """
    for _ in range(_DEPTH):
        text = _PROPERTY.sub(lambda found: properties.get(found[1], found[0]), text)
        if len(text) > _LENGTH:
            return ""
    root = clean_path(text, "")
    return "" if root.startswith("$(") else root


def _is_below(path: str, bound: str) -> bool:
    """Whether the path is the root or below it; `$(x)` in the root stands for a part of a name."""
    parts = [re.escape(part) for part in _PROPERTY.split(bound)[::2]]
    return re.fullmatch(f"{'[^/]+'.join(parts)}(?:/.*)?", path) is not None


def admit_lookup(
    lookup: VaultLookup,
    addressees: CredentialGate,
    login: VaultLogin,
    bound: Mapping[str, str] | None = None,
) -> None:
    """Pass if the login may go to the server, and the project may choose role, namespace and paths.

    `bound` has the id of the Jenkins credential for each variable that one is bound to. Raises
    CredentialError.
    """
    addressees.admit(credential_of(login, bound or {}), server_address(lookup.server), lookup.named)
    for permission in (
        role_permission(addressees.rules, lookup.settings, login),
        namespace_permission(addressees.rules, lookup.settings, login, lookup.paths),
    ):
        if permission:
            addressees.tell(permission)
    for path, origin in lookup.chosen.items():
        addressees.tell(
            path_permission(
                addressees.rules, path, origin, settings=lookup.settings, bounds=lookup.bounds
            )
        )


def server_address(server: VaultServer) -> HostAddress:
    """The address that the login goes to."""
    scheme, host = _scheme_and_host(server.url)
    return HostAddress(scheme=scheme, host=host)


def path_permission(
    rules: CredentialRules, path: str, origin: str, *, settings: Settings, bounds: Sequence[str]
) -> Permission:
    """The permission by which the project chooses a path in Vault.

    Raises CredentialError without one, ConfigError for an invalid pattern.
    """
    patterns, space = settings.texts(PATHS), settings.text(NAMESPACE).strip("/")
    if any(
        match_files(pattern, [path, *([f"{space}/{path}"] if space else [])])
        for pattern in patterns
    ):
        return Permission(by=f"{PATHS} of a trusted layer")
    if not patterns and any(_is_below(path, bound) for bound in bounds):
        return Permission(by="a path of a trusted layer, which it is below")
    if (
        not patterns
        and not bounds
        and (permission := project_permission(rules, origin, f"Vault is asked for {path}"))
    ):
        return permission
    others = (
        f"{PATHS} has {', '.join(patterns)}"
        if patterns
        else f"trusted layers name {', '.join(bounds)}"
        if bounds
        else ""
    )
    beside = patterns or [f"{_PROPERTY.sub('*', bound)}/**" for bound in bounds]
    return warn_or_raise(
        rules,
        CredentialRefused(
            f"Vault is not asked for {path}, since {named_only_by('this path', origin)}",
            where=origin,
            why=others or why_project_ignored(rules),
            hint=f"allow it by {allow_line(PATHS, path, beside=beside)}, or set skipVault",
            allow=(PATHS, path, ""),
        ),
    )


def _metadata(step: StepSchema, vault: StepSchema) -> StepSchema:
    """Vault's settings in this step's sections, with the keys that name its parameters' secrets."""
    known = {parameter.name for parameter in vault.parameters}
    named = {
        parameter.vault.secret: parameter
        for parameter in step.parameters
        if parameter.vault and parameter.vault.secret not in known
    }
    keys = (
        Parameter(
            name=key,
            type="string",
            description=f"Name of Vault's secret for {owner.name}.",
            scope=SCOPES,
        )
        for key, owner in named.items()
    )
    return StepSchema(
        name=step.name,
        aliases=step.aliases,
        description=vault.description,
        parameters=(*vault.parameters, *keys),
    )


# ---- the server


def vault_server(settings: Settings) -> VaultServer:
    """The server of the settings.

    Raises ConfigError, and CredentialError if the login would go over plain http.
    """
    url, origin = settings.text(URL).strip().rstrip("/"), settings.origin(URL)
    scheme, host = _scheme_and_host(url)
    if not host:
        raise ConfigError(
            f"{URL} is not a server's URL",
            where=origin,
            hint="write https://host[:port], without user, query or fragment",
        )
    if scheme == "http" and not is_loopback(host) and not settings.flag("allowPlainHttp"):
        raise CredentialError(
            f"the login for Vault would go over plain http to {host}",
            where=origin,
            hint="use https, or set allowPlainHttp if the platform team trusts that network",
        )
    return VaultServer(url=url, namespace=settings.text(NAMESPACE).strip("/"), origin=origin)


def server_source(settings: Settings) -> HostSource:
    """The source of the server's URL.

    If a trusted layer names a server, the project may not name another one, which would get the
    login for every secret.
    """
    texts = [text.strip().rstrip("/") for text in settings.trusted_texts(URL)]
    same = [
        _scheme_and_host(text)
        for text in texts
        if _address_with_path(text) == _address_with_path(settings.text(URL))
    ]
    return HostSource(
        origin=settings.origin(URL),
        trusted=frozenset(same),
        alone=bool(texts),
        call=f"PIPER_{URL} on the agent",
    )


def _address_with_path(url: str) -> tuple[str, str, str]:
    """Scheme, host and path of a server: one host may have several servers."""
    return (
        (*_scheme_and_host(url), urlsplit(url.strip()).path.rstrip("/"))
        if all(_scheme_and_host(url))
        else ("", "", url)
    )


def _scheme_and_host(url: str) -> tuple[str, str]:
    """Scheme and `host[:port]` of a server's URL in lower case, without the scheme's own port.

    Both are empty if it is not a server's URL.
    """
    try:
        parts = urlsplit(url.strip() if re.fullmatch(r"[\x21-\x7e]+", url.strip()) else "")
        good = (
            parts.scheme in ("https", "http")
            and parts.hostname
            and parts.port != 0
            and "@" not in parts.netloc
            and not parts.query
            and not parts.fragment
        )
    except ValueError:
        return "", ""
    if not good:
        return "", ""
    usual = f":{USUAL_PORTS[parts.scheme]}"
    return parts.scheme, parts.netloc.lower().removesuffix(usual)


# ---- the questions


def parameter_questions(
    step: StepSchema, settings: Settings, values: Mapping[str, Setting]
) -> Iterator[VaultQuestion]:
    """A question for each parameter that Vault may hold; `values` are the step's other layers.

    Raises ConfigError for a path with `..`.
    """
    properties = path_properties(step, settings, values)
    for parameter in step.parameters:
        reference = parameter.vault
        if reference is None or (
            settings.flag("vaultDisableOverwrite")
            and parameter.name in values
            and values[parameter.name].value not in EMPTY
        ):
            continue
        name_origin = (
            "" if settings.trusted(reference.secret) else settings.origin(reference.secret)
        )
        if paths := secret_paths(
            settings, properties, settings.text(reference.secret) or reference.default, name_origin
        ):
            fields = (
                (reference.field,)
                if reference.field
                else (parameter.name, *(alias.name for alias in parameter.aliases))
            )
            yield VaultQuestion(
                parameter=parameter.name,
                paths=tuple(paths),
                fields=fields,
                file=reference.file,
                whole=bool(reference.field),
                origins=paths,
            )


def secret_paths(
    settings: Settings, properties: Mapping[str, str], name: str, name_origin: str
) -> dict[str, str]:
    """The paths where the secret `name` may be, each with its origin.

    `name_origin` is the origin of the name if a pull request can change it, else empty. Raises
    ConfigError for a path with `..`.
    """
    found = (
        (root, interpolate(f"{template}/{name}", properties))
        for root, template in _ROOTS.items()
        if name
    )
    paths: dict[str, str] = {}
    for root, path in found:
        if path is not None:
            paths.setdefault(
                clean_path(path, settings.origin(root)), _origin(settings, root, name_origin)
            )
    return paths


def _origin(settings: Settings, root: str, name_origin: str) -> str:
    """The place that names a path: the first setting in it that a pull request can change."""
    made_of = [root, *(["vaultBasePath"] if root == "vaultPipelineName" else [])]
    return next(
        (settings.origin(name) for name in made_of if not settings.trusted(name)), name_origin
    ) or settings.origin(root)


def path_properties(
    step: StepSchema, settings: Settings, values: Mapping[str, Setting]
) -> dict[str, str]:
    """The values of `$(x)`: every setting of step and Vault that is a short text, not a secret."""
    secret = {parameter.name for parameter in step.parameters if parameter.secret}
    found = {name: setting.value for name, setting in values.items() if name not in secret}
    found |= {name: settings.text(name) for name in _TEXTS if settings.given(name)}
    texts = {
        name: as_text(value)
        for name, value in found.items()
        if isinstance(value, str | int | float)
    }
    return {name: text for name, text in texts.items() if 0 < len(text) <= _LENGTH}


def interpolate(text: str, properties: Mapping[str, str]) -> str | None:
    """`text` with each `$(x)` replaced, also those in replacements.

    None if a property is unknown, or if replacing does not end.
    """
    for _ in range(_DEPTH):
        names = _PROPERTY.findall(text)
        if not names:
            return text
        if len(text) > _LENGTH or not properties.keys() >= set(names):
            return None
        text = _PROPERTY.sub(lambda found: properties[found[1]], text)
    return None if _PROPERTY.search(text) or len(text) > _LENGTH else text


# ---- the answers


def read_answers(
    questions: Sequence[VaultQuestion], read: Callable[[str], Mapping[str, str]]
) -> Iterator[VaultAnswer]:
    """The answers to the questions; each path is read once, and only when its turn comes.

    `read` maps a path to its fields, none if there is no such secret.
    """
    known: dict[str, Mapping[str, str]] = {}
    for question in questions:
        for path in question.paths:
            if path not in known:
                known[path] = read(path)
            field = next((field for field in question.fields if known[path].get(field)), None)
            if field is not None:
                hosts = host_entries(
                    [
                        text
                        for name in _HOST_FIELDS
                        for text in known[path].get(name, "").replace(",", " ").split()
                    ]
                )
                yield VaultAnswer(
                    parameter=question.parameter,
                    value=known[path][field],
                    origin=f"Vault {path} field {field}",
                    file=question.file,
                    hosts=hosts,
                )
            if field is not None or (question.whole and known[path]):
                break
