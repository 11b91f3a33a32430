"""What a registry can do (OCI distribution-spec 1.1, section 4), one verb per method; errors are those of the registry family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote

from towline.errors import ConfigError, CredentialError, DigestMismatch, RegistryError, RegistryUnreachable, TowlineError, TransportError
from towline.image import Registry, parse_digest
from towline.registry import faults
from towline.registry.credentials import is_docker_hub
from towline.registry.hosts import may_follow, upload_location
from towline.registry.manifest import ACCEPT, LIMIT, Descriptor, Manifest, digest_of, parse_manifest
from towline.registry.session import Session
from towline.retry import Clock, retry_after
from towline.secret import Login
from towline.transport import RETRIED, HttpRequest, Response, Transport, Upload

_LOST = frozenset({401, 404, 416}) | RETRIED  # an upload that the registry forgot, or may take later


@dataclass(frozen=True, kw_only=True)
class UploadSession:
    """An upload that the registry has begun: where the blob goes."""

    repository: str
    url: str


class Download:
    """A blob on its way from a registry."""

    def __init__(self, response: Response, party: faults.Party) -> None:
        self._response = response
        self._party = party

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the blob goes, 0 at its end; raises BrokenOff."""
        try:
            return self._response.readinto(buffer)
        except TransportError as fault:
            raise faults.BrokenOff(faults.unreachable(self._party, fault)) from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._response.close()


class RegistryClient:
    """One registry as `source` or `target` of a copy; shared by threads.

    Every method raises RegistryUnreachable, CredentialError (which registry, which user, where the user came from) and RegistryError.
    """

    def __init__(self, registry: Registry, *, role: str, login: Login | None, transport: Transport, allow_plain_http: bool = False) -> None:
        self.party = faults.Party(registry=registry, role=role, login=login)
        self._session = Session(self.party, transport, allow_plain_http=allow_plain_http)

    @property
    def registry(self) -> Registry:
        """Which registry it is."""
        return self.party.registry

    @property
    def clock(self) -> Clock:
        """The clock that its waits run on."""
        return self._session.transport.clock

    def head_manifest(self, repository: str, target: str) -> Descriptor | None:
        """Digest, size and media type of a tag or digest; None where it is not there. A target that forbids the question has nothing to say either."""
        with self._ask("HEAD", repository, f"manifests/{target}", {"Accept": ACCEPT}) as response:
            if response.status == 404 or (response.status == 403 and self.party.role == "target"):
                return None
            digest, media_type = response.headers.get("Docker-Content-Digest", ""), response.headers.get("Content-Type", "")
            size = response.headers.get("Content-Length", "")
        if response.status == 200 and _is_digest(digest) and size.isdecimal():
            return Descriptor(digest=digest, size=int(size), media_type=media_type.partition(";")[0].strip().lower())
        found = self.find_manifest(repository, target)  # an answer without the digest, or a registry without HEAD
        return None if found is None else found.descriptor

    def find_manifest(self, repository: str, target: str) -> Manifest | None:
        """The manifest of a tag or digest, checked; None where it is not there. Raises DigestMismatch."""
        with self._ask("GET", repository, f"manifests/{target}", {"Accept": ACCEPT}) as response:
            if response.status == 404 or (response.status == 403 and self.party.role == "target"):
                return None
            if response.status != 200:
                raise faults.unexpected(self.party, response, f"for {repository}, manifest {target}")
            body, media_type = self._body(response), response.headers.get("Content-Type", "")
        return parse_manifest(body, media_type, pinned=target if ":" in target else "", where=f"{self.registry}/{repository}")

    def get_manifest(self, repository: str, target: str) -> Manifest:
        """The manifest of a tag or digest, checked; raises RegistryError where it is not there, and DigestMismatch."""
        found = self.find_manifest(repository, target)
        if found is None:
            hint = "was the tag cleaned up? a staging registry is short-lived: Build has to run again" if self.party.role == "source" else ""
            raise RegistryError(f"{repository}, {target}, does not exist on the {self.party}", where=str(self.registry), hint=hint)
        return found

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob; a target that forbids the question is taken not to have it."""
        with self._ask("HEAD", repository, f"blobs/{digest}") as response:
            if response.status == 200:
                return True
            if response.status in (404, 405) or (response.status == 403 and self.party.role == "target"):
                return False
        raise faults.unexpected(self.party, response, f"for {repository}, blob {digest}")

    def mount_or_start(self, repository: str, digest: str, from_repository: str = "") -> UploadSession | None:
        """Begin an upload of a blob; None where the registry could mount it from `from_repository` instead."""
        answered, upload = self._mount(repository, digest, from_repository) if from_repository else (False, None)
        if answered:
            return upload
        with self._post(repository, "", ()) as response:
            if response.status == 404:
                raise faults.no_repository(self.party, repository)
            if response.status != 202:
                raise faults.unexpected(self.party, response, f"to store a blob in {repository}")
            return self._begun(repository, response)

    def open_blob(self, repository: str, digest: str) -> Download:
        """A blob to read; nothing of it is checked yet."""
        response = self._ask("GET", repository, f"blobs/{digest}")
        if response.status != 200:
            raise faults.unexpected(self.party, response, f"for {repository}, blob {digest}")
        return Download(response, self.party)

    def put_blob(self, upload: UploadSession, digest: str, body: Upload) -> None:
        """Store a blob in one piece; raises BrokenOff where it may be begun again with a new upload."""
        url = f"{upload.url}{'&' if '?' in upload.url else '?'}digest={quote(digest, safe='')}"
        request = HttpRequest(method="PUT", url=url, headers={"Content-Type": "application/octet-stream"}, body=body)
        try:
            response = self._session.send(request, (self._scope(upload.repository),))
        except RegistryUnreachable as fault:
            raise faults.BrokenOff(fault) from fault
        with response:
            if response.status in (200, 201, 204):
                return
            wait = retry_after(response.headers.get("Retry-After"), self.clock)
            meaning = faults.unexpected(self.party, response, f"to store {digest} in {upload.repository}")
        if response.status in _LOST:
            raise faults.BrokenOff(meaning, wait=wait)
        raise meaning

    def put_manifest(self, repository: str, target: str, manifest: Manifest) -> None:
        """Store a manifest under a tag or its digest; raises DigestMismatch where the registry stored something else."""
        request = HttpRequest(method="PUT", url=self._url(repository, f"manifests/{target}"), headers={"Content-Type": manifest.media_type}, body=manifest.body)
        with self._session.send(request, (self._scope(repository),)) as response:
            if response.status == 404:
                raise self._missing(repository, target, response)
            if response.status not in (200, 201, 202, 204):
                raise faults.unexpected(self.party, response, f"to store {repository}, manifest {target}")
            stored = response.headers.get("Docker-Content-Digest", "")
        if _is_digest(stored) and stored != digest_of(manifest.body, stored):
            raise DigestMismatch(f"the {self.party} stored {manifest.digest} as {stored}", where=str(self.registry))

    def _mount(self, repository: str, digest: str, from_repository: str) -> tuple[bool, UploadSession | None]:
        """Whether the registry took the question, and the upload where it rather has the bytes; any other answer is left to the plain way."""
        query = f"?mount={quote(digest, safe='')}&from={quote(self._name(from_repository), safe='')}"
        try:
            with self._post(repository, query, (f"repository:{self._name(from_repository)}:pull",)) as response:
                return response.status in (201, 202), self._begun(repository, response) if response.status == 202 else None
        except (RegistryError, CredentialError):  # Harbor: 401 or 404 for a project that cannot be read
            return False, None

    def _missing(self, repository: str, target: str, response: Response) -> TowlineError:
        """404 for a manifest: no such repository, or something that the manifest names is not there."""
        diagnosis = faults.diagnose(response)
        if any(code in ("MANIFEST_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN") for code in diagnosis.codes):
            return RegistryError(f"the {self.party} does not take {repository}, manifest {target}: {diagnosis.text}", where=str(self.registry))
        return faults.no_repository(self.party, repository)

    def _begun(self, repository: str, response: Response) -> UploadSession:
        base = self._url(repository, "blobs/uploads/")
        location = response.headers.get("Location", "")
        url = upload_location(location, base, self.registry) if location else ""
        if not url or not may_follow(url, self.registry):
            raise RegistryError(f"the {self.party} begins an upload without a location that may be used", where=str(self.registry))
        return UploadSession(repository=repository, url=url)

    def _post(self, repository: str, query: str, scopes: tuple[str, ...]) -> Response:
        request = HttpRequest(method="POST", url=self._url(repository, "blobs/uploads/") + query, repeatable=True)
        return self._session.send(request, (self._scope(repository), *scopes))

    def _ask(self, method: str, repository: str, rest: str, headers: Mapping[str, str] | None = None) -> Response:
        request = HttpRequest(method=method, url=self._url(repository, rest), headers=headers or {})
        return self._session.send(request, (self._scope(repository),))

    def _url(self, repository: str, rest: str) -> str:
        return f"{self._session.base}/v2/{self._name(repository)}/{rest}"

    def _scope(self, repository: str) -> str:
        return self._session.scope(self._name(repository))

    def _name(self, repository: str) -> str:
        """The repository as the registry calls it: Docker Hub's own images have a prefix."""
        return f"library/{repository}" if is_docker_hub(self.registry.host) and "/" not in repository else repository

    def _body(self, response: Response) -> bytes:
        try:
            return response.read_capped(LIMIT)
        except TransportError as fault:
            raise faults.unreachable(self.party, fault) from fault


def _is_digest(text: str) -> bool:
    try:
        return bool(parse_digest(text))
    except ConfigError:
        return False
