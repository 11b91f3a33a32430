"""Uploads of blobs to one registry (OCI distribution-spec 1.1, "Pushing blobs").

A blob goes in one PUT, in chunks if a proxy requires that, or from the byte where it was cut. What
a registry supports is learned from its answers, never from its name (facts/registry.md sections 2.4
and 3.3). Who retries: `BlobUpload` sends the piece at hand again after 413 and redirects; every
other interruption (network faults, HTTP 429 and 5xx) is raised as TransferInterrupted, and
registry/copy/transfer.py retries the blob.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from towline.errors import CredentialError, RegistryError, RegistryUnreachable, TransportError
from towline.http.client import RETRIED_STATUSES
from towline.http.messages import BodySender, Closing, HttpRequest, Response, origin
from towline.http.redirects import MAX_REGISTRY_REDIRECTS, absolute_url
from towline.image import Repository
from towline.record import frozen, replace
from towline.registry import errors
from towline.registry.chunk_size import SMALLEST_CHUNK, ChunkSize
from towline.registry.errors import RESTART, SAME_OFFSET, TransferInterrupted
from towline.registry.session import RegistrySession
from towline.retry import poll_attempts

# statuses after which the upload may succeed later, or from the start
_LOST = frozenset({401, 404, 416}) | RETRIED_STATUSES
_NO_PARTS = frozenset({400, 404, 405, 416, 501})
_LATER = frozenset({401, 408, 429})
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")


@frozen
class UploadSession:
    """An upload that the registry has begun: the URL for the next bytes, and the bytes it has.

    `named_by` is the origin of another host that named the URL: no credential goes there. `hops`
    counts the redirects of one request; `sealed`: they led to the URL of the finishing PUT as it
    stands.
    """

    repository: Repository
    url: str
    offset: int = 0
    named_by: str = ""
    hops: int = 0
    sealed: bool = False


class Uploads:
    """Uploads to one registry, and what was learned from its answers; shared by threads."""

    def __init__(
        self, session: RegistrySession, has_blob: Callable[[Repository, str, int], bool]
    ) -> None:
        self.session = session
        self._has_blob = has_blob
        self._mounts_own: bool | None = None
        self._distrusted: set[Repository] = set()
        self.chunks = ChunkSize()
        self._moving: set[str] = set()
        self.accepts_chunks = True
        self._unused: list[UploadSession] = []

    def distrust(self, repository: Repository) -> None:
        """Trust only the blob sizes that this repository states.

        Its content may be wrong, and then a mount from it would be wrong too.
        """
        self._distrusted.add(repository)

    def start(
        self,
        repository: Repository,
        digest: str,
        size: int,
        from_repository: Repository | None = None,
    ) -> UploadSession | None:
        """Start the upload of a blob of `size` bytes.

        Returns None if the repository has the blob or could mount it from `from_repository`. A
        mount from the repository to itself returns 201 if the blob exists, so one POST both checks
        and starts the upload. Raises the registry family.
        """
        own = from_repository is None
        if repository in self._distrusted or (own and self._mounts_own is False):
            return (
                None
                if self._has_blob(repository, digest, size)
                else self._start_without_mount(repository)
            )
        answered, upload = self._mount(repository, digest, from_repository or repository)
        if answered and upload is None:
            self._mounts_own = self._mounts_own or own or None
            return None
        if upload is not None and own and self._means_missing(upload):
            return upload
        exists = True
        try:
            exists = self._has_blob(repository, digest, size)
        finally:
            # if the question fails as well, the upload is not continued
            self._unused += [upload] if upload and exists else []
        if exists:
            self._mounts_own = False if own else self._mounts_own
            return None
        return upload or self._start_without_mount(repository)

    def state(self, upload: UploadSession) -> UploadSession | None:
        """The upload with the registry's offset, after an interruption.

        None if the registry has no bytes of it, or does not tell.
        """
        with self.session.send(
            _request_for(upload, "GET"), (self.session.scope(upload.repository),)
        ) as response:
            found = _RANGE.fullmatch(response.headers.get("Range", ""))
            if response.status not in (200, 202, 204) or not found or found[1] == "0":
                return None
            return self.next_step(upload, response, int(found[1]) + 1)

    def cancel(self, upload: UploadSession) -> None:
        """Cancel an upload at the registry, which need not support that (404, 405).

        Raises the registry family.
        """
        self.session.send(
            _request_for(upload, "DELETE"), (self.session.scope(upload.repository),)
        ).close()

    def begin(self, repository: Repository) -> UploadSession:
        """Start the upload of a blob whose digest is not known yet; raises the registry family."""
        return self._start_without_mount(repository)

    def abandon(self, upload: UploadSession) -> None:
        """Add an upload to `unused`, because it is not needed any more."""
        self._unused += [upload]

    def note_redirect(self, url: str) -> None:
        """Record that the host of `url` redirected an upload after its bytes were sent."""
        self._moving.add(origin(url))

    def is_redirecting(self, url: str) -> bool:
        """Whether the host of `url` redirected an upload before."""
        return origin(url) in self._moving

    def sends_piecewise(self, url: str) -> bool:
        """Whether to send only the piece at hand there.

        The host may redirect it, and the registry accepts chunks.
        """
        return self.accepts_chunks and self.is_redirecting(url)

    def unused(self) -> list[UploadSession]:
        """Uploads begun but not needed, as after failed mounts; the caller cancels them."""
        unused, self._unused = self._unused, []
        return unused

    def has_blob_soon(self, repository: Repository, digest: str, size: int) -> bool:
        """Whether the repository has the blob, asked again for some seconds."""
        transport = self.session.transport
        return any(
            self._has_blob(repository, digest, size)
            for _ in poll_attempts(transport.clock, sleep=transport.wait)
        )

    def send(self, upload: UploadSession, digest: str, size: int) -> BlobUpload:
        """The sender of a blob's bytes from the upload's offset on."""
        return BlobUpload(self, upload, digest, size=size)

    def next_step(self, upload: UploadSession, response: Response, offset: int) -> UploadSession:
        """The next step of an upload.

        Some registries change its Location with every step, and others leave the header out.
        """
        base = response.url or upload.url
        return UploadSession(
            repository=upload.repository,
            url=self._location(response, base) or base,
            offset=offset,
            named_by=upload.named_by or self.session.named_by(base),
        )

    def _mount(
        self, repository: Repository, digest: str, from_repository: Repository
    ) -> tuple[bool, UploadSession | None]:
        """Whether the registry accepted the mount, and the upload that it began instead, if any.

        Any other answer is left to an upload without a mount.
        """
        source = quote(self.session.name(from_repository), safe="")
        query = f"?mount={quote(digest, safe='')}&from={source}"
        scopes = (
            (f"repository:{self.session.name(from_repository)}:pull",)
            if from_repository != repository
            else ()
        )
        try:
            with self._post(repository, query, scopes) as response:
                mounted = response.status == 201 and errors.names_digest(response, digest)
                return mounted or response.status == 202, (
                    self._upload_of(repository, response) if response.status == 202 else None
                )
        except (RegistryError, CredentialError) as fault:
            if isinstance(fault, RegistryUnreachable):
                raise
            return False, None  # Harbor: 401 or 404 for a project that cannot be read

    def _means_missing(self, upload: UploadSession) -> bool:
        """Whether 202 to a mount from the repository to itself means that the blob is missing.

        It does if such a mount has succeeded before, and for the code of distribution, whose
        locations have `_state`. A wrong guess costs bytes only.
        """
        return self._mounts_own is True or "_state=" in upload.url

    def _start_without_mount(self, repository: Repository) -> UploadSession:
        """Start an upload without a mount."""
        with self._post(repository, "", ()) as response:
            if response.status == 404:
                raise errors.no_repository(self.session.endpoint, repository)
            if response.status != 202:
                raise errors.unexpected_response(
                    self.session.endpoint_of(repository),
                    response,
                    f"to store a blob in {repository.name}",
                )
            return self._upload_of(repository, response)

    def _upload_of(self, repository: Repository, response: Response) -> UploadSession:
        asked = response.url or self.session.url(repository, "blobs/uploads/")
        url = self._location(response, asked)
        if not url:
            raise _registry_error(
                self.session.endpoint, "begins an upload without a usable Location"
            )
        self.chunks.at_least(response.headers.get("OCI-Chunk-Min-Length"))
        return UploadSession(repository=repository, url=url, named_by=self.session.named_by(asked))

    def _location(self, response: Response, base: str) -> str:
        """The absolute URL of an answer's Location; empty if it may not be used."""
        location = response.headers.get("Location", "")
        url = absolute_url(location, base, self.session.endpoint.registry) if location else ""
        return url if self.session.follows(url) else ""

    def _post(self, repository: Repository, query: str, scopes: tuple[str, ...]) -> Response:
        request = HttpRequest(
            method="POST",
            url=self.session.url(repository, "blobs/uploads/") + query,
            repeatable=True,
        )
        return self.session.send(request, (self.session.scope(repository), *scopes))


class BlobUpload(Closing):
    """Sends the bytes of one blob into an upload; nothing is stored before `finish`.

    After a redirect or 413 the piece at hand is sent again, to the new URL or in smaller parts,
    without the caller's help. `send` and `finish` raise TransferInterrupted if the upload can be
    resumed (`Uploads.state`) or started again, else the errors of the registry family.
    """

    def __init__(self, uploads: Uploads, upload: UploadSession, digest: str, *, size: int) -> None:
        self.upload = upload
        self._uploads = uploads
        self._session = uploads.session
        self._digest = digest
        self._size = size
        self._resumed = upload.offset > 0
        self._position = self._end = self._start = upload.offset
        self._piece = memoryview(b"")  # from `_start` on
        self._whole = self._in_one()
        self._sending: BodySender | None = None
        self._line: tuple[int, BodySender] | None = None
        self._left = False

    def send(self, piece: memoryview | bytes) -> None:
        """Send the next bytes, which must stay unchanged until the next call.

        Raises RegistryError if they are more than the blob has.
        """
        view = memoryview(piece)
        if len(view) > self._size - self._position:
            endpoint = self._session.endpoint
            raise _registry_error(
                endpoint,
                f"was to be sent more than the {self._size} bytes of the blob {self._digest}",
            )
        self._start, self._piece = self._position, view
        self._send_all(view)

    @property
    def delivered(self) -> int:
        """Bytes of the blob that the registry has confirmed."""
        position, sending = self._line or (self.upload.offset, None)
        return position + sending.delivered if sending else position

    def finish(self) -> None:
        """Let the registry store the blob; all bytes are sent."""
        try:
            response = self._last_answer()
        except TransferInterrupted as fault:
            self._send_all(self._bytes_to_resend(fault))
            self.finish()
            return
        if not errors.names_digest(response, self._digest) and not self._uploads.has_blob_soon(
            self.upload.repository, self._digest, self._size
        ):
            endpoint = self._session.endpoint
            raise _registry_error(
                endpoint,
                f"answered {response.status} when the blob {self._digest} was stored, but does not"
                " have that blob",
            )

    def close(self) -> None:
        """Break off the request under way."""
        self._uploads.chunks.broken(self._end - self.upload.offset)
        if self._sending is not None:
            self._sending.close()
            self._sending = None

    @property
    def _scopes(self) -> tuple[str, ...]:
        return (self._session.scope(self.upload.repository),)

    def _in_one(self) -> bool:
        """Whether the whole blob goes in one PUT."""
        sure = (
            self.upload.sealed
            or self._size <= SMALLEST_CHUNK
            or not self._uploads.sends_piecewise(self.upload.url)
        )
        return sure and not self.upload.offset and self._uploads.chunks.fits(self._size)

    def _send_all(self, view: memoryview) -> None:
        """Send these bytes, in as many requests as it takes."""
        while view:
            try:
                if self._sending is None:
                    self._open(len(view))
                part = view[: self._end - self._position]
                self._send_part(part)
                view = view[len(part) :]
                if self._position == self._end and not self._whole:
                    self._close_part()
            except TransferInterrupted as fault:
                view = self._bytes_to_resend(fault)

    def _bytes_to_resend(self, fault: TransferInterrupted) -> memoryview:
        """The part of the piece at hand to send again after a redirect or 413.

        Raises `fault` if the registry taught nothing, or if earlier bytes are needed.
        """
        self._uploads.chunks.broken(self._end - self.upload.offset)
        if fault.resume != SAME_OFFSET or self.upload.offset < self._start:
            raise fault
        self._session.transport.thread_counts.retries += 1
        self._position, self._whole = self.upload.offset, self._whole and self._in_one()
        return self._piece[self._position - self._start :]

    def _last_answer(self) -> Response:
        """The registry's answer to the last request, closed."""
        if self._whole:
            if self._sending is None:
                self._open(0)
            response = self._answer()
        else:
            response = self._session.send(
                _request_for(self.upload, "PUT", url=self._finishing_url()),
                self._scopes,
            )
        self._check_status(response, (200, 201, 204))
        return response

    def _open(self, at_hand: int) -> None:
        left = self._size - self._position
        if not self._whole:
            chunks = self._uploads.chunks
            left = chunks.of(
                chunks.least(left, at_hand)
                if self._uploads.sends_piecewise(self.upload.url)
                else left
            )
        self._end = self._position + left
        headers = {"Content-Type": "application/octet-stream"}
        if self._whole:
            request = _request_for(self.upload, "PUT", url=self._finishing_url())
        else:
            request = _request_for(self.upload, "PATCH")
            headers["Content-Range"] = f"{self._position}-{self._end - 1}"
        request = replace(request, headers=headers)
        try:
            self._sending = self._session.begin(request, self._end - self._position, self._scopes)
            self._line = self._position, self._sending
        except RegistryUnreachable as fault:
            raise TransferInterrupted(fault) from fault

    def _send_part(self, part: memoryview) -> None:
        assert self._sending is not None
        try:
            heard = self._sending.send(part)
        except TransportError as fault:
            raise TransferInterrupted(errors.unreachable(self._session.endpoint, fault)) from fault
        if not heard:
            self._check_status(self._answer(), ())
        self._position += len(part)

    def _close_part(self) -> None:
        response = self._answer()
        self._check_status(response, (200, 201, 202, 204))
        self._uploads.chunks.taken(self._position - self.upload.offset)
        stored = _RANGE.fullmatch(response.headers.get("Range", ""))
        self.upload, self._resumed = (
            self._uploads.next_step(self.upload, response, self._position),
            False,
        )
        if stored and int(stored[1]) + 1 != self._position:  # ECR drops chunks silently (facts 3.3)
            endpoint = self._session.endpoint
            raise TransferInterrupted(
                _registry_error(
                    endpoint, f"has {int(stored[1]) + 1} of {self._position} bytes that it was sent"
                )
            )

    def _answer(self) -> Response:
        assert self._sending is not None
        sending, self._sending = self._sending, None
        with sending:
            try:
                return sending.finish()
            except TransportError as fault:
                raise TransferInterrupted(
                    errors.unreachable(self._session.endpoint, fault)
                ) from fault

    def _check_status(self, response: Response, fine: tuple[int, ...]) -> None:
        """Return for a status that is `fine`; else raise its meaning, with the Retry-After."""
        status, endpoint = response.status, self._session.endpoint_of(self.upload.repository)
        with response:
            if status in fine:
                return
            if status == 401:
                self._session.forget(
                    _request_for(self.upload, "PUT"),
                    response,
                    self._scopes,
                )
            wait = self._session.transport.note_retry_after(self.upload.url, response)
            moved = self._redirect_target(response)
            diagnosis = errors.read_error(response)
        fault = errors.error_for_status(
            endpoint,
            status,
            f"to store {self._digest} in {self.upload.repository.name}",
            diagnosis.text,
        )
        if moved is not None:
            self._follow_redirect(moved)
            raise TransferInterrupted(fault, taught=True, resume=SAME_OFFSET)
        if diagnosis.damaged:
            raise errors.as_digest_mismatch(fault)
        if status == 413 and self._uploads.chunks.refused(self._end - self.upload.offset):
            raise TransferInterrupted(fault, wait=wait, taught=True, resume=SAME_OFFSET)
        if (
            status in _NO_PARTS
            and not self._whole
            and not self.upload.offset
            and self._redirected
            and self._uploads.chunks.fits(self._size)
        ):
            self._uploads.accepts_chunks = False
            raise TransferInterrupted(fault, taught=True, resume=RESTART)
        if self._resumed and 400 <= status < 500 and status not in _LATER:
            # a registry that cannot resume may accept the blob from its first byte
            raise TransferInterrupted(fault, resume=RESTART)
        raise TransferInterrupted(fault, wait=wait) if status in _LOST else fault

    @property
    def _redirected(self) -> bool:
        """Whether the upload is in parts only because its host redirects.

        Another upload may have learned since that the registry accepts no parts.
        """
        return self.upload.hops > 0 or self._uploads.is_redirecting(self.upload.url)

    def _follow_redirect(self, moved: UploadSession) -> None:
        """Continue at a redirect's URL; a large blob sent in one request continues in parts."""
        self._uploads.note_redirect(self.upload.url)
        if self.upload.offset >= self._start:
            if not self._left:
                self._uploads.abandon(self.upload)  # nothing more comes there
            self._left = True
            self.upload = moved
        elif not (self._whole and self._uploads.accepts_chunks):
            self.upload = moved

    def _redirect_target(self, response: Response) -> UploadSession | None:
        """The upload at the URL that the answer redirects to, or None.

        Raises RegistryError if the redirect may not be followed.
        """
        url = self._session.redirect_target(
            _request_for(self.upload, "PUT" if self._whole else "PATCH"), response
        )
        if not url:
            return None
        if self.upload.hops == MAX_REGISTRY_REDIRECTS:
            raise _registry_error(
                self._session.endpoint,
                f"redirects an upload more than {MAX_REGISTRY_REDIRECTS} times",
            )
        return replace(
            self.upload,
            url=url,
            named_by=self.upload.named_by or self._session.named_by(self.upload.url),
            sealed=self._whole,
            hops=self.upload.hops + 1,
        )

    def _finishing_url(self) -> str:
        """The URL of the finishing PUT: the upload's with the digest once, all else unchanged."""
        if self.upload.sealed:
            return self.upload.url
        place, _, query = self.upload.url.partition("?")
        rest = (
            [part for part in query.split("&") if part.partition("=")[0] != "digest"]
            if query
            else []
        )
        return (
            f"{place}?{''.join(f'{part}&' for part in rest)}digest={quote(self._digest, safe='')}"
        )


def _registry_error(endpoint: errors.Endpoint, problem: str) -> RegistryError:
    return RegistryError(f"the {endpoint} {problem}", where=str(endpoint.registry))


def _request_for(upload: UploadSession, method: str, *, url: str = "") -> HttpRequest:
    """A request about an upload."""
    return HttpRequest(method=method, url=url or upload.url, named_by=upload.named_by)
