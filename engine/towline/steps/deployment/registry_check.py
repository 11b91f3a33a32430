"""The check before a deployment that its images exist, with the right platform and digest."""

from __future__ import annotations

from collections.abc import Sequence

from towline.credential_hosts import AddressTampered, CredentialRefused
from towline.errors import (
    ConfigError,
    CredentialError,
    DigestMismatch,
    RegistryError,
    TowlineError,
    placed,
)
from towline.http.client import Transport
from towline.image import Platform, Registry, Repository, parse_platform, parse_registry
from towline.pipeline.environment import proven_values
from towline.registry.client import RegistryClient
from towline.registry.copy.stream import read_small
from towline.registry.errors import Endpoint
from towline.registry.manifest import Manifest, check_platform, select_platform
from towline.retry import poll_attempts
from towline.steps.deployment.images import DeployedImage
from towline.steps.registry_access import network, registry_login
from towline.steps.task import Task

_TARGET_URL, _PROMOTED = "container/targetRegistryUrl", "container/promotedTo"
_VISIBLE = 4.0  # seconds until an image that this build has pushed is visible, at the latest
_LOOKUP_SECONDS = 60  # for all images: a deployment does not wait longer for a confirmation


def check(task: Task, images: Sequence[DeployedImage]) -> None:
    """Look each image up; it is a warning if a registry cannot tell.

    Raises ConfigError (missing, or not for the platform), DigestMismatch and AddressTampered.
    """
    with Transport(
        read=20, limit=_LOOKUP_SECONDS, network=network(task), hide=task.console.hide
    ) as transport:
        for image in images:
            try:
                client = _client(task, image, transport)
                if client:
                    _check_image(client, image, task.settings.text("imagePlatform"))
            except (DigestMismatch, AddressTampered):
                raise
            except (RegistryError, CredentialError) as fault:
                task.console.warn_of(
                    fault,
                    f"whether {image.reference} exists could not be checked:"
                    f" {fault.message}{_login_hint(fault)}",
                )


def _client(task: Task, image: DeployedImage, transport: Transport) -> RegistryClient | None:
    """The client that looks the image up; None without a login, unless checkImage is set.

    Without a login, a private registry says that its images do not exist. User and password are for
    the registry that imagePushToRegistry pushed to and no other, whatever the project deploys from.
    Only the step that promotes an image can say that it was promoted: else a file in the workspace
    could switch the check off.
    """
    settings, environment = task.settings, task.pipeline_environment
    host = image.reference.registry.host
    pushed, promoted = (
        _registry_on_host(host, environment.get(_TARGET_URL)),
        _registry_on_host(host, proven_values(environment).get(_PROMOTED)),
    )
    registry = pushed or image.reference.registry  # with the scheme that it was pushed by
    found = registry_login(
        task,
        registry,
        role="target" if pushed and not promoted else "",
        path=image.reference.image.name,
    )
    if found is None and not settings.flag("checkImage"):
        return None
    endpoint = Endpoint(registry=registry, role="image", login=found)
    return RegistryClient(
        endpoint, transport=transport, allow_plain_http=settings.flag("allowPlainHttp")
    )


def _login_hint(fault: TowlineError) -> str:
    """The hint if a login was refused; for another answer of the registry the message is enough."""
    return f"; {fault.hint}" if isinstance(fault, CredentialRefused) else ""


def _registry_on_host(host: str, url: object) -> Registry | None:
    """The registry of a URL in the pipeline environment, if its host is `host`."""
    registry = parse_registry(url)[0] if isinstance(url, str) and url else None
    return registry if registry and registry.host == host else None


def _check_image(client: RegistryClient, image: DeployedImage, platform: str) -> None:
    repository, where = image.reference.repository, str(client.registry)
    reference = repository.reference(image.tag or image.digest)
    manifest, found = None, None
    for _ in poll_attempts(
        client.transport.clock,
        seconds=_VISIBLE if image.digest else 0.0,
        sleep=client.transport.wait,
    ):
        manifest = client.find_manifest(reference) if platform else None
        found = client.head_manifest(reference) if manifest is None else manifest.descriptor
        if found is not None and image.digest in ("", found.digest):
            break
    if found is None:
        raise ConfigError(
            f"{image.reference} does not exist",
            where=where,
            hint=(
                "let imagePushToRegistry push it first, or correct the image; checkImage: false"
                " leaves this out"
            ),
        )
    if image.digest and found.digest != image.digest:
        raise DigestMismatch(
            f"{image.reference} has digest {found.digest} now, and the build pushed {image.digest}",
            where=where,
            hint=(
                "another image was pushed to that tag: build again, or give every build a"
                " tag of its own"
            ),
        )
    if manifest is not None:
        with placed(str(image.reference)):
            _check_platform(client, repository, manifest, parse_platform(platform))


def _check_platform(
    client: RegistryClient, repository: Repository, manifest: Manifest, platform: Platform
) -> None:
    """Pass if an index, or the configuration of a single image, names the platform."""
    if manifest.children or not manifest.blobs:
        select_platform(manifest, platform)
        return
    config = manifest.blobs[0]
    check_platform(read_small(client, repository, config, clock=client.transport.clock), platform)
