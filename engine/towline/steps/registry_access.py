"""How a step reaches its registries, and as whom: TLS and proxies from trusted settings and the environment, logins from the first source that has one."""

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
from towline.image import Registry, parse_registry
from towline.pipeline import environment
from towline.record import field, frozen, replace
from towline.registry.auth.docker_config import CredentialHelper, find_logins, keys_for
from towline.registry.client import RegistryClient
from towline.registry.errors import Endpoint
from towline.secret import Login
from towline.steps.host_access import authorities, login
from towline.steps.task import Task
from towline.steps.workspace_files import named_file, read_file

_SAID = 4.0  # seconds in which a host that is late, or the disk, is named for it
_AGENT = "the agent's Docker configuration"
_PUSHED = "container/targetRegistryUrl"
# where clusters pull from: what a deployment knows of the registry that was pushed to
_PULLED = "containerRegistryUrl"


@frozen
class _Configuration:
    """A docker configuration, where it stands, and whether it may name a program."""

    text: str = field(repr=False)
    origin: str
    trusted: bool


def network(task: Task) -> Network:
    """The proxies of the environment, and TLS as `customTlsCertificateLinks`, `clientCertificates` and `insecureRegistries` say; raises ConfigError."""
    settings = task.settings
    insecure = [
        _host(task, "insecureRegistries", host) for host in settings.texts("insecureRegistries")
    ]
    for host in insecure:
        where = settings.origin("insecureRegistries")
        task.console.warn(
            f"the certificate of {host} is not verified: whoever sits on the way can read and"
            f" change everything ({where})"
        )
    return Network(
        proxies=Proxies(task.environ),
        tls=Tls(authorities(task), clients=dict(_clients(task)), insecure=insecure),
    )


def begin_copy_deadline(settings: Settings) -> None:
    """Let a copy have its copyDeadline, with all that it plans, reads and packs on this machine besides; what raises MachineError is its end."""
    seconds = settings.number("copyDeadline")

    def late() -> TowlineError:
        return MachineError(
            f"the time limit of {seconds} seconds is exceeded",
            hint=(
                "see which disk, daemon or host is that slow; copyDeadline says how long a copy may"
                " take"
            ),
        )

    deadline.begin(seconds + _SAID, late)


def registry_client(
    task: Task, transport: Transport, registry: Registry, *, role: str, names: Sequence[str]
) -> RegistryClient:
    """The client for the images `names` of a registry, each with the login for its path; raises CredentialError, ConfigError.

    Without a `role` it is a further target, which the login of the first one is not meant for.
    """
    party = Endpoint(registry=registry, role=role or "target", login=None, step=task.project)
    client = RegistryClient(
        party, transport=transport, allow_plain_http=task.settings.flag("allowPlainHttp")
    )
    client.log_in(registry_logins(task, registry, role=role, paths=names))
    client.want(names)
    return client


def registry_login(task: Task, registry: Registry, *, role: str, path: str) -> Login | None:
    """Who logs in at `registry` for the image `path`, None for nobody; raises like `registry_logins`."""
    return registry_logins(task, registry, role=role, paths=[path])[path]


def registry_logins(
    task: Task, registry: Registry, *, role: str, paths: Sequence[str]
) -> Mapping[str, Login | None]:
    """Who logs in at `registry` for each of the images `paths`, None for nobody.

    The parameters of its `role` say so (there are none for the empty one), else `dockerConfigJSON`,
    else the agent's own Docker configuration. What is secret in it is masked from here on. Raises
    CredentialError, ConfigError.
    """
    settings, place = task.settings, HostAddress(scheme=registry.scheme, host=registry.host)
    names = (f"{role}RegistryUser", f"{role}RegistryPassword")
    own = login(task, names, place, _named(task, role, place)) if role else None
    if own is not None:
        task.console.hide(own.password, real=settings.trusted(names[1]))
        found: dict[str, Login | None] = dict.fromkeys(paths, own)
    elif settings.given("dockerConfigJSON"):
        found = _configured(task, registry, paths)
    else:
        found = _agents_own(task, registry, paths)
    if own is not None:
        return found
    return {
        path: replace(entry, hosts=_reach(task, entry)) if entry else None
        for path, entry in found.items()
    }


def _named(task: Task, role: str, place: HostAddress) -> HostSource:
    """Who names the registry of a role: a parameter of the step, what was pushed to before, or the arguments of `towline copy`."""
    settings = task.settings
    if not task.project:
        called = not task.addressees.rules.standing().request
        return HostSource(
            origin="the arguments", trusted=frozenset([place.plain]) if called else frozenset()
        )
    name = f"{role}RegistryUrl"
    if settings.has(name):
        return host_source(settings, name, registry_place, password=f"{role}RegistryPassword")
    named = host_source(settings, _PULLED, registry_place)
    said = environment.value_origin(task.pipeline_environment, _PUSHED)
    return replace(
        named,
        origin=said,
        call="",
        changed=environment.is_changed(task.pipeline_environment, _PUSHED),
    )


def _reach(task: Task, entry: Login) -> tuple[str, ...]:
    """The only hosts for a login that its own record, a key of a Docker configuration, has for its registry; that registry is seen to when it asks."""
    return allowed_hosts(
        task.addressees.rules,
        Credential(what=f"the login of {entry.origin}", names=("dockerConfigJSON",)),
    )


def _clients(task: Task) -> Iterator[tuple[str, ClientCertificate]]:
    settings = task.settings
    certificates, keys = settings.mapping("clientCertificates"), settings.mapping("clientKeys")
    for host in keys.keys() - certificates.keys():
        raise ConfigError(
            f"clientKeys has {host}, and clientCertificates has not",
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
    """`host[:port]` of a setting that is by host; raises ConfigError for anything else, a pattern for example."""
    try:
        registry, path = parse_registry(text)
    except ConfigError:
        registry, path = Registry(scheme="", host=""), ""
    if registry.host != text or path:
        raise ConfigError(
            f"{name} has {text!r}, which is no host",
            where=task.settings.origin(name),
            hint="write host or host:port, one for each registry",
        )
    return text


def _configured(task: Task, registry: Registry, paths: Sequence[str]) -> dict[str, Login | None]:
    """The logins that `dockerConfigJSON` has, for which images it has none is said."""
    origin = task.settings.origin("dockerConfigJSON")
    configuration = _configuration(task, origin)
    found = _found(task, configuration, registry, paths)
    lacking = [path for path in paths if found[path] is None]
    if lacking:
        what = (
            registry.host
            if len(lacking) == len(paths)
            else ", ".join(f"{registry.host}/{path}" for path in lacking)
        )
        others = ", ".join(keys_for(configuration.text, registry, origin=origin))
        task.console.say(
            f"  dockerConfigJSON has no login for {what}{f', but for {others}' if others else ''}:"
            f" it is asked without a user ({origin})"
        )
    return found


def _configuration(task: Task, origin: str) -> _Configuration:
    """What `dockerConfigJSON` holds or names; it may name no program where a pull request can change it."""
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


def _found(
    task: Task, configuration: _Configuration, registry: Registry, paths: Iterable[str]
) -> dict[str, Login | None]:
    """The login that a configuration has for each of the images; a program is asked once for one key."""
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


def _agents_own(task: Task, registry: Registry, paths: Sequence[str]) -> dict[str, Login | None]:
    """The logins that the agent itself has for the registry; where its files or programs do not serve, that is a warning: nobody asked for them."""
    found: dict[str, Login | None] = dict.fromkeys(paths)
    for file in _agents_files(task):
        lacking = [path for path in paths if found[path] is None]
        if not lacking:
            break
        try:
            text = read_file(file, _AGENT, where=str(file)).decode("utf-8", "replace")
            own = _Configuration(
                text=text, origin=str(file), trusted=not in_workspace(file, task.folder)
            )
            found.update(_found(task, own, registry, lacking))
        except (ConfigError, CredentialError, MachineError) as fault:
            task.console.note(f"{_AGENT} is left out: {fault.message} ({fault.where})")
    return found


def _agents_files(task: Task) -> Iterator[Path]:
    """The files of docker and podman that are there, in the order in which they count (docker login, containers-auth.json(5))."""
    environ, home = task.environ, task.environ.get("HOME", "")
    places = [
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
        for folder, name in places
        if folder
    )
    yield from (file for file in files if file.is_file())
