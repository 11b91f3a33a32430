"""What a registry can do (OCI distribution-spec 1.1, section 4), one verb per method; errors are those of the registry family."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.message import Message
from types import TracebackType
from typing import Self

from towline.errors import (
    ConfigError,
    CredentialError,
    DigestMismatch,
    RegistryError,
    TransportError,
)
from towline.http.client import Transport, read_with_retries
from towline.http.messages import HttpRequest, Response
from towline.image import Registry, parse_digest
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
# how registries say that they know no referrers (facts 3.3)
_NO_LIST = frozenset({400, 403, 404, 405, 406, 410, 415, 501})
_SKIP = 256 * 1024
_PAGES, _REFERRERS, _TAGS = 50, 10_000, 1000
_SOON = 5.0  # seconds for a list of tags: some registries make it anew from thousands of them


class Download:
    """A blob on its way from a registry, its first `skip` bytes left out."""

    def __init__(self, response: Response, party: errors.Endpoint, *, skip: int = 0) -> None:
        self._response = response
        self._party = party
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
            raise errors.TransferInterrupted(errors.unreachable(self._party, fault)) from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._response.close()


class RegistryClient:
    """One registry as `source` or `target` of a copy; shared by threads.

    Every method raises RegistryUnreachable, CredentialError (which registry, which user, where the
    user came from) and RegistryError.
    """

    def __init__(
        self, party: errors.Endpoint, *, transport: Transport, allow_plain_http: bool = False
    ) -> None:
        self.party = party
        self._session = RegistrySession(self.party, transport, allow_plain_http=allow_plain_http)
        self.uploads = Uploads(self._session, self.has_blob)
        self._allow_plain_http = allow_plain_http
        self._logins: dict[str, Login | None] = {}
        self._allowance = ManifestAllowance(str(party), str(party.registry))

    def __str__(self) -> str:
        return str(self.party)

    @property
    def registry(self) -> Registry:
        """Which registry it is."""
        return self.party.registry

    @property
    def transport(self) -> Transport:
        """The transport that its requests go by."""
        return self._session.transport

    def by(self, transport: Transport) -> RegistryClient:
        """A client for the same registry, in the same role and with the same logins, by another transport."""
        other = RegistryClient(
            self.party, transport=transport, allow_plain_http=self._allow_plain_http
        )
        other.log_in(self._logins)
        other._allowance = self._allowance
        return other

    def log_in(self, logins: Mapping[str, Login | None]) -> None:
        """Work in each of these repositories with its own login, in all others with the client's; told before the first request."""
        self._logins.update(logins)
        self._session.log_in(logins)

    @property
    def has_login(self) -> bool:
        """Whether there is a login for any of its work."""
        return any((self.party.login, *self._logins.values()))

    def want(self, repositories: Iterable[str]) -> None:
        """Let one token of each login cover its work in all of these; told before the first request."""
        self._session.want(repositories)

    def head_manifest(self, repository: str, target: str) -> Descriptor | None:
        """Digest, size and media type of a tag or digest; None where it is not there.

        A target that forbids the question has nothing to say either.
        """
        with self._ask("HEAD", repository, f"manifests/{target}", {"Accept": ACCEPT}) as response:
            if response.status == 404 or (response.status == 403 and self.party.role == "target"):
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
        # an answer without the digest, or a registry without HEAD
        found = self.find_manifest(repository, target)
        return None if found is None else found.descriptor

    def find_manifest(self, repository: str, target: str) -> Manifest | None:
        """The manifest of a tag or digest, checked; None where it is not there.

        Raises DigestMismatch, once it has been read twice.
        """
        try:
            return self._manifest(repository, target)
        except DigestMismatch:
            return self._manifest(repository, target)

    def _manifest(self, repository: str, target: str) -> Manifest | None:
        url, where = (
            self._session.url(repository, f"manifests/{target}"),
            f"{self.registry}/{repository}",
        )
        status, headers, body = self._fetch(
            repository, url, ACCEPT, f"for {repository}, manifest {target}"
        )
        if status != 200:
            return None
        if ":" in target:
            return parse_manifest(body, headers.get("Content-Type", ""), pinned=target, where=where)
        # of a manifest of schema 1 it leaves out the signatures
        said = headers.get("Docker-Content-Digest", "")
        if (
            _is_digest(said)
            and headers.get_content_type() not in SCHEMA_1
            and (found := digest_of(body, said)) != said
        ):
            raise DigestMismatch(
                f"the manifest of {target} is said to be {said} and arrived as {found}",
                where=where,
                hint="the registry or a proxy before it serves wrong content",
            )
        return parse_manifest(body, headers.get("Content-Type", ""), where=where)

    def get_manifest(self, repository: str, target: str) -> Manifest:
        """The manifest of a tag or digest, checked; raises RegistryError where it is not there, and DigestMismatch."""
        found = self.find_manifest(repository, target)
        if found is None:
            tags = (
                frozenset()
                if ":" in target or self.party.step
                else self.tags(repository) or frozenset()
            )
            raise errors.no_image(self.party, repository, target, tags=tags)
        return found

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """What the registry lists as referrers of a manifest, None where it has no such list (404).

        Raises NoReferrersApi for the other ways to say so, and RegistryError for an endless list.
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
                    f"the {self.party} answers {what} when asked for the referrers of {digest}",
                    where=str(self.registry),
                )
            found += parse_manifest(body, OCI_INDEX, where=f"{self.registry}/{repository}").children
            following = _NEXT.search(headers.get("Link", ""))
            if not following:
                return tuple(found)
            if len(found) > _REFERRERS:
                raise RegistryError(
                    f"the {self.party} lists more than {_REFERRERS} referrers of {digest}",
                    where=str(self.registry),
                    hint="remove what is not needed there",
                )
            url = self._session.on_this_host(url, following[1])
        raise RegistryError(
            f"the {self.party} lists referrers of {digest} on more than {_PAGES} pages",
            where=str(self.registry),
        )

    def tags(self, repository: str) -> frozenset[str] | None:
        """All tags of a repository where one answer holds them and comes soon, else None."""
        url = self._session.url(repository, f"tags/list?n={_TAGS}")
        request = HttpRequest(
            method="GET", url=url, headers={"Accept": "application/json"}, seconds=_SOON
        )
        try:
            with self._session.send(request, (self._session.scope(repository),)) as response:
                if response.status != 200 or _NEXT.search(response.headers.get("Link", "")):
                    return None
                body = decode_body(
                    response.read_capped(MANIFEST_LIMIT, seconds=_SOON),
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

    def has_blob(self, repository: str, digest: str, size: int = -1) -> bool:
        """Whether the repository has the blob, of this size as far as it says one."""
        found = self.blob_size(repository, digest)
        return found is not None and (size == -1 or found in (-1, size))

    def blob_size(self, repository: str, digest: str) -> int | None:
        """The bytes of a blob, -1 where the registry does not say, None where it is not there; a target that forbids the question is taken not to have it."""
        with self._ask("HEAD", repository, f"blobs/{digest}") as response:
            if response.status != 403 or not errors.is_from_other_host(self.party, response):
                return self._size(response, repository, digest)
        # the leave for storage may be for GET alone
        with self._ask("GET", repository, f"blobs/{digest}") as response:
            return self._size(response, repository, digest)

    def _size(self, response: Response, repository: str, digest: str) -> int | None:
        if response.status == 200:
            size = response.headers.get("Content-Length", "")
            return (
                int(size) if size.isdecimal() and "Content-Encoding" not in response.headers else -1
            )
        forbidden = (
            response.status == 403
            and self.party.role == "target"
            and not errors.is_from_other_host(self.party, response)
        )
        if response.status in (404, 405) or forbidden:
            return None
        raise errors.unexpected_response(
            self._session.party_of(repository), response, f"for {repository}, blob {digest}"
        )

    def open_blob(self, repository: str, digest: str, *, start: int = 0) -> Download:
        """A blob to read from its byte `start` on; nothing of it is checked yet.

        Raises TransferInterrupted where it may be asked for again.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = self._ask("GET", repository, f"blobs/{digest}", headers)
        served = (
            _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if response.status == 206
            else None
        )
        if served and start and int(served[1]) == start:
            return Download(response, self.party)
        if response.status != 200:
            # the storage's leave that the registry gave may have ended
            stale = response.status in (401, 403) and errors.is_from_other_host(
                self.party, response
            )
            fault = errors.unexpected_response(
                self._session.party_of(repository), response, f"for {repository}, blob {digest}"
            )
            raise errors.TransferInterrupted(fault) if stale else fault
        # a registry that knows no ranges sends it all again
        return Download(response, self.party, skip=start)

    def put_manifest(self, repository: str, target: str, manifest: Manifest) -> bool:
        """Store a manifest under a tag or its digest; returns whether the registry keeps the list of referrers of its subject (OCI-Subject).

        Raises ManifestIncomplete where something that it names is said not to be there, and DigestMismatch
        where the registry stored something else, twice. What does not say 201 and the digest may
        come from somebody else on the way: the registry is asked whether it has it.
        """
        try:
            return self._put_manifest(repository, target, manifest)
        except DigestMismatch:
            return self._put_manifest(repository, target, manifest)

    def _put_manifest(self, repository: str, target: str, manifest: Manifest) -> bool:
        url, headers = (
            self._session.url(repository, f"manifests/{target}"),
            {"Content-Type": manifest.media_type},
        )
        with self._session.send(
            HttpRequest(method="PUT", url=url, headers=headers, body=manifest.body),
            (self._session.scope(repository),),
        ) as response:
            if response.status not in (200, 201, 202, 204):
                raise self._refused(repository, target, response)
            stored, subject = (
                response.headers.get("Docker-Content-Digest", ""),
                response.headers.get("OCI-Subject", ""),
            )
        if _is_digest(stored) and stored != digest_of(manifest.body, stored):
            raise DigestMismatch(
                f"the {self.party} stored {manifest.digest} as {stored}",
                where=str(self.registry),
                hint=errors.DAMAGED_HINT,
            )
        if response.status != 201 or not errors.names_digest(response, manifest.digest):
            self._confirm(repository, target, manifest, response.status)
        return bool(subject)

    def _confirm(self, repository: str, target: str, manifest: Manifest, status: int) -> None:
        """Pass where the registry has the manifest, as soon as it says so; raises RegistryError."""
        for _ in poll_attempts(self.transport.clock, sleep=self.transport.wait):
            head = self.head_manifest(repository, target)
            if head is not None and head.digest == digest_of(manifest.body, head.digest):
                return
        raise RegistryError(
            f"the {self.party} answers {status} to {repository}, manifest {target}, and does not"
            " have it",
            where=str(self.registry),
        )

    def _refused(self, repository: str, target: str, response: Response) -> Exception:
        """What an answer to a manifest means: something it names is missing, there is no such repository, or the registry does not want it."""
        status, diagnosis = response.status, errors.read_error(response)
        if status in (400, 404) and _MISSING & set(diagnosis.codes):
            return errors.ManifestIncomplete(
                RegistryError(
                    f"the {self.party} does not take {repository}, manifest {target}:"
                    f" {diagnosis.text}",
                    where=str(self.registry),
                )
            )
        if status == 404:
            return errors.no_repository(self.party, repository)
        fault = errors.error_for_status(
            self._session.party_of(repository),
            status,
            f"to store {repository}, manifest {target}",
            diagnosis.text,
        )
        return errors.as_digest_mismatch(fault) if diagnosis.damaged else fault

    def _ask(
        self, method: str, repository: str, rest: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        request = HttpRequest(
            method=method, url=self._session.url(repository, rest), headers=headers or {}
        )
        return self._session.send(request, (self._session.scope(repository),))

    def _fetch(
        self,
        repository: str,
        url: str,
        accept: str,
        doing: str,
        *,
        missing: frozenset[int] = frozenset({404}),
    ) -> tuple[int, Message, bytes]:
        """Status, headers and the whole body of a GET; one that is cut is asked for again.

        What is neither there nor `missing` is a fault.

        A target that forbids the question has nothing to say either.
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
                response.status != 403 or self.party.role != "target"
            ):
                raise errors.unexpected_response(
                    self._session.party_of(repository), response, doing
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
            raise errors.unreachable(self.party, fault) from fault
        self._allowance.take(answer[2])
        return answer


def _is_digest(text: str) -> bool:
    try:
        return bool(parse_digest(text))
    except ConfigError:
        return False
