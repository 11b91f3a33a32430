"""Client of one registry (OCI distribution-spec 1.1, section 4): manifests, blobs, tags, referrers.

Every method raises errors of the registry family. A request that may be repeated is retried by
http/client.py; uploads are in registry/uploads.py and retried by registry/copy/transfer.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.message import Message

from towline.errors import (
    ConfigError,
    CredentialError,
    DigestMismatch,
    RegistryError,
    TransportError,
)
from towline.http.client import Transport, read_with_retries
from towline.http.messages import Closing, HttpRequest, Response
from towline.image import Reference, Registry, Repository, parse_digest
from towline.literals import json_object
from towline.registry import errors
from towline.registry.coding import decode_body
from towline.registry.manifest import (
    ACCEPT,
    MANIFEST_LIMIT,
    OCI_INDEX,
    SCHEMA_1,
    Descriptor,
    Manifest,
    digest_of,
    parse_manifest,
)
from towline.registry.session import ManifestAllowance, RegistrySession
from towline.registry.uploads import Uploads
from towline.retry import poll_attempts
from towline.secret import Login

_MISSING = frozenset({"MANIFEST_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)")
_NEXT = re.compile(r"<([^<>]{1,4096})>\s*;\s*rel=\"?next\"?")
# statuses of registries that do not know the referrers API (facts 3.3)
_NO_LIST = frozenset({400, 403, 404, 405, 406, 410, 415, 501})
_SKIP = 256 * 1024
_PAGES, _REFERRERS, _TAGS = 50, 10_000, 1000
_SECONDS_FOR_TAGS = 5.0  # some registries rebuild the list from thousands of tags


class Download(Closing):
    """A blob that is being downloaded; its first `skip` bytes are left out."""

    def __init__(self, response: Response, endpoint: errors.Endpoint, *, skip: int = 0) -> None:
        self._response = response
        self._endpoint = endpoint
        self._skip = skip

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as the blob goes, 0 at its end; raises TransferInterrupted."""
        try:
            while self._skip and (
                got := self._response.readinto(memoryview(bytearray(min(self._skip, _SKIP))))
            ):
                self._skip -= got
            return self._response.readinto(buffer)
        except TransportError as fault:
            raise errors.TransferInterrupted(errors.unreachable(self._endpoint, fault)) from fault

    def close(self) -> None:
        """Close the response; a short rest of it is read."""
        self._response.close()


class RegistryClient:
    """Client of one registry as source or target of a copy; shared by threads.

    Every method raises RegistryUnreachable, CredentialError (which registry, which user, where the
    user came from) and RegistryError.
    """

    def __init__(
        self, endpoint: errors.Endpoint, *, transport: Transport, allow_plain_http: bool = False
    ) -> None:
        self.endpoint = endpoint
        self._session = RegistrySession(self.endpoint, transport, allow_plain_http=allow_plain_http)
        self.uploads = Uploads(self._session, self.has_blob)
        self._allow_plain_http = allow_plain_http
        self._logins: dict[Repository, Login | None] = {}
        self._allowance = ManifestAllowance(str(endpoint), str(endpoint.registry))

    def __str__(self) -> str:
        return str(self.endpoint)

    @property
    def registry(self) -> Registry:
        """The registry."""
        return self.endpoint.registry

    @property
    def transport(self) -> Transport:
        """The transport of the client's requests."""
        return self._session.transport

    def by(self, transport: Transport) -> RegistryClient:
        """A client for the same registry, role and logins that uses another transport."""
        other = RegistryClient(
            self.endpoint, transport=transport, allow_plain_http=self._allow_plain_http
        )
        other.log_in(self._logins)
        other._allowance = self._allowance
        return other

    def log_in(self, logins: Mapping[Repository, Login | None]) -> None:
        """Use each of these repositories with its own login; called before the first request.

        All other repositories use the client's login.
        """
        self._logins.update(logins)
        self._session.log_in(logins)

    @property
    def has_login(self) -> bool:
        """Whether the client has a login for any repository."""
        return any((self.endpoint.login, *self._logins.values()))

    def want(self, repositories: Iterable[Repository]) -> None:
        """Let one token of each login cover these repositories; called before the first request."""
        self._session.want(repositories)

    def head_manifest(self, reference: Reference) -> Descriptor | None:
        """Digest, size and media type of a manifest, or None if it does not exist.

        403 from a target is treated as "not found".
        """
        with self._ask(
            "HEAD", reference.repository, f"manifests/{reference.target}", {"Accept": ACCEPT}
        ) as response:
            if response.status == 404 or (
                response.status == 403 and self.endpoint.role == "target"
            ):
                return None
            digest, media_type = (
                response.headers.get("Docker-Content-Digest", ""),
                response.headers.get("Content-Type", ""),
            )
            size = response.headers.get("Content-Length", "")
        if (
            response.status == 200
            and _is_digest(digest)
            and size.isdecimal()
            and "Content-Encoding" not in response.headers
        ):
            return Descriptor(
                digest=digest,
                size=int(size),
                media_type=media_type.partition(";")[0].strip().lower(),
            )
        # the answer has no digest, or the registry does not support HEAD
        found = self.find_manifest(reference)
        return None if found is None else found.descriptor

    def find_manifest(self, reference: Reference) -> Manifest | None:
        """The manifest of a reference, verified, or None if it does not exist.

        Raises DigestMismatch if a second read does not match either.
        """
        try:
            return self._manifest(reference)
        except DigestMismatch:
            return self._manifest(reference)

    def _manifest(self, reference: Reference) -> Manifest | None:
        repository, target = reference.repository, reference.target
        url = self._session.url(repository, f"manifests/{target}")
        where = f"{self.registry}/{repository.name}"
        status, headers, body = self._fetch(repository, url, ACCEPT, f"for {_named(reference)}")
        if status != 200:
            return None
        if ":" in target:
            return parse_manifest(body, headers.get("Content-Type", ""), pinned=target, where=where)
        # the digest of a schema 1 manifest leaves out its signatures
        announced = headers.get("Docker-Content-Digest", "")
        if (
            _is_digest(announced)
            and headers.get_content_type() not in SCHEMA_1
            and (received := digest_of(body, announced)) != announced
        ):
            raise DigestMismatch(
                f"the manifest of {target} has the digest {announced} and arrived as {received}",
                where=where,
                hint="the registry or a proxy before it serves wrong content",
            )
        return parse_manifest(body, headers.get("Content-Type", ""), where=where)

    def get_manifest(self, reference: Reference) -> Manifest:
        """The manifest of a reference, verified; raises RegistryError if it does not exist.

        Raises DigestMismatch too.
        """
        found = self.find_manifest(reference)
        if found is None:
            by_digest = bool(reference.image.digest)
            tags = None if by_digest or self.endpoint.step else self.tags(reference.repository)
            raise errors.no_image(self.endpoint, reference, tags=tags or ())
        return found

    def referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
        """The referrers that the registry lists for a manifest, or None if it answers 404.

        Raises NoReferrersApi for other answers that mean "no such list", and RegistryError for a
        list without end.
        """
        found: list[Descriptor] = []
        url = self._session.url(repository, f"referrers/{digest}")
        for page in range(_PAGES):
            missing = frozenset() if page else _NO_LIST
            status, headers, body = self._fetch(
                repository, url, OCI_INDEX, f"for the referrers of {digest}", missing=missing
            )
            if status == 404:
                return None
            if not page and (status != 200 or headers.get_content_type() != OCI_INDEX):
                what = "another content" if status == 200 else str(status)
                raise errors.NoReferrersApi(
                    f"the {self.endpoint} answers {what} when asked for the referrers of {digest}",
                    where=str(self.registry),
                    forbidden=status == 403,
                )
            found += parse_manifest(
                body, OCI_INDEX, where=f"{self.registry}/{repository.name}"
            ).children
            following = _NEXT.search(headers.get("Link", ""))
            if not following:
                return tuple(found)
            if len(found) > _REFERRERS:
                raise RegistryError(
                    f"the {self.endpoint} lists more than {_REFERRERS} referrers of {digest}",
                    where=str(self.registry),
                    hint="delete the referrers that are not needed",
                )
            url = self._session.on_this_host(url, following[1])
        raise RegistryError(
            f"the {self.endpoint} lists referrers of {digest} on more than {_PAGES} pages",
            where=str(self.registry),
        )

    def tags(self, repository: Repository) -> frozenset[str] | None:
        """All tags of a repository if one answer brings them within five seconds, else None."""
        url = self._session.url(repository, f"tags/list?n={_TAGS}")
        request = HttpRequest(
            method="GET", url=url, headers={"Accept": "application/json"}, seconds=_SECONDS_FOR_TAGS
        )
        try:
            with self._session.send(request, (self._session.scope(repository),)) as response:
                if response.status != 200 or _NEXT.search(response.headers.get("Link", "")):
                    return None
                body = decode_body(
                    response.read_capped(MANIFEST_LIMIT, seconds=_SECONDS_FOR_TAGS),
                    response.headers,
                    limit=MANIFEST_LIMIT,
                    where=response.where,
                )
        except (RegistryError, CredentialError, TransportError, ValueError):
            return None
        data = json_object(body)
        tags = None if data is None else (data.get("tags") or [])
        return (
            frozenset(tag for tag in tags if isinstance(tag, str))
            if isinstance(tags, list)
            else None
        )

    def has_blob(self, repository: Repository, digest: str, size: int = -1) -> bool:
        """Whether the repository has the blob, with this size if the registry tells one."""
        found = self.blob_size(repository, digest)
        return found is not None and (size == -1 or found in (-1, size))

    def blob_size(self, repository: Repository, digest: str) -> int | None:
        """Size of a blob in bytes: -1 if the registry does not state it, None if it is missing.

        403 from a target is treated as "not found".
        """
        with self._ask("HEAD", repository, f"blobs/{digest}") as response:
            if response.status != 403 or not errors.is_from_other_host(self.endpoint, response):
                return self._size(response, repository, digest)
        # the signed URL of the storage may be for GET alone
        with self._ask("GET", repository, f"blobs/{digest}") as response:
            return self._size(response, repository, digest)

    def _size(self, response: Response, repository: Repository, digest: str) -> int | None:
        if response.status == 200:
            size = response.headers.get("Content-Length", "")
            return (
                int(size) if size.isdecimal() and "Content-Encoding" not in response.headers else -1
            )
        forbidden = (
            response.status == 403
            and self.endpoint.role == "target"
            and not errors.is_from_other_host(self.endpoint, response)
        )
        if response.status in (404, 405) or forbidden:
            return None
        raise errors.unexpected_response(
            self._session.endpoint_of(repository), response, f"for {repository.name}, blob {digest}"
        )

    def open_blob(self, repository: Repository, digest: str, *, start: int = 0) -> Download:
        """A blob to read from byte `start` on; its content is not verified yet.

        Raises TransferInterrupted if the request may be repeated.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = self._ask("GET", repository, f"blobs/{digest}", headers)
        served = (
            _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if response.status == 206
            else None
        )
        if served and start and int(served[1]) == start:
            return Download(response, self.endpoint)
        if response.status != 200:
            # the signed URL of the storage may have expired
            stale = response.status in (401, 403) and errors.is_from_other_host(
                self.endpoint, response
            )
            fault = errors.unexpected_response(
                self._session.endpoint_of(repository),
                response,
                f"for {repository.name}, blob {digest}",
            )
            raise errors.TransferInterrupted(fault) if stale else fault
        # a registry without ranges sends the whole blob again
        return Download(response, self.endpoint, skip=start)

    def put_manifest(self, reference: Reference, manifest: Manifest) -> bool:
        """Store a manifest under a tag or its digest.

        Returns whether the registry keeps the list of referrers of its subject (OCI-Subject).
        Raises ManifestIncomplete if the registry misses something that the manifest names, and
        DigestMismatch if the registry stored something else, twice. An answer without 201 and the
        digest may come from a proxy: the registry is then asked whether it has the manifest.
        """
        try:
            return self._put_manifest(reference, manifest)
        except DigestMismatch:
            return self._put_manifest(reference, manifest)

    def _put_manifest(self, reference: Reference, manifest: Manifest) -> bool:
        repository = reference.repository
        url = self._session.url(repository, f"manifests/{reference.target}")
        headers = {"Content-Type": manifest.media_type}
        with self._session.send(
            HttpRequest(method="PUT", url=url, headers=headers, body=manifest.body),
            (self._session.scope(repository),),
        ) as response:
            if response.status not in (200, 201, 202, 204):
                raise self._refused(reference, response)
            stored, subject = (
                response.headers.get("Docker-Content-Digest", ""),
                response.headers.get("OCI-Subject", ""),
            )
        if _is_digest(stored) and stored != digest_of(manifest.body, stored):
            raise DigestMismatch(
                f"the {self.endpoint} stored {manifest.digest} as {stored}",
                where=str(self.registry),
                hint=errors.DAMAGED_HINT,
            )
        if response.status != 201 or not errors.names_digest(response, manifest.digest):
            self._confirm(reference, manifest, response.status)
        return bool(subject)

    def _confirm(self, reference: Reference, manifest: Manifest, status: int) -> None:
        """Wait until the registry has the manifest; raises RegistryError."""
        for _ in poll_attempts(self.transport.clock, sleep=self.transport.wait):
            head = self.head_manifest(reference)
            if head is not None and head.digest == digest_of(manifest.body, head.digest):
                return
        raise RegistryError(
            f"the {self.endpoint} answered {status} when {_named(reference)} was stored, but does"
            " not have that manifest",
            where=str(self.registry),
        )

    def _refused(self, reference: Reference, response: Response) -> Exception:
        """The error for a refused manifest.

        Something that it names is missing, the repository does not exist, or the registry refuses
        it.
        """
        status, diagnosis = response.status, errors.read_error(response)
        if status in (400, 404) and _MISSING & set(diagnosis.codes):
            return errors.ManifestIncomplete(
                RegistryError(
                    f"the {self.endpoint} does not take {_named(reference)}: {diagnosis.text}",
                    where=str(self.registry),
                )
            )
        if status == 404:
            return errors.no_repository(self.endpoint, reference.repository)
        fault = errors.error_for_status(
            self._session.endpoint_of(reference.repository),
            status,
            f"to store {_named(reference)}",
            diagnosis.text,
        )
        return errors.as_digest_mismatch(fault) if diagnosis.damaged else fault

    def _ask(
        self,
        method: str,
        repository: Repository,
        rest: str,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        request = HttpRequest(
            method=method, url=self._session.url(repository, rest), headers=headers or {}
        )
        return self._session.send(request, (self._session.scope(repository),))

    def _fetch(
        self,
        repository: Repository,
        url: str,
        accept: str,
        doing: str,
        *,
        missing: frozenset[int] = frozenset({404}),
    ) -> tuple[int, Message, bytes]:
        """Status, headers and whole body of a GET; a cut body is requested again.

        Statuses other than 200 and `missing` are errors; 403 from a target counts as missing.
        """

        def read(response: Response) -> tuple[int, Message, bytes]:
            if response.status == 200:
                return (
                    200,
                    response.headers,
                    decode_body(
                        response.read_capped(MANIFEST_LIMIT),
                        response.headers,
                        limit=MANIFEST_LIMIT,
                        where=str(self.registry),
                    ),
                )
            if response.status not in missing and (
                response.status != 403 or self.endpoint.role != "target"
            ):
                raise errors.unexpected_response(
                    self._session.endpoint_of(repository), response, doing
                )
            return response.status, response.headers, b""

        request = HttpRequest(method="GET", url=url, headers={"Accept": accept})
        try:
            answer = read_with_retries(
                lambda: self._session.send(request, (self._session.scope(repository),)),
                read,
                self.transport,
            )
        except TransportError as fault:
            raise errors.unreachable(self.endpoint, fault) from fault
        self._allowance.take(answer[2])
        return answer


def _named(reference: Reference) -> str:
    """What messages call a manifest."""
    return f"{reference.image.name}, manifest {reference.target}"


def _is_digest(text: str) -> bool:
    try:
        return bool(parse_digest(text))
    except ConfigError:
        return False
