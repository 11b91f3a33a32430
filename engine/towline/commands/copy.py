"""`towline copy SOURCE TARGET...`: copies one image into registries, without a project.

Flags and variables are those of imagePushToRegistry.
"""

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
from towline.credential_hosts import HOSTS_KEY, BuildTrust, CredentialGate, CredentialRules
from towline.errors import ConfigError, CredentialError, UsageError, placed
from towline.http.client import Transport
from towline.image import Reference
from towline.pipeline.ci import ALLOW, change_variable
from towline.registry.client import RegistryClient
from towline.registry.copy.copying import Copying
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import CopyJob, outputs, report_line, target_repositories
from towline.registry.copy.progress import Progress
from towline.registry.copy.verify import verify_images
from towline.registry.local.locations import ImageLocation, RegistryLocation, parse_location
from towline.registry.source import LOCAL, ImageSource
from towline.steps.images import wanted_platforms, wanted_referrers
from towline.steps.registry_access import begin_copy_deadline, network, registry_client
from towline.steps.task import Task

# The parameters of imagePushToRegistry that a copy has: type, description and default. A test holds
# them against the step's metadata; to read that would take as long as a copy with nothing to do.
PARAMETERS: Mapping[str, tuple[str, str, object]] = {
    "sourceRegistryUser": (
        "string",
        (
            "User name for the source registry. Without user name and password, the images are"
            " read anonymously."
        ),
        None,
    ),
    "sourceRegistryPassword": ("string", "Password or token for the source registry.", None),
    "targetRegistryUser": ("string", "User name for the target registry.", None),
    "targetRegistryPassword": ("string", "Password or token for the target registry.", None),
    "dockerConfigJSON": (
        "string",
        "Docker configuration with logins for the registries: the path of the file, or its text.",
        None,
    ),
    "targetArchitecture": (
        "string",
        (
            "Copies only this platform, given as os/architecture[/variant]. Several, separated by"
            " commas, are copied as an index of these platforms in this order, with their"
            " attestations. Without it, all platforms are copied."
        ),
        None,
    ),
    "copyReferrers": (
        "boolean",
        (
            "Also copies the signatures, attestations and SBOMs that refer to an image, as"
            " referrers and as cosign's tags. They are read from a registry or from an OCI layout."
            " If one cannot be copied (a target may reject it), that is a warning; if this is"
            " explicitly set to true, an error."
        ),
        True,
    ),
    "verify": (
        "boolean",
        (
            "Reads the images back from the target: manifests, and the list of blobs. That"
            " includes images that were there before. Whatever the target has lost or holds"
            " damaged is pushed again."
        ),
        False,
    ),
    "copyDeadline": ("integer", "Time limit in seconds for all copies together.", 3600),
    "customTlsCertificateLinks": (
        "list",
        (
            "Certificates of authorities (PEM) to trust in addition to the machine's own. Each is"
            " a URL, or a path."
        ),
        None,
    ),
    "clientCertificates": (
        "map",
        (
            "Client certificates (PEM) for registries that ask for one. The key is host or"
            " host:port, the value the path of a file, which may hold the private key, too."
        ),
        None,
    ),
    "clientKeys": (
        "map",
        (
            "Private keys (PEM) for clientCertificates that are in files of their own. The key is"
            " host or host:port, the value a path. A private key must not have a password."
        ),
        None,
    ),
    "insecureRegistries": (
        "list",
        (
            "Registries (host or host:port) whose certificate is not verified. Each prints a"
            " warning in every run."
        ),
        None,
    ),
    "allowPlainHttp": (
        "boolean",
        (
            "Allows sending credentials over http:// to other hosts than this machine. By default"
            " they are sent over http:// only to this machine (loopback)."
        ),
        False,
    ),
    HOSTS_KEY: (
        "list",
        (
            "The only hosts that credentials may be sent to. Each is `host` (with the usual port"
            " of its scheme), `host:port`, or `*.example.com`."
        ),
        None,
    ),
}
# the flags of a change request that are ignored: its author can change the call
REPORTS = True  # a CI system gets a summary and outputs
_RULES = frozenset(
    {
        HOSTS_KEY,
        "allowPlainHttp",
        "insecureRegistries",
        "customTlsCertificateLinks",
        "clientCertificates",
        "clientKeys",
    }
)
SHARED = ("result", "json")  # a copy has neither stage nor project
_LONGEST_PASSWORD = 64 * 1024


def configure(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """Add SOURCE, TARGET, and the step's flags that say how an image is copied."""
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
    """Parse the locations, copy the image, and report."""
    task = _task(arguments, call)
    settings = task.settings
    begin_copy_deadline(settings)
    with placed("SOURCE"):  # the text itself may contain a password
        source = parse_location(arguments.source)
    _check_source(arguments, source)
    with placed("TARGET"):
        targets = [_target(text) for text in arguments.targets]
    job = CopyJob(
        source=source.reference if isinstance(source, RegistryLocation) else LOCAL.reference(""),
        name=str(source),
        targets=tuple(targets),
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
            registry: registry_client(
                task, transport, registry, role="target", repositories=repositories
            )
            for registry, repositories in target_repositories([job]).items()
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
    summary = report_line(reports[0], dry_run=task.dry_run)
    if task.dry_run:
        summary = f"dry run: {summary}"
    if not arguments.json:
        call.out.write(f"{call.console.shown(summary)}\n")
    return Outcome(
        status=SUCCESS if reports[0].changed else UNCHANGED,
        summary=summary,
        outputs={
            **outputs(reports, dry_run=task.dry_run),
            "requests": sent.requests,
            "retries": sent.retries,
        },
    )


def _schema() -> StepSchema:
    """The parameters in the form of a step's metadata; none is mandatory."""
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
            format="host" if name == HOSTS_KEY else "",
        )
        for name, (kind, description, default) in PARAMETERS.items()
    )
    return StepSchema(name="copy", description="", parameters=parameters, flags=True)


def _task(arguments: argparse.Namespace, call: Call) -> Task:
    schema, environ = _schema(), _environ(arguments, call)
    check_variables(environ, [HOSTS_KEY], PARAMETERS)
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
        _layer("flags", "--", _allowed_flags(call, given_flags(arguments, schema))),
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


def _allowed_flags(call: Call, flags: Mapping[str, object]) -> Mapping[str, object]:
    """The flags that are not ignored.

    In a change request no flag says where a login may go, or whom to trust.
    """
    sign = change_variable(call.environ)
    ignored = [name for name in flags if sign and name in _RULES]
    for name in ignored:
        call.console.warn(
            f"--{name} is ignored: {sign} says that a change request is built, whose author can"
            f" change the call; set PIPER_{name} on the agent"
        )
    return {name: text for name, text in flags.items() if name not in ignored}


def _addressees(settings: Settings, call: Call) -> CredentialGate:
    """The gate that decides where logins may go.

    The arguments name their hosts, except in a change request, whose author can change them.
    """
    sign = change_variable(call.environ)
    standing = BuildTrust(
        project=False,
        build=f"{sign} says that a change request is built, whose author can change that",
        request=bool(sign),
    )
    rules = CredentialRules(
        hosts=settings.texts(HOSTS_KEY), where=settings.origin(HOSTS_KEY), standing=lambda: standing
    )
    return CredentialGate(rules, say=call.console.say_audit, warn=call.console.warn_audit)


def _layer(name: str, prefix: str, texts: Mapping[str, object], *, stdin: str = "") -> Layer:
    """A layer of texts; `stdin` is the key whose value came through standard input."""
    values = {key: parse_text(PARAMETERS[key][0], text) for key, text in texts.items()}
    return layer_of(
        name,
        values,
        trusted=True,
        origins={key: "standard input" if key == stdin else f"{prefix}{key}" for key in texts},
    )


def _environ(arguments: argparse.Namespace, call: Call) -> dict[str, str]:
    """The variables, with the password that came through standard input."""
    if not arguments.password_stdin:
        return dict(call.environ)
    password = sys.stdin.readline(_LONGEST_PASSWORD).rstrip("\r\n") if sys.stdin else ""
    if not password:
        raise UsageError(
            "--password-stdin is given, and standard input has no password",
            hint="write it there: printf '%s' \"$PASSWORD\" | towline copy ...",
        )
    return {**call.environ, f"PIPER_{arguments.password_stdin}RegistryPassword": password}


def _check_source(arguments: argparse.Namespace, source: ImageLocation) -> None:
    """Raise UsageError if a login is given for a source that is not a registry."""
    if isinstance(source, RegistryLocation):
        return
    given, side = "", arguments.password_stdin
    if getattr(arguments, "parameter:sourceRegistryUser", None):
        given = "--sourceRegistryUser"
    elif side == "source":
        given = "--password-stdin source"
    if given:
        raise UsageError(
            f"{given} is for a source in a registry, and {source} is not", hint="leave it out"
        )


def _target(text: str) -> Reference:
    """The reference of a target, with the tag that it gets; raises ConfigError."""
    location = parse_location(text)
    if not isinstance(location, RegistryLocation):
        raise ConfigError(
            f"{text!r} is not in a registry, and images are copied to registries only",
            hint="expected docker://host/name:tag",
        )
    reference = location.reference
    if reference.image.tag or reference.image.digest:
        return reference
    return reference.repository.reference(reference.target)


def _check_publishing(call: Call, client: RegistryClient) -> None:
    """Raise CredentialError if a change request would publish with a login.

    The agent may allow it.
    """
    sign = change_variable(call.environ)
    if sign and client.has_login and call.environ.get(f"PIPER_{ALLOW}", "").lower() != "true":
        raise CredentialError(
            f"the login for {client} is not used: {sign} says that a change request is built, and"
            " such a build publishes nothing",
            where=sign,
            hint=(
                f"set PIPER_{ALLOW}=true on the agent to allow it; a registry that needs no login"
                " is copied to all the same"
            ),
        )


def _opened(
    task: Task, transport: Transport, source: ImageLocation
) -> AbstractContextManager[ImageSource]:
    if isinstance(source, RegistryLocation):
        image = source.reference
        return nullcontext(
            registry_client(
                task, transport, image.registry, role="source", repositories=[image.repository]
            )
        )
    opened: AbstractContextManager[ImageSource] = dispatch.part("local_images").open_source(
        source, environ=task.environ, transport=transport
    )
    return opened
