"""Pure. What Vault is asked for a step, from its metadata and its settings: at which server, which paths, which fields (facts 8).

Only what parameters need. General and test credentials, and the rotation of the login itself, have their place beside `questions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from towline.config.catalog import VAULT_KEYS
from towline.config.layers import Inputs, effective, ordered
from towline.config.merge import Layer, Setting
from towline.config.resolve import resolve
from towline.config.schema import SCOPES, Parameter, StepSchema, as_text
from towline.config.settings import Settings
from towline.config.types import EMPTY
from towline.errors import ConfigError, CredentialError
from towline.image import is_loopback
from towline.secret import admit

URL = "vaultServerUrl"
_ROOTS = {"vaultPath": "$(vaultPath)", "vaultPipelineName": "$(vaultBasePath)/$(vaultPipelineName)", "vaultBasePath": "$(vaultBasePath)/GROUP-SECRETS"}
_PROPERTY = re.compile(r"\$\(([A-Za-z0-9.]*)\)")
_DEPTH, _LENGTH = 10, 2048
_HOW_TO_NAME = f"name it where a pull request cannot: PIPER_{URL} on the agent, the platform team's defaults, or their credentialHosts; or set skipVault"


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where Vault is, and that a login may be sent there; `origin` is the place that names it."""

    url: str
    namespace: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A parameter's value: the first of `fields` (its name, then its aliases) that is not empty in the first of `paths` that has one.

    Of `whole` secrets the first that is there decides, also where it lacks the field.
    """

    parameter: str
    paths: tuple[str, ...]
    fields: tuple[str, ...]
    file: bool = False
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is asked for one step, and where."""

    server: Server
    questions: tuple[Question, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What Vault holds for a parameter, and the place there."""

    parameter: str
    value: str
    origin: str
    file: bool


def plan(step: StepSchema, vault: StepSchema, inputs: Inputs) -> Plan | None:
    """What to ask for `step`, with `vault` as the metadata of Vault's own settings; None where Vault is off or nothing is to be asked.

    Raises ConfigError for settings that do not fit, CredentialError where the server may not have the login.
    """
    metadata = _metadata(step, vault)
    known = {parameter.name for parameter in metadata.parameters}
    own = replace(inputs, parameters={key: value for key, value in inputs.parameters.items() if key in known}, flags={}, vault=None)
    settings = resolve(metadata, own, part=True)
    if not settings.given(URL) or settings.flag("skipVault"):
        return None
    values = effective(step, replace(inputs, vault=None))
    asked = tuple(questions(step, settings, values))
    return Plan(server=_server(settings, ordered(metadata, own)), questions=asked) if asked else None


def _metadata(step: StepSchema, vault: StepSchema) -> StepSchema:
    """Vault's settings as this step's sections hold them, with the keys that name the secrets of its parameters."""
    known = {parameter.name for parameter in vault.parameters}
    named = {parameter.vault.secret: parameter for parameter in step.parameters if parameter.vault and parameter.vault.secret not in known}
    keys = (Parameter(name=key, type="string", description=f"Name of Vault's secret for {owner.name}.", scope=SCOPES) for key, owner in named.items())
    return StepSchema(name=step.name, aliases=step.aliases, description=vault.description, parameters=(*vault.parameters, *keys))


# ---- where


def _server(settings: Settings, layers: Sequence[Layer]) -> Server:
    """The server, once it is known that the login may go there; raises ConfigError and CredentialError."""
    url, origin = settings.text(URL).strip().rstrip("/"), settings.origin(URL)
    scheme, host = _place(url)
    if not host:
        raise ConfigError(f"{URL} is no URL of a server", where=origin, hint="expected https://host[:port], without a user")
    if not is_loopback(host):
        if scheme == "http" and not settings.flag("allowPlainHttp"):
            raise CredentialError(f"the login for Vault would go over plain http to {host}", where=origin,
                                  hint="use https, or set allowPlainHttp where the platform team trusts that network")
        if not any(layer.trusted and _place(str(layer.values.get(URL, ""))) == (scheme, host) for layer in layers):
            _admit((scheme, host), settings, origin)
    return Server(url=url, namespace=settings.text("vaultNamespace").strip("/"), origin=origin)


def _admit(place: tuple[str, str], settings: Settings, origin: str) -> None:
    """Pass where the platform team lets credentials go to `place`, scheme and host; whoever names the server would else get the login of every secret."""
    scheme, host = place
    if not settings.given("credentialHosts"):
        raise CredentialError(f"{URL} names {host}, and nobody but the project does: the login for Vault is not sent there", where=origin, hint=_HOW_TO_NAME)
    admit(host, settings.texts("credentialHosts"), scheme=scheme)


def _place(url: str) -> tuple[str, str]:
    """Scheme and `host[:port]` of a server's URL in lower case, without the scheme's own port; both empty where it is none."""
    try:
        parts = urlsplit(url.strip() if re.fullmatch(r"[\x21-\x7e]+", url.strip()) else "")
        port = {"https": ":443", "http": ":80"}[parts.scheme]
        good = parts.hostname and parts.port != 0 and "@" not in parts.netloc and not parts.query and not parts.fragment
    except (KeyError, ValueError):
        return "", ""
    return (parts.scheme, parts.netloc.lower().removesuffix(port)) if good else ("", "")


# ---- what


def questions(step: StepSchema, settings: Settings, values: Mapping[str, Setting]) -> Iterator[Question]:
    """One question for each parameter that Vault may hold; `values` are the step's other layers. Raises ConfigError for a path that leads elsewhere."""
    properties = _properties(step, settings, values)
    for parameter in step.parameters:
        reference = parameter.vault
        if reference is None or (settings.flag("vaultDisableOverwrite") and parameter.name in values and values[parameter.name].value not in EMPTY):
            continue
        name = settings.text(reference.secret) or reference.default
        found = ((root, interpolate(f"{template}/{name}", properties)) for root, template in _ROOTS.items() if name)
        paths = dict.fromkeys(_clean(path, settings.origin(root)) for root, path in found if path is not None)
        if paths:
            fields = (reference.field,) if reference.field else (parameter.name, *(alias.name for alias in parameter.aliases))
            yield Question(parameter=parameter.name, paths=tuple(paths), fields=fields, file=reference.file, whole=bool(reference.field))


def _properties(step: StepSchema, settings: Settings, values: Mapping[str, Setting]) -> dict[str, str]:
    """What `$(x)` may stand for: every setting of step and Vault that is one short text and no secret."""
    secret = {parameter.name for parameter in step.parameters if parameter.secret}
    found = {name: setting.value for name, setting in values.items() if name not in secret}
    found |= {name: settings.text(name) for name in VAULT_KEYS - {"skipVault", "vaultDisableOverwrite"} if settings.given(name)}
    texts = {name: as_text(value) for name, value in found.items() if isinstance(value, str | int | float)}
    return {name: text for name, text in texts.items() if 0 < len(text) <= _LENGTH}


def interpolate(text: str, properties: Mapping[str, str]) -> str | None:
    """`text` with each `$(x)` replaced, also those that the replacements hold; None where a property is unknown, or there is no end to it."""
    for _ in range(_DEPTH):
        names = _PROPERTY.findall(text)
        if not names:
            return text
        if len(text) > _LENGTH or not properties.keys() >= set(names):
            return None
        text = _PROPERTY.sub(lambda found: properties[found[1]], text)
    return None if _PROPERTY.search(text) or len(text) > _LENGTH else text


def _clean(path: str, origin: str) -> str:
    """The path without empty parts; raises ConfigError for one that climbs, or that no URL should hold."""
    parts = [part for part in path.split("/") if part]
    if any(part in (".", "..") for part in parts) or not path.isprintable():
        raise ConfigError(f"{path!r} is no path of a secret in Vault", where=origin, hint="write the path as Vault lists it, without . and ..")
    return "/".join(parts)


# ---- the answers


def answers(asked: Sequence[Question], read: Callable[[str], Mapping[str, str]]) -> Iterator[Answer]:
    """What `read` (path to fields, none where there is no such secret) holds for the questions; each path is read once, and only when its turn comes."""
    known: dict[str, Mapping[str, str]] = {}
    for question in asked:
        for path in question.paths:
            if path not in known:
                known[path] = read(path)
            field = next((field for field in question.fields if known[path].get(field)), None)
            if field is not None:
                yield Answer(parameter=question.parameter, value=known[path][field], origin=f"Vault {path} field {field}", file=question.file)
            if field is not None or (question.whole and known[path]):
                break
