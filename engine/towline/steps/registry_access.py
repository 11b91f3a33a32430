"""How a step reaches its registries: TLS, proxies, and logins from the first source that has one.

TLS and proxies come from trusted settings and from the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from towline import deadline, dispatch
from towline.config.credential_rules import host_source, registry_place
from towline.config.settings import Settings
from towline.credential_hosts import Credential, HostAddress, HostSource, allowed_hosts
from towline.errors import ConfigError, CredentialError, MachineError, TowlineError
from towline.files import in_workspace
from towline.http.client import Transport
from towline.http.connection import Network
from towline.http.proxy import Proxies
from towline.http.tls import ClientCertificate, Tls
from towline.image import Registry, Repository, parse_registry
from towline.pipeline import environment
from towline.record import field, frozen, replace
from towline.registry.auth.docker_config import CredentialHelper, find_logins, keys_for
from towline.registry.client import RegistryClient
from towline.registry.errors import Endpoint
from towline.secret import Login
from towline.steps.host_access import authorities, login
from towline.steps.task import Task
from towline.steps.workspace_files import named_file, read_file

_SECONDS_TO_NAME_THE_CAUSE = 4.0  # which host is late, or that the disk is
_AGENT = "the agent's Docker configuration"
_PUSHED = "container/targetRegistryUrl"
# where clusters pull from: how a deployment knows the registry that was pushed to
_PULLED = "containerRegistryUrl"


@frozen
class _Configuration:
    """The text of a Docker configuration, its origin, and whether it may name a program."""

    text: str = field(repr=False)
    origin: str
    trusted: bool


def network(task: Task) -> Network:
    """The proxies of the environment, and the TLS settings of the step; raises ConfigError.

    These are `customTlsCertificateLinks`, `clientCertificates` and `insecureRegistries`.
    """
    settings = task.settings
    insecure = [
        _host(task, "insecureRegistries", host) for host in settings.texts("insecureRegistries")
    ]
    for host in insecure:
        where = settings.origin("insecureRegistries")
        task.console.warn(
            f"the certificate of {host} is not verified: an attacker on the network can read and"
            f" change everything ({where})"
        )
    return Network(
        proxies=Proxies(task.environ),
        tls=Tls(authorities(task), clients=dict(_client_certificates(task)), insecure=insecure),
    )


def begin_copy_deadline(settings: Settings) -> None:
    """Begin the copyDeadline of a copy: it covers planning, reading and packing, too.

    MachineError is raised when it passes.
    """
    seconds = settings.number("copyDeadline")

    def late() -> TowlineError:
        return MachineError(
            f"the time limit of {seconds} seconds is exceeded",
            hint=(
                "see which disk, daemon or host is that slow; copyDeadline says how long a copy may"
                " take"
            ),
        )

    deadline.begin(seconds + _SECONDS_TO_NAME_THE_CAUSE, late)


def registry_client(
    task: Task,
    transport: Transport,
    registry: Registry,
    *,
    role: str,
    repositories: Sequence[Repository],
) -> RegistryClient:
    """The client for some repositories of a registry, with the login for each of them.

    Without a `role` it is a further target, which does not get the login of the first target.
    Raises CredentialError, ConfigError.
    """
    endpoint = Endpoint(registry=registry, role=role or "target", login=None, step=task.project)
    client = RegistryClient(
        endpoint, transport=transport, allow_plain_http=task.settings.flag("allowPlainHttp")
    )
    names = [repository.name for repository in repositories]
    logins = registry_logins(task, registry, role=role, paths=names)
    client.log_in({repository: logins[repository.name] for repository in repositories})
    client.want(repositories)
    return client


def registry_login(task: Task, registry: Registry, *, role: str, path: str) -> Login | None:
    """The login at `registry` for the image `path`, None for none; raises as `registry_logins`."""
    return registry_logins(task, registry, role=role, paths=[path])[path]


def registry_logins(
    task: Task, registry: Registry, *, role: str, paths: Sequence[str]
) -> Mapping[str, Login | None]:
    """The login at `registry` for each of the images `paths`, None for none.

    It comes from the parameters of the `role` (an empty role has none), else from
    `dockerConfigJSON`, else from the agent's own Docker configuration. Its secrets are masked from
    here on. Raises CredentialError, ConfigError.
    """
    settings = task.settings
    if role:
        address = HostAddress(scheme=registry.scheme, host=registry.host)
        names = (f"{role}RegistryUser", f"{role}RegistryPassword")
        own = login(task, names, address, _host_source(task, role, address))
        if own is not None:
            task.console.hide(own.password, real=settings.trusted(names[1]))
            return dict.fromkeys(paths, own)
    configured = settings.given("dockerConfigJSON")
    logins_of = _configured_logins if configured else _agent_logins
    return {
        path: replace(entry, hosts=_allowed_hosts(task, entry)) if entry else None
        for path, entry in logins_of(task, registry, paths).items()
    }


def _host_source(task: Task, role: str, address: HostAddress) -> HostSource:
    """The source that names the registry of a role.

    That is a parameter of the step, the registry that was pushed to before, or the arguments of
    `towline copy`.
    """
    settings = task.settings
    if not task.project:
        called = not task.addressees.rules.standing().request
        return HostSource(
            origin="the arguments", trusted=frozenset([address.plain]) if called else frozenset()
        )
    name = f"{role}RegistryUrl"
    if settings.has(name):
        return host_source(settings, name, registry_place, password=f"{role}RegistryPassword")
    return replace(
        host_source(settings, _PULLED, registry_place),
        origin=environment.value_origin(task.pipeline_environment, _PUSHED),
        call="",
        changed=environment.is_changed(task.pipeline_environment, _PUSHED),
    )


def _allowed_hosts(task: Task, entry: Login) -> tuple[str, ...]:
    """The only hosts for a login of a Docker configuration, whose key names its registry.

    Whether that registry is one of them is checked when it asks for the login.
    """
    return allowed_hosts(
        task.addressees.rules,
        Credential(label=f"the login of {entry.origin}", names=("dockerConfigJSON",)),
    )


def _client_certificates(task: Task) -> Iterator[tuple[str, ClientCertificate]]:
    """The client certificates by host; raises ConfigError for a key without a certificate."""
    settings = task.settings
    certificates, keys = settings.mapping("clientCertificates"), settings.mapping("clientKeys")
    for host in keys.keys() - certificates.keys():
        raise ConfigError(
            f"clientKeys has {host}, and clientCertificates does not",
            where=settings.origin("clientKeys"),
            hint="name the certificate too",
        )
    where = settings.origin("clientCertificates")
    for host, certificate in certificates.items():
        key = keys.get(host, certificate)
        yield (
            _host(task, "clientCertificates", host),
            ClientCertificate(
                certificate=task.folder / certificate, key=task.folder / key, where=where
            ),
        )


def _host(task: Task, name: str, text: str) -> str:
    """`host[:port]` in a setting; raises ConfigError for anything else, a pattern for example."""
    try:
        registry, path = parse_registry(text)
    except ConfigError:
        registry, path = Registry(scheme="", host=""), ""
    if registry.host != text or path:
        raise ConfigError(
            f"{name} has {text!r}, which is not a host",
            where=task.settings.origin(name),
            hint="write host or host:port, one for each registry",
        )
    return text


def _configured_logins(
    task: Task, registry: Registry, paths: Sequence[str]
) -> dict[str, Login | None]:
    """The logins of `dockerConfigJSON`; a line in the log names the images without one."""
    origin = task.settings.origin("dockerConfigJSON")
    configuration = _configuration(task, origin)
    found = _logins(task, configuration, registry, paths)
    lacking = [path for path in paths if found[path] is None]
    if lacking:
        names = ", ".join(f"{registry.host}/{path}" for path in lacking)
        if len(lacking) == len(paths):
            names = registry.host
        others = ", ".join(keys_for(configuration.text, registry, origin=origin))
        task.console.say(
            f"  dockerConfigJSON has no login for {names}{f', but for {others}' if others else ''}:"
            f" it is asked without a user ({origin})"
        )
    return found


def _configuration(task: Task, origin: str) -> _Configuration:
    """The Docker configuration that `dockerConfigJSON` is, or names.

    It may not name a program if a pull request can change it.
    """
    settings = task.settings
    value, trusted = settings.text("dockerConfigJSON"), settings.trusted("dockerConfigJSON")
    if value.lstrip().startswith("{"):
        return _Configuration(text=value, origin=origin, trusted=trusted)
    text = named_file(task, "dockerConfigJSON").decode("utf-8", "replace")
    return _Configuration(
        text=text,
        origin=origin,
        trusted=trusted and not in_workspace(task.folder / value, task.folder),
    )


def _logins(
    task: Task, configuration: _Configuration, registry: Registry, paths: Iterable[str]
) -> dict[str, Login | None]:
    """The login of each image in a configuration; a credential helper is asked once for a key."""
    answers: dict[CredentialHelper, Login | None] = {}

    def answer(entry: Login | CredentialHelper) -> Login | None:
        if isinstance(entry, Login):
            task.console.hide(entry.password, real=configuration.trusted)
            return entry
        if entry not in answers:
            answers[entry] = answered = _asked(task, entry, trusted=configuration.trusted)
            if answered:
                task.console.hide(answered.password)
        return answers[entry]

    def first(path: str) -> Login | None:
        entries = find_logins(configuration.text, registry, path=path, origin=configuration.origin)
        return next(filter(None, map(answer, entries)), None)

    return {path: first(path) for path in paths}


def _asked(task: Task, helper: CredentialHelper, *, trusted: bool) -> Login | None:
    if not trusted:
        task.console.warn(
            f"docker-credential-{helper.name} is not asked: a pull request could change"
            f" {helper.origin}, and must not choose a program"
        )
        return None
    answer: Login | None = dispatch.part("credential_helper").ask(helper, task.environ)
    return answer


def _agent_logins(task: Task, registry: Registry, paths: Sequence[str]) -> dict[str, Login | None]:
    """The logins that the agent has for the registry.

    No setting names them, so a file or program that fails is a warning.
    """
    found: dict[str, Login | None] = dict.fromkeys(paths)
    for file in _agent_files(task):
        lacking = [path for path in paths if found[path] is None]
        if not lacking:
            break
        try:
            text = read_file(file, _AGENT, where=str(file)).decode("utf-8", "replace")
            own = _Configuration(
                text=text, origin=str(file), trusted=not in_workspace(file, task.folder)
            )
            found.update(_logins(task, own, registry, lacking))
        except (ConfigError, CredentialError, MachineError) as fault:
            task.console.note(f"{_AGENT} is left out: {fault.message} ({fault.where})")
    return found


def _agent_files(task: Task) -> Iterator[Path]:
    """The files of docker and podman that exist, the first one first.

    Source: docker login; containers-auth.json(5).
    """
    environ, home = task.environ, task.environ.get("HOME", "")
    candidates = [
        (environ.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else ""), "config.json"),
        (environ.get("REGISTRY_AUTH_FILE", ""), ""),
        (environ.get("XDG_RUNTIME_DIR", ""), "containers/auth.json"),
        (
            environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""),
            "containers/auth.json",
        ),
    ]
    files = (
        task.folder / folder / name if name else task.folder / folder
        for folder, name in candidates
        if folder
    )
    yield from (file for file in files if file.is_file())
