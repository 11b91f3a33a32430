"""`towline copy SOURCE TARGET...`: one image from wherever it is into registries, without a project; flags and variables are those of imagePushToRegistry."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

from towline import deadline, dispatch
from towline.commands.call import Call
from towline.commands.flags import add_flag, given_flags
from towline.config.merge import DEFAULT, Layer, layer_of
from towline.config.near_names import check_variables
from towline.config.schema import Parameter, StepSchema
from towline.config.settings import Settings, checked_settings
from towline.config.values import parse_text
from towline.contract import SUCCESS, UNCHANGED, Outcome
from towline.credential_hosts import HOSTS, BuildTrust, CredentialGate, CredentialRules
from towline.errors import ConfigError, CredentialError, UsageError, placed
from towline.http.client import Transport
from towline.pipeline.ci import ALLOW, change_variable
from towline.record import replace
from towline.registry.client import RegistryClient
from towline.registry.copy.copying import Copying
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import CopyJob, outputs, report_line, target_names
from towline.registry.copy.progress import Progress
from towline.registry.copy.verify import verify_images
from towline.registry.local.locations import ImageLocation, RegistryLocation, parse_location
from towline.registry.source import ImageSource
from towline.steps.images import wanted_platforms, wanted_referrers
from towline.steps.registry_access import begin_copy_deadline, network, registry_client
from towline.steps.task import Task

# Parameters of imagePushToRegistry, each with its type, what it is and its default; a test holds
# them against the step's metadata, whose reading would
# take as long as a copy that has nothing to do.
PARAMETERS: Mapping[str, tuple[str, str, object]] = {
    "sourceRegistryUser": ("string", "User for the source registry.", None),
    "sourceRegistryPassword": ("string", "Password or token for the source registry.", None),
    "targetRegistryUser": ("string", "User for the target registry.", None),
    "targetRegistryPassword": ("string", "Password or token for the target registry.", None),
    "dockerConfigJSON": (
        "string",
        "Docker configuration with logins for the registries: its path, or its text.",
        None,
    ),
    "targetArchitecture": (
        "string",
        "Copy this platform only, as os/architecture[/variant]; several with commas between.",
        None,
    ),
    "copyReferrers": (
        "boolean",
        (
            "What refers to the image (signatures, attestations, SBOMs) travels with it; one that"
            " cannot is a warning, or a fault if this is set."
        ),
        True,
    ),
    "verify": (
        "boolean",
        "Read the image again from the target, and bring again what it has lost.",
        False,
    ),
    "copyDeadline": ("integer", "Seconds that the copy may take.", 3600),
    "customTlsCertificateLinks": (
        "list",
        "Certificates in PEM to trust beside the machine's own, each as a URL or as a path.",
        None,
    ),
    "clientCertificates": (
        "map",
        "For each registry that asks for one, the path of a client certificate in PEM.",
        None,
    ),
    "clientKeys": (
        "map",
        "For each registry of clientCertificates, the path of the key in PEM.",
        None,
    ),
    "insecureRegistries": (
        "list",
        "Registries (host or host:port) whose certificate is not verified.",
        None,
    ),
    "allowPlainHttp": (
        "boolean",
        "A credential may go over http to a host that is not loopback.",
        False,
    ),
    HOSTS: ("list", "Where set, the only hosts that a credential is sent to.", None),
}
_RULES = frozenset(
    {
        HOSTS,
        "allowPlainHttp",
        "insecureRegistries",
        "customTlsCertificateLinks",
        "clientCertificates",
        "clientKeys",
    }
)
SHARED = ("result", "json")  # a copy has neither stage nor project
_LONGEST = 64 * 1024


def configure(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """The places, and the step's own flags as far as they say how an image is copied."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help=(
            "docker://host/name:tag or host/name:tag, oci:FOLDER[:tag], oci-archive:FILE[:tag],"
            " docker-archive:FILE[:name:tag], docker-daemon:name:tag"
        ),
    )
    parser.add_argument(
        "targets", metavar="TARGET", nargs="+", help="docker://host/name:tag or host/name:tag"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be copied and copy nothing"
    )
    parser.add_argument(
        "--password-stdin",
        choices=("source", "target"),
        help="read this side's password from standard input",
    )
    group = parser.add_argument_group(
        "parameters of imagePushToRegistry; passwords by PIPER_sourceRegistryPassword and"
        " PIPER_targetRegistryPassword"
    )
    for parameter in _schema().parameters:
        add_flag(group, parameter)


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Parse the places, copy, and say what happened."""
    task = _task(arguments, call)
    settings = task.settings
    begin_copy_deadline(settings)
    with placed("SOURCE"):  # the text itself may hold a password
        source = parse_location(arguments.source)
    _check_source(arguments, source)
    with placed("TARGET"):
        targets = [_registry(text) for text in arguments.targets]
    job = CopyJob(
        source=source.reference if isinstance(source, RegistryLocation) else None,
        name=str(source),
        targets=tuple(target.reference for target in targets),
        platforms=wanted_platforms(settings),
        referrers=wanted_referrers(settings),
    )
    with ExitStack() as stack:
        transport = stack.enter_context(
            Transport(
                limit=settings.number("copyDeadline"), network=network(task), hide=call.console.hide
            )
        )
        clients = {
            registry: registry_client(task, transport, registry, role="target", names=names)
            for registry, names in target_names([job]).items()
        }
        for client in clients.values() if not task.dry_run else ():
            _check_publishing(call, client)
        copying = Copying(
            source=stack.enter_context(_opened(task, transport, source)),
            targets=clients,
            progress=Progress(call.console, transport.clock),
            dry_run=task.dry_run,
            warn=call.console.warn,
        )
        reports = copy_images([job], copying)
        if settings.flag("verify"):
            reports = verify_images(reports, copying)
        sent = transport.total
    said = f"{'nothing was done: ' if task.dry_run else ''}{report_line(reports[0], dry_run=task.dry_run)}"
    if not arguments.json:
        call.out.write(f"{call.console.shown(said)}\n")
    return Outcome(
        status=SUCCESS if reports[0].changed else UNCHANGED,
        summary=said,
        outputs={
            **outputs(reports, dry_run=task.dry_run),
            "requests": sent.requests,
            "retries": sent.retries,
        },
    )


def _schema() -> StepSchema:
    """The parameters as a step's metadata has them; none of them must be set."""
    parameters = tuple(
        Parameter(
            name=name,
            type=kind,
            description=description,
            scope=(),
            default=default,
            secret=name.endswith("Password"),
            minimum=1 if name == "copyDeadline" else None,
            maximum=deadline.LONGEST_STEP if name == "copyDeadline" else None,
            format="host" if name == HOSTS else "",
        )
        for name, (kind, description, default) in PARAMETERS.items()
    )
    return StepSchema(name="copy", description="", parameters=parameters, flags=True)


def _task(arguments: argparse.Namespace, call: Call) -> Task:
    schema, environ = _schema(), _environ(arguments, call)
    check_variables(environ, [HOSTS], PARAMETERS)
    variables = {
        name: environ[f"PIPER_{name}"] for name in PARAMETERS if environ.get(f"PIPER_{name}")
    }
    layers = (
        layer_of(
            DEFAULT,
            {name: default for name, (_, _, default) in PARAMETERS.items() if default is not None},
            trusted=True,
        ),
        _layer(
            "variables", "PIPER_", variables, stdin=f"{arguments.password_stdin}RegistryPassword"
        ),
        _layer("flags", "--", _heard(call, given_flags(arguments, schema))),
    )
    settings = checked_settings(schema, layers)
    for secret in settings.secrets():
        call.console.hide(secret)
    return Task(
        settings=settings,
        pipeline_environment={},
        stage="",
        build=call.request.build,
        folder=call.folder,
        environ=call.environ,
        console=call.console,
        dry_run=arguments.dry_run,
        addressees=_addressees(settings, call),
        project=False,
    )


def _heard(call: Call, flags: Mapping[str, object]) -> Mapping[str, object]:
    """The flags that count: those of a change request say neither where a login may go, nor whom to trust."""
    unheard = (
        [name for name in flags if name in _RULES]
        if (sign := change_variable(call.environ))
        else []
    )
    for name in unheard:
        call.console.warn(
            f"--{name} does not count: {sign} says that a change request is built, whose author can"
            f" change the call; set PIPER_{name} on the agent"
        )
    return {name: text for name, text in flags.items() if name not in unheard}


def _addressees(settings: Settings, call: Call) -> CredentialGate:
    """What decides where logins go: the arguments name their hosts, but for a change request, whose author can change them."""
    sign = change_variable(call.environ)
    standing = BuildTrust(
        project=False,
        build=f"{sign} says that a change request is built, whose author can change that",
        request=bool(sign),
    )
    rules = CredentialRules(
        hosts=settings.texts(HOSTS), where=settings.origin(HOSTS), standing=lambda: standing
    )
    return CredentialGate(rules, say=call.console.say_audit, warn=call.console.warn_audit)


def _layer(name: str, prefix: str, texts: Mapping[str, object], *, stdin: str = "") -> Layer:
    """A layer of texts; `stdin` is the key whose value came by standard input."""
    values = {key: parse_text(PARAMETERS[key][0], text) for key, text in texts.items()}
    return layer_of(
        name,
        values,
        trusted=True,
        origins={key: "standard input" if key == stdin else f"{prefix}{key}" for key in texts},
    )


def _environ(arguments: argparse.Namespace, call: Call) -> dict[str, str]:
    """The variables, with the password that comes by standard input."""
    if not arguments.password_stdin:
        return dict(call.environ)
    password = sys.stdin.readline(_LONGEST).rstrip("\r\n") if sys.stdin else ""
    if not password:
        raise UsageError(
            "--password-stdin is given, and standard input holds no password",
            hint="write it there: printf '%s' \"$PASSWORD\" | towline copy ...",
        )
    return {**call.environ, f"PIPER_{arguments.password_stdin}RegistryPassword": password}


def _check_source(arguments: argparse.Namespace, source: ImageLocation) -> None:
    """Pass where no login is given for a source that has none; raises UsageError."""
    side = arguments.password_stdin
    given = (
        "--sourceRegistryUser"
        if getattr(arguments, "parameter:sourceRegistryUser", None)
        else "--password-stdin source"
        if side == "source"
        else ""
    )
    if given and not isinstance(source, RegistryLocation):
        raise UsageError(
            f"{given} is for a source in a registry, and {source} is none", hint="leave it out"
        )


def _registry(text: str) -> RegistryLocation:
    """The place that a target is, with the tag that it gets."""
    place = parse_location(text)
    if not isinstance(place, RegistryLocation):
        raise ConfigError(
            f"{text!r} is no registry, and images are copied to registries only",
            hint="expected docker://host/name:tag",
        )
    image = place.reference.image
    return (
        place
        if image.tag or image.digest
        else RegistryLocation(
            reference=replace(place.reference, image=replace(image, tag=place.target))
        )
    )


def _check_publishing(call: Call, client: RegistryClient) -> None:
    """Pass where nothing is published with somebody's rights in a build of a change request, or the agent lets it; raises CredentialError."""
    sign = change_variable(call.environ)
    if sign and client.has_login and call.environ.get(f"PIPER_{ALLOW}", "").lower() != "true":
        raise CredentialError(
            f"the login for {client} is not used: {sign} says that a change request is built, and"
            " such a build publishes nothing",
            where=sign,
            hint=(
                f"it may where PIPER_{ALLOW}=true is set on the agent; a registry that needs no"
                " login is copied to all the same"
            ),
        )


def _opened(
    task: Task, transport: Transport, source: ImageLocation
) -> AbstractContextManager[ImageSource]:
    if isinstance(source, RegistryLocation):
        image = source.reference
        return nullcontext(
            registry_client(
                task, transport, image.registry, role="source", names=[image.image.name]
            )
        )
    opened: AbstractContextManager[ImageSource] = dispatch.part("local_images").open_source(
        source, environ=task.environ, transport=transport
    )
    return opened
