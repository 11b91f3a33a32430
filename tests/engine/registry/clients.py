"""Clients and jobs for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from tests.fakes.images import OCI_INDEX, ImageParts, put
from tests.fakes.registry import FakeRegistry, digest_of
from towline.http.client import Transport
from towline.image import (
    Image,
    Platform,
    Reference,
    Registry,
    Repository,
    parse_image,
    parse_registry,
)
from towline.registry.client import RegistryClient
from towline.registry.copy.copying import Copying
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import COPIED, MOUNTED, SKIPPED, CopyJob, CopyReport
from towline.registry.copy.progress import Progress
from towline.registry.copy.referrers import referrers_tag
from towline.registry.errors import Endpoint
from towline.registry.local.layout import is_digest
from towline.registry.session import RegistrySession
from towline.registry.source import LOCAL
from towline.registry.uploads import Uploads
from towline.secret import Login

SECRET = "hunter2 %:ä"
SOURCE_LOGIN = Login(username="builder", password=SECRET, origin="CPE container/repositoryPassword")
TARGET_LOGIN = Login(username="pusher", password=SECRET, origin="PIPER_targetRegistryPassword")


class Server(Protocol):
    """Any registry of tests.fakes."""

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, or https."""


def registry_of(server: Server) -> Registry:
    return parse_registry(server.url)[0]


def client(
    server: Server, role: str, transport: Transport, login: Login | None = None
) -> RegistryClient:
    return RegistryClient(
        Endpoint(registry=registry_of(server), role=role, login=login), transport=transport
    )


def repository_at(place: RegistryClient | RegistrySession | Uploads, name: str) -> Repository:
    """A repository of the registry that a client, its session or its uploads are for."""
    endpoint = place.session.endpoint if isinstance(place, Uploads) else place.endpoint
    return Repository(registry=endpoint.registry, name=name)


def image_at(place: RegistryClient, name: str, target: str) -> Reference:
    """An image of a client's registry, by its tag or digest."""
    return repository_at(place, name).reference(target)


def local_image(target: str = "") -> Reference:
    """An image of a local source, by its digest or its name there; the only one without."""
    image = Image(name="", digest=target) if is_digest(target) else Image(name="", tag=target)
    return Reference(registry=LOCAL.registry, image=image)


def job(
    source: Server,
    target: Server,
    *images: str,
    digest: str = "",
    platforms: tuple[Platform, ...] = (),
) -> CopyJob:
    """From the first of `images` on the source to the others on the target."""
    first, *others = (parse_image(image) for image in images)
    places = tuple(Reference(registry=registry_of(target), image=image) for image in others)
    reference = Reference(registry=registry_of(source), image=first)
    return CopyJob(
        source=reference,
        name=str(reference),
        targets=places,
        digest=digest,
        platforms=platforms,
    )


class Pair:
    """A source and a target, with a client for each over one transport."""

    def __init__(
        self,
        source: Server,
        target: Server,
        transport: Transport,
        logins: tuple[Login | None, Login | None] = (None, None),
    ) -> None:
        self._servers = source, target
        self.source = client(source, "source", transport, logins[0])
        self.target = client(target, "target", transport, logins[1])

    def copying(self, *, dry_run: bool = False, warn: Callable[[str], None] = print) -> Copying:
        """A copy between these two."""
        progress = Progress(None, self.target.transport.clock)
        return Copying(
            source=self.source,
            targets={self.target.registry: self.target},
            progress=progress,
            dry_run=dry_run,
            warn=warn,
        )

    def copy(
        self,
        *images: str,
        digest: str = "",
        platforms: tuple[Platform, ...] = (),
        dry_run: bool = False,
    ) -> CopyReport:
        """One job from the first of `images` to the others."""
        return copy_images(
            [job(*self._servers, *images, digest=digest, platforms=platforms)],
            self.copying(dry_run=dry_run),
        )[0]


def ways(report: CopyReport) -> tuple[int, int, int]:
    """The numbers of blobs that were copied, mounted and skipped."""
    return report.count(COPIED), report.count(MOUNTED), report.count(SKIPPED)


def put_list(
    target: FakeRegistry,
    subject: ImageParts,
    *referrers: ImageParts,
    kind: str = OCI_INDEX,
    repository: str = "app",
) -> None:
    entries = [
        {"mediaType": one.media_type, "digest": one.digest, "size": len(one.manifest)}
        for one in referrers
    ]
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "manifests": entries or None}
    ).encode()
    put(
        ImageParts(manifest=body, media_type=kind, digest=digest_of(body)),
        target,
        repository,
        referrers_tag(subject.digest),
    )
