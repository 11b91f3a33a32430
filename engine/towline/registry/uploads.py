"""Storing blobs in one registry (OCI distribution-spec 1.1, "Pushing blobs"): in one PUT, from where it was cut, or in chunks where a proxy wants it.

What a registry can do is learned from its answers, never from its name (facts/registry.md sections
2.4 and 3.3).

"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import quote

from towline.errors import CredentialError, RegistryError, RegistryUnreachable, TransportError
from towline.http.client import RETRIED_STATUSES
from towline.http.messages import BodySender, HttpRequest, Response, origin
from towline.http.redirects import MAX_REGISTRY_REDIRECTS, absolute_url
from towline.record import frozen, replace
from towline.registry import errors
from towline.registry.chunk_size import SMALLEST_CHUNK, ChunkSize
from towline.registry.errors import RESTART, SAME_OFFSET, TransferInterrupted
from towline.registry.session import RegistrySession
from towline.retry import poll_attempts

# an upload that the registry forgot, or may take later
_LOST = frozenset({401, 404, 416}) | RETRIED_STATUSES
_NO_PARTS = frozenset({400, 404, 405, 416, 501})
_LATER = frozenset({401, 408, 429})
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")


@frozen
class UploadSession:
    """An upload that the registry has begun: where the next bytes of the blob go, and how many it has.

    `named_by` is the origin of another host that named the URL: no credential goes there. `hops`
    counts the redirects of one request, and `sealed` says that they have led to the URL of the
    finishing PUT as it stands.
    """

    repository: str
    url: str
    offset: int = 0
    named_by: str = ""
    hops: int = 0
    sealed: bool = False


class Uploads:
    """Uploads into one registry, and what has been learned of it; shared by threads."""

    def __init__(self, session: RegistrySession, has_blob: Callable[[str, str, int], bool]) -> None:
        self.session = session
        self._has_blob = has_blob
        self._mounts_own: bool | None = None
        self._doubted: set[str] = set()
        self.chunks = ChunkSize()
        self._moving: set[str] = set()
        self.in_parts = True
        self._unused: list[UploadSession] = []

    def doubt(self, repository: str) -> None:
        """Believe of this repository only that it has the blobs that it says the right size of: what a mount gives it may be what is wrong there."""
        self._doubted.add(repository)

    def start(
        self, repository: str, digest: str, size: int, from_repository: str = ""
    ) -> UploadSession | None:
        """Begin the upload of a blob of `size` bytes; None where the repository has it, or could take it over from `from_repository`.

        One POST asks both: a registry that mounts a blob from the very repository it is for says
        201 where it is there. Raises the registry family.
        """
        own = not from_repository
        if repository in self._doubted or (own and self._mounts_own is False):
            return None if self._has_blob(repository, digest, size) else self._plain(repository)
        answered, upload = self._mount(repository, digest, from_repository or repository)
        if answered and upload is None:
            self._mounts_own = self._mounts_own or own or None
            return None
        if upload is not None and own and self._believed(upload):
            return upload
        there = True
        try:
            there = self._has_blob(repository, digest, size)
        finally:
            # where the question fails as well, nobody goes on with it
            self._unused += [upload] if upload and there else []
        if there:
            self._mounts_own = False if own else self._mounts_own
            return None
        return upload or self._plain(repository)

    def state(self, upload: UploadSession) -> UploadSession | None:
        """How far the registry has come with an upload that broke off; None where it has nothing of it, or does not say."""
        with self.session.send(
            _at(upload, "GET"), (self.session.scope(upload.repository),)
        ) as response:
            found = _RANGE.fullmatch(response.headers.get("Range", ""))
            if response.status not in (200, 202, 204) or not found or found[1] == "0":
                return None
            return self.following(upload, response, int(found[1]) + 1)

    def cancel(self, upload: UploadSession) -> None:
        """Tell the registry that an upload is given up; it need not know such a request (404, 405).

        Raises the registry family.
        """
        self.session.send(_at(upload, "DELETE"), (self.session.scope(upload.repository),)).close()

    def begin(self, repository: str) -> UploadSession:
        """The upload of a blob whose digest is not known yet. Raises the registry family."""
        return self._plain(repository)

    def give_up(self, upload: UploadSession) -> None:
        """An upload that nobody needs any more: one of the `unused`."""
        self._unused += [upload]

    def moved(self, url: str) -> None:
        """The host of `url` has answered an upload with another place, and its bytes were lost."""
        self._moving.add(origin(url))

    def redirects(self, url: str) -> bool:
        """Whether the host of `url` has done that, and may do so again."""
        return origin(url) in self._moving

    def moves(self, url: str) -> bool:
        """Whether a request there brings no more than can be sent again at once: the host may redirect it, and the registry takes parts."""
        return self.in_parts and self.redirects(url)

    def unused(self) -> list[UploadSession]:
        """Uploads that have begun and that nobody needs, such as those of a question: they are the caller's to cancel."""
        unused, self._unused = self._unused, []
        return unused

    def holds(self, repository: str, digest: str, size: int) -> bool:
        """Whether the repository has the blob, as soon as it says so."""
        transport = self.session.transport
        return any(
            self._has_blob(repository, digest, size)
            for _ in poll_attempts(transport.clock, sleep=transport.wait)
        )

    def send(self, upload: UploadSession, digest: str, size: int) -> BlobUpload:
        """The way into an upload for the bytes of a blob from its offset on."""
        return BlobUpload(self, upload, digest, size=size)

    def following(self, upload: UploadSession, response: Response, offset: int) -> UploadSession:
        """Where an upload goes on: its Location changes with every step on some registries, and is left out on others."""
        registry, location = self.session.party.registry, response.headers.get("Location", "")
        base = response.url or upload.url
        url = absolute_url(location, base, registry) if location else ""
        if not self.session.follows(url):
            url = base
        return UploadSession(
            repository=upload.repository,
            url=url,
            offset=offset,
            named_by=upload.named_by or self.session.named_by(base),
        )

    def _mount(
        self, repository: str, digest: str, from_repository: str
    ) -> tuple[bool, UploadSession | None]:
        """Whether the registry took the question, and the upload where it rather has the bytes; any other answer is left to the plain way."""
        query = f"?mount={quote(digest, safe='')}&from={quote(self.session.name(from_repository), safe='')}"
        scopes = (
            (f"repository:{self.session.name(from_repository)}:pull",)
            if from_repository != repository
            else ()
        )
        try:
            with self._post(repository, query, scopes) as response:
                mounted = response.status == 201 and errors.names_digest(response, digest)
                return mounted or response.status == 202, (
                    self._begun(repository, response) if response.status == 202 else None
                )
        except (RegistryError, CredentialError) as fault:
            if isinstance(fault, RegistryUnreachable):
                raise
            return False, None  # Harbor: 401 or 404 for a project that cannot be read

    def _believed(self, upload: UploadSession) -> bool:
        """Whether 202 to a mount from the own repository means that the blob is not there.

        It does where such a mount has gone well before, and in distribution's code, known by the
        `_state` in its locations. A wrong guess costs bytes only.
        """
        return self._mounts_own is True or "_state=" in upload.url

    def _plain(self, repository: str) -> UploadSession:
        with self._post(repository, "", ()) as response:
            if response.status == 404:
                raise errors.no_repository(self.session.party, repository)
            if response.status != 202:
                raise errors.unexpected_response(
                    self.session.party_of(repository), response, f"to store a blob in {repository}"
                )
            return self._begun(repository, response)

    def _begun(self, repository: str, response: Response) -> UploadSession:
        registry, asked = (
            self.session.party.registry,
            response.url or self.session.url(repository, "blobs/uploads/"),
        )
        location = response.headers.get("Location", "")
        url = absolute_url(location, asked, registry) if location else ""
        if not self.session.follows(url):
            raise RegistryError(
                f"the {self.session.party} begins an upload without a location that may be used",
                where=str(registry),
            )
        self.chunks.at_least(response.headers.get("OCI-Chunk-Min-Length"))
        return UploadSession(repository=repository, url=url, named_by=self.session.named_by(asked))

    def _post(self, repository: str, query: str, scopes: tuple[str, ...]) -> Response:
        request = HttpRequest(
            method="POST",
            url=self.session.url(repository, "blobs/uploads/") + query,
            repeatable=True,
        )
        return self.session.send(request, (self.session.scope(repository), *scopes))


class BlobUpload:
    """The bytes of one blob on their way into an upload; nothing is stored before `finish`, and nothing at all where that is not reached.

    What a host sends elsewhere, or finds too large, goes there or in smaller parts by itself, as
    long as the piece that holds it is the one at hand. `send` and `finish` raise TransferInterrupted where
    the upload may be gone on with (`Uploads.state`) or begun anew, else the errors of the registry
    family.
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
        """Send the next bytes, which stay as they are until the next call; raises RegistryError where they are more than the blob has."""
        view = memoryview(piece)
        if len(view) > self._size - self._position:
            party = self._session.party
            raise RegistryError(
                f"the {party} was to be sent more than the {self._size} bytes of the blob"
                f" {self._digest}",
                where=str(party.registry),
            )
        self._start, self._piece = self._position, view
        self._bring(view)

    @property
    def come(self) -> int:
        """How many bytes of the blob have come to the registry."""
        position, sending = self._line or (self.upload.offset, None)
        return position + sending.come if sending else position

    def finish(self) -> None:
        """All bytes are sent: let the registry store the blob."""
        try:
            response = self._end_of_all()
        except TransferInterrupted as fault:
            self._bring(self._again(fault))
            self.finish()
            return
        if not errors.names_digest(response, self._digest) and not self._uploads.holds(
            self.upload.repository, self._digest, self._size
        ):
            party = self._session.party
            raise RegistryError(
                f"the {party} answers {response.status} to the blob {self._digest}, and does not"
                " have it",
                where=str(party.registry),
            )

    def close(self) -> None:
        """Break off what is under way."""
        self._uploads.chunks.broken(self._end - self.upload.offset)
        if self._sending is not None:
            self._sending.__exit__(None, None, None)
            self._sending = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _in_one(self) -> bool:
        """Whether all of it goes in one PUT."""
        sure = (
            self.upload.sealed
            or self._size <= SMALLEST_CHUNK
            or not self._uploads.moves(self.upload.url)
        )
        return sure and not self.upload.offset and self._uploads.chunks.fits(self._size)

    def _bring(self, view: memoryview) -> None:
        """Send these bytes, in as many requests as it takes."""
        while view:
            try:
                if self._sending is None:
                    self._open(len(view))
                part = view[: self._end - self._position]
                self._guarded(part)
                view = view[len(part) :]
                if self._position == self._end and not self._whole:
                    self._close_part()
            except TransferInterrupted as fault:
                view = self._again(fault)

    def _again(self, fault: TransferInterrupted) -> memoryview:
        """What a host that has said what it wants has to be sent again of the piece at hand; raises the fault where it said nothing, or needs more."""
        self._uploads.chunks.broken(self._end - self.upload.offset)
        if fault.then != SAME_OFFSET or self.upload.offset < self._start:
            raise fault
        self._session.transport.tally.retries += 1
        self._position, self._whole = self.upload.offset, self._whole and self._in_one()
        return self._piece[self._position - self._start :]

    def _end_of_all(self) -> Response:
        """The registry's answer to the last request, closed."""
        if self._whole:
            if self._sending is None:
                self._open(0)
            response = self._answer()
        else:
            response = self._session.send(
                _at(self.upload, "PUT", url=self._sealed()),
                (self._session.scope(self.upload.repository),),
            )
        self._judge(response, (200, 201, 204))
        return response

    def _open(self, at_hand: int) -> None:
        left = self._size - self._position
        if not self._whole:
            chunks = self._uploads.chunks
            left = chunks.of(
                chunks.least(left, at_hand) if self._uploads.moves(self.upload.url) else left
            )
        self._end = self._position + left
        headers = {"Content-Type": "application/octet-stream"}
        if not self._whole:
            headers["Content-Range"] = f"{self._position}-{self._end - 1}"
        request = replace(
            (
                _at(self.upload, "PUT", url=self._sealed())
                if self._whole
                else _at(self.upload, "PATCH")
            ),
            headers=headers,
        )
        try:
            self._sending = self._session.begin(
                request, self._end - self._position, (self._session.scope(self.upload.repository),)
            )
            self._line = self._position, self._sending
        except RegistryUnreachable as fault:
            raise TransferInterrupted(fault) from fault

    def _guarded(self, part: memoryview) -> None:
        assert self._sending is not None
        try:
            heard = self._sending.send(part)
        except TransportError as fault:
            raise TransferInterrupted(errors.unreachable(self._session.party, fault)) from fault
        if not heard:
            self._judge(self._answer(), ())
        self._position += len(part)

    def _close_part(self) -> None:
        response = self._answer()
        self._judge(response, (200, 201, 202, 204))
        self._uploads.chunks.taken(self._position - self.upload.offset)
        said = _RANGE.fullmatch(response.headers.get("Range", ""))
        self.upload, self._resumed = (
            self._uploads.following(self.upload, response, self._position),
            False,
        )
        if said and int(said[1]) + 1 != self._position:  # ECR drops chunks silently (facts 3.3)
            party = self._session.party
            raise TransferInterrupted(
                RegistryError(
                    f"the {party} has {int(said[1]) + 1} bytes of {self._position} that it was"
                    " sent",
                    where=str(party.registry),
                )
            )

    def _answer(self) -> Response:
        assert self._sending is not None
        sending, self._sending = self._sending, None
        with sending:
            try:
                return sending.finish()
            except TransportError as fault:
                raise TransferInterrupted(errors.unreachable(self._session.party, fault)) from fault

    def _judge(self, response: Response, fine: tuple[int, ...]) -> None:
        """Pass for a status that is `fine`; else raise what it means, with the wait that the registry asks for."""
        status, party = response.status, self._session.party_of(self.upload.repository)
        with response:
            if status in fine:
                return
            if status == 401:
                self._session.forget(
                    _at(self.upload, "PUT"),
                    response,
                    (self._session.scope(self.upload.repository),),
                )
            wait = self._session.transport.heed(self.upload.url, response)
            moved = self._moved(response)
            diagnosis = errors.read_error(response)
        meaning = errors.error_for_status(
            party, status, f"to store {self._digest} in {self.upload.repository}", diagnosis.text
        )
        if moved is not None:
            self._go_to(moved)
            raise TransferInterrupted(meaning, taught=True, then=SAME_OFFSET)
        if diagnosis.damaged:
            raise errors.as_digest_mismatch(meaning)
        if status == 413 and self._uploads.chunks.refused(self._end - self.upload.offset):
            raise TransferInterrupted(meaning, wait=wait, taught=True, then=SAME_OFFSET)
        if (
            status in _NO_PARTS
            and not self._whole
            and not self.upload.offset
            and self._redirected
            and self._uploads.chunks.fits(self._size)
        ):
            self._uploads.in_parts = False
            raise TransferInterrupted(meaning, taught=True, then=RESTART)
        if self._resumed and 400 <= status < 500 and status not in _LATER:
            # what it does not take from the middle on, it may take from the beginning
            raise TransferInterrupted(meaning, then=RESTART)
        raise TransferInterrupted(meaning, wait=wait) if status in _LOST else meaning

    @property
    def _redirected(self) -> bool:
        """Whether it goes in parts for the redirects of its host alone; another upload may have learned since that no parts are taken."""
        return self.upload.hops > 0 or self._uploads.redirects(self.upload.url)

    def _go_to(self, moved: UploadSession) -> None:
        """Go on at the other place; a large blob that was sent in one goes there in parts, each of which is sent there."""
        self._uploads.moved(self.upload.url)
        if self.upload.offset >= self._start:
            if not self._left:
                self._uploads.give_up(self.upload)  # nothing more comes there
            self._left = True
            self.upload = moved
        elif not (self._whole and self._uploads.in_parts):
            self.upload = moved

    def _moved(self, response: Response) -> UploadSession | None:
        """The same place in the upload at another URL, where the answer redirects there; raises RegistryError where that may not be followed."""
        url = self._session.moved(_at(self.upload, "PUT" if self._whole else "PATCH"), response)
        if url and self.upload.hops == MAX_REGISTRY_REDIRECTS:
            party = self._session.party
            raise RegistryError(
                f"the {party} redirects an upload more than {MAX_REGISTRY_REDIRECTS} times",
                where=str(party.registry),
            )
        named_by = self.upload.named_by or self._session.named_by(self.upload.url)
        return (
            replace(
                self.upload,
                url=url,
                named_by=named_by,
                sealed=self._whole,
                hops=self.upload.hops + 1,
            )
            if url
            else None
        )

    def _sealed(self) -> str:
        """The URL of the finishing PUT: with the digest once, whatever the registry has put there, and all else as it came."""
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


def _at(upload: UploadSession, method: str, *, url: str = "") -> HttpRequest:
    """A request about an upload."""
    return HttpRequest(method=method, url=url or upload.url, named_by=upload.named_by)
