"""How a step reaches its registries, and as whom: TLS and proxies from trusted settings and the environment, logins from the first source that has one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from towline import dispatch
from towline.connections import Network
from towline.errors import ConfigError, CredentialError, MachineError
from towline.files import in_workspace
from towline.image import Registry, parse_registry
from towline.proxies import Proxies
from towline.registry.docker_config import Helper, find_logins
from towline.secret import Login
from towline.steps.authorities import authorities
from towline.steps.logins import login
from towline.steps.task import Task
from towline.steps.workspace import named_file, read_file
from towline.tls import ClientCertificate, Tls

_AGENT = "the agent's Docker configuration"


def network(task: Task) -> Network:
    """The proxies of the environment, and TLS as `customTlsCertificateLinks`, `clientCertificates` and `insecureRegistries` say; raises ConfigError."""
    settings = task.settings
    insecure = [_host(task, "insecureRegistries", host) for host in settings.texts("insecureRegistries")]
    for host in insecure:
        where = settings.origin("insecureRegistries")
        task.console.warn(f"the certificate of {host} is not verified: whoever sits on the way can read and change everything ({where})")
    return Network(proxies=Proxies(task.environ), tls=Tls(authorities(task), clients=dict(_clients(task)), insecure=insecure))


def registry_login(task: Task, registry: Registry, *, role: str, path: str = "") -> Login | None:
    """Who logs in at `registry` for images below `path`, None for nobody.

    The parameters of its `role` say so (there are none for the empty one), else `dockerConfigJSON`, else the agent's own Docker configuration.
    What is secret in it is masked from here on. Raises CredentialError, ConfigError.
    """
    settings = task.settings
    found = login(settings, (f"{role}RegistryUser", f"{role}RegistryPassword"), host=registry.host) if role else None
    if found is None and settings.given("dockerConfigJSON"):
        text, trusted = _configuration(task)
        found = _first(task, find_logins(text, registry, path=path, origin=settings.origin("dockerConfigJSON")), trusted=trusted)
        if found is None:
            task.console.say(f"  dockerConfigJSON has no login for {registry.host}: it is asked without a user ({settings.origin('dockerConfigJSON')})")
    elif found is None:
        found = _agents_own(task, registry, path)
    if found is None:
        return None
    task.console.hide(found.password)
    return replace(found, hosts=settings.texts("credentialHosts"))


def _clients(task: Task) -> Iterator[tuple[str, ClientCertificate]]:
    settings = task.settings
    certificates, keys = settings.mapping("clientCertificates"), settings.mapping("clientKeys")
    for host in keys.keys() - certificates.keys():
        raise ConfigError(f"clientKeys has {host}, and clientCertificates has not", where=settings.origin("clientKeys"), hint="name the certificate too")
    where = settings.origin("clientCertificates")
    for host, certificate in certificates.items():
        key = keys.get(host, certificate)
        yield _host(task, "clientCertificates", host), ClientCertificate(certificate=task.folder / certificate, key=task.folder / key, where=where)


def _host(task: Task, name: str, text: str) -> str:
    """`host[:port]` of a setting that is by host; raises ConfigError for anything else, a pattern for example."""
    try:
        registry, path = parse_registry(text)
    except ConfigError:
        registry, path = Registry(scheme="", host=""), ""
    if registry.host != text or path:
        raise ConfigError(f"{name} has {text!r}, which is no host", where=task.settings.origin(name), hint="write host or host:port, one for each registry")
    return text


def _configuration(task: Task) -> tuple[str, bool]:
    """The text that `dockerConfigJSON` holds or names, and whether it may name a program: not where a pull request can change it."""
    settings = task.settings
    value, trusted = settings.text("dockerConfigJSON"), settings.trusted("dockerConfigJSON")
    if value.lstrip().startswith("{"):
        return value, trusted
    return named_file(task, "dockerConfigJSON").decode("utf-8", "replace"), trusted and not in_workspace(task.folder / value, task.folder)


def _first(task: Task, found: tuple[Login | Helper, ...], *, trusted: bool) -> Login | None:
    for entry in found:
        if isinstance(entry, Login):
            return entry
        if not trusted:
            task.console.warn(f"docker-credential-{entry.name} is not asked: a pull request could change {entry.origin}, and must not choose a program")
            continue
        answer: Login | None = dispatch.part("credential_helper").ask(entry, task.environ)
        if answer is not None:
            return answer
    return None


def _agents_own(task: Task, registry: Registry, path: str) -> Login | None:
    """The login that the agent itself has for the registry; where its files or programs do not serve, that is a warning: nobody asked for them."""
    for file in _agents_files(task):
        try:
            text = read_file(file, _AGENT, where=str(file)).decode("utf-8", "replace")
            found = _first(task, find_logins(text, registry, path=path, origin=str(file)), trusted=not in_workspace(file, task.folder))
        except (ConfigError, CredentialError, MachineError) as fault:
            task.console.warn(f"{_AGENT} is left out: {fault.message} ({fault.where})")
            continue
        if found is not None:
            return found
    return None


def _agents_files(task: Task) -> Iterator[Path]:
    """The files of docker and podman that are there, in the order in which they count (docker login, containers-auth.json(5))."""
    environ, home = task.environ, task.environ.get("HOME", "")
    places = [
        (environ.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else ""), "config.json"),
        (environ.get("REGISTRY_AUTH_FILE", ""), ""),
        (environ.get("XDG_RUNTIME_DIR", ""), "containers/auth.json"),
        (environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""), "containers/auth.json"),
    ]
    files = (task.folder / folder / name if name else task.folder / folder for folder, name in places if folder)
    yield from (file for file in files if file.is_file())
