"""A small, complete OCI distribution registry in memory, on loopback. Tests and `make demo`
push to it, pull from it and break it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.serve import (
    Answer,
    Chooser,
    Corrupt,
    CutAnswer,
    CutRequest,
    Fault,
    LoopbackServer,
    Record,
    Request,
    Status,
    at,
    on,
)

__all__ = [
    "Answer",
    "Chooser",
    "Corrupt",
    "CutAnswer",
    "CutRequest",
    "FakeRegistry",
    "Fault",
    "Record",
    "Refusal",
    "Repository",
    "Status",
    "at",
    "digest_of",
    "on",
]

_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ROUTES = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("manifest", r"/v2/(.+)/manifests/([^/]+)"),
        ("uploads", r"/v2/(.+)/blobs/uploads/()"),
        ("upload", r"/v2/(.+)/blobs/uploads/([^/]+)"),
        ("blob", r"/v2/(.+)/blobs/([^/]+)"),
        ("tags", r"/v2/(.+)/tags/list()"),
        ("referrers", r"/v2/(.+)/referrers/([^/]+)"),
    )
)


class Refusal(Exception):
    """An answer that is an error, in the form of the distribution specification."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        details: Iterable[Any] = (None,),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        errors = [
            {"code": code, "message": code.replace("_", " ").lower(), "detail": detail}
            for detail in details
        ]
        body = json.dumps({"errors": errors}).encode()
        self.answer = Answer(
            status=status,
            headers={"Content-Type": "application/json", **(headers or {})},
            body=body,
        )


@dataclass(kw_only=True)
class Upload:
    """An upload that is not finished: its bytes, and the states that were handed out for it."""

    data: bytearray = field(default_factory=bytearray)
    states: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class Repository:
    """The content of a repository: digest -> (media type, bytes), tag -> digest, digest -> bytes,
    and unfinished uploads.
    """

    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """The grants of a token as (repository, action), and its expiry (monotonic seconds)."""

    allowed: frozenset[tuple[str, str]]
    until: float


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """`sha256:<hex>` of `data`."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class FakeRegistry(LoopbackServer):
    """The registry; the options are attributes too and may be changed while it runs.

    `resumes` keeps the bytes of a PUT that was cut; `largest_body` refuses larger ones as a proxy
    does (0: any); `referrers` lists them, two to a page. `auth` is `none`, `basic` or `bearer`
    (basic if a user name is given); `realm` is the token endpoint in challenges if it is not the
    registry's own. `owners` names who alone may work in the repositories below a first word, as
    (user, password).
    """

    def __init__(
        self,
        *,
        username: str = "",
        password: str = "",
        auth: str = "",
        realm: str = "",
        token_seconds: float = 300.0,
        create_on_push: bool = True,
        validates: bool = True,
        relative_location: bool = False,
        mount: bool = True,
        ranges: bool = True,
        redirect_blobs_to: str = "",
        immutable_tags: bool = False,
        resumes: bool = False,
        largest_body: int = 0,
        referrers: bool = False,
    ) -> None:
        super().__init__()
        self.username, self.password = username, password
        self.auth = auth or ("basic" if username else "none")
        self.realm, self.token_seconds = realm, token_seconds
        self.create_on_push, self.validates, self.immutable_tags = (
            create_on_push,
            validates,
            immutable_tags,
        )
        self.relative_location, self.mount, self.ranges = relative_location, mount, ranges
        self.redirect_blobs_to = redirect_blobs_to
        self.resumes, self.largest_body, self.referrers = resumes, largest_body, referrers
        self.owners: dict[str, tuple[str, str]] = {}
        self.storage: dict[str, Repository] = {}
        self.scopes: list[tuple[str, ...]] = []
        self._tokens: dict[str, Grant] = {}
        self._lock = threading.RLock()

    def create(self, name: str) -> Repository:
        """The repository `name`, made if it does not exist."""
        with self._lock:
            return self.storage.setdefault(name, Repository())

    def manifest(self, name: str, reference: str) -> tuple[str, str, bytes]:
        """(digest, media type, bytes) of a tag or digest in the storage; raises KeyError."""
        with self._lock:
            digest = self.storage[name].tags.get(reference, reference)
            return (digest, *self.storage[name].manifests[digest])

    def expire_tokens(self) -> None:
        """Refuse every token that was handed out so far."""
        with self._lock:
            self._tokens.clear()

    def answer(self, request: Request) -> Answer:
        """One request, alone: the storage is small and the lock is simple."""
        with self._lock:
            try:
                return self._token(request) if request.path == "/token" else self._route(request)
            except Refusal as refusal:
                return refusal.answer

    def broken(self, request: Request) -> None:
        """An interrupted PATCH leaves the received bytes, as on real registries; a PUT does so on
        some of them.
        """
        with self._lock:
            kind, name, key = _parsed(request.path)
            upload = self.storage.get(name, Repository()).uploads.get(key)
            if (
                kind == "upload"
                and upload
                and (request.method == "PATCH" or (request.method == "PUT" and self.resumes))
            ):
                upload.data += request.body

    # Authorization

    def _token(self, request: Request) -> Answer:
        """The token endpoint: GET with repeated `scope`; POST is not there, as on older
        registries.
        """
        if request.method != "GET" or self.auth != "bearer":
            return Answer(status=404)
        if self.username and not any(self._knows(request, name) for name in ("", *self.owners)):
            raise Refusal(401, "UNAUTHORIZED", headers={"WWW-Authenticate": 'Basic realm="token"'})
        scopes = tuple(
            scope for text in request.query.get("scope", []) for scope in text.split(" ") if scope
        )
        self.scopes.append(scopes)
        parts = [
            (name, actions)
            for _, name, actions in map(_scope_parts, scopes)
            if not self.owners or self._knows(request, name)
        ]
        allowed = frozenset(
            (name, action) for name, actions in parts for action in actions.split(",")
        )
        token = secrets.token_urlsafe(24)
        self._tokens[token] = Grant(allowed=allowed, until=time.monotonic() + self.token_seconds)
        body = json.dumps(
            {"token": token, "access_token": token, "expires_in": int(self.token_seconds)}
        ).encode()
        return Answer(status=200, headers={"Content-Type": "application/json"}, body=body)

    def _knows(self, request: Request, name: str) -> bool:
        """Whether the caller may work in the repository `name`."""
        user, password = self.owners.get(name.partition("/")[0], (self.username, self.password))
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            return (
                scheme.lower() == "basic"
                and base64.b64decode(text, validate=True).decode() == f"{user}:{password}"
            )
        except (binascii.Error, UnicodeDecodeError):
            return False

    def _admit(self, request: Request, name: str) -> None:
        """Let the request pass, or refuse it with 401 and the matching challenge."""
        if self.auth == "basic" and not self._knows(request, name):
            raise Refusal(
                401, "UNAUTHORIZED", headers={"WWW-Authenticate": 'Basic realm="fake registry"'}
            )
        if self.auth != "bearer":
            return
        needed = _needed(request, name)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self._tokens.get(token) if scheme.lower() == "bearer" else None
        valid = grant is not None and time.monotonic() < grant.until
        if (
            valid
            and grant
            and all(
                (repository, action) in grant.allowed
                for repository, actions in needed
                for action in actions
            )
        ):
            return
        scope = " ".join(
            f"repository:{repository}:{','.join(actions)}" for repository, actions in needed
        )
        challenge = f'Bearer realm="{self.realm or self.url + "/token"}",service="{self.host}"' + (
            f',scope="{scope}"' if scope else ""
        )
        if token:
            challenge += ',error="insufficient_scope"' if valid else ',error="invalid_token"'
        raise Refusal(401, "UNAUTHORIZED", headers={"WWW-Authenticate": challenge})

    # Content

    def _route(self, request: Request) -> Answer:
        kind, name, key = _parsed(request.path)
        self._admit(request, name)
        if request.path == "/v2/":
            return Answer(
                status=200,
                headers={
                    "Content-Type": "application/json",
                    "Docker-Distribution-API-Version": "registry/2.0",
                },
                body=b"{}",
            )
        if not kind:
            return Answer(status=404)
        if self.largest_body and len(request.body) > self.largest_body:
            return Answer(status=413)
        method = "get" if request.method == "HEAD" else request.method.lower()
        verb = getattr(self, f"_{method}_{kind}", None)
        if verb is None:
            raise Refusal(405, "UNSUPPORTED")
        if not re.fullmatch(_NAME, name):
            raise Refusal(400, "NAME_INVALID", details=[{"name": name}])
        answer = verb(request, name, key)
        assert isinstance(answer, Answer)
        return answer

    def _known(self, name: str) -> Repository:
        if name not in self.storage:
            raise Refusal(404, "NAME_UNKNOWN", details=[{"name": name}])
        return self.storage[name]

    def _pushable(self, name: str) -> Repository:
        return self.create(name) if self.create_on_push else self._known(name)

    def _get_tags(self, request: Request, name: str, _key: str) -> Answer:
        if not re.fullmatch(r"[1-9]\d{0,3}|", request.asks("n")):
            raise Refusal(400, "PAGINATION_NUMBER_INVALID")
        tags = sorted(tag for tag in self._known(name).tags if tag > request.asks("last"))
        size = int(request.asks("n") or len(tags))
        headers = {"Content-Type": "application/json"}
        if size < len(tags):
            headers["Link"] = f'</v2/{name}/tags/list?n={size}&last={tags[size - 1]}>; rel="next"'
        return Answer(
            status=200,
            headers=headers,
            body=json.dumps({"name": name, "tags": tags[:size]}).encode(),
        )

    # Manifests

    def _get_manifest(self, request: Request, name: str, key: str) -> Answer:
        repository = self._known(name)
        digest = repository.tags.get(key, key)
        if digest not in repository.manifests:
            raise Refusal(404, "MANIFEST_UNKNOWN", details=[{"reference": key}])
        media_type, data = repository.manifests[digest]
        accepted = {
            part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")
        }
        # Debian's registry answers so too, also to a request without an Accept header
        if not accepted & {media_type, "*/*"}:
            raise Refusal(
                404,
                "MANIFEST_UNKNOWN",
                details=[f"{media_type} found, but the Accept header does not support it"],
            )
        return Answer(
            status=200,
            headers={
                "Content-Type": media_type,
                "Docker-Content-Digest": digest,
                "ETag": f'"{digest}"',
            },
            body=data,
        )

    def _put_manifest(self, request: Request, name: str, key: str) -> Answer:
        repository = self._pushable(name)
        by_digest = _DIGEST.fullmatch(key)
        if not by_digest and not _TAG.fullmatch(key):
            raise Refusal(400, "TAG_INVALID", details=[{"tag": key}])
        digest = digest_of(request.body, key.partition(":")[0] if by_digest else "sha256")
        if by_digest and digest != key:
            raise Refusal(400, "DIGEST_INVALID", details=[{"wanted": key, "got": digest}])
        if not by_digest and self.immutable_tags and key in repository.tags:
            raise Refusal(
                400, "TAG_INVALID", details=[f"the tag {key} is there already and is immutable"]
            )
        media_type = request.headers.get("content-type", "")
        children, blobs = _referenced(media_type, request.body)
        missing = sorted(children - repository.manifests.keys()) + sorted(
            blobs - repository.blobs.keys()
        )
        if self.validates and missing:
            raise Refusal(
                400, "MANIFEST_BLOB_UNKNOWN", details=[{"digest": absent} for absent in missing]
            )
        repository.manifests[digest] = (media_type, request.body)
        if not by_digest:
            repository.tags[key] = digest
        headers = {
            "Location": self._place(f"/v2/{name}/manifests/{digest}"),
            "Docker-Content-Digest": digest,
        }
        subject = json.loads(request.body).get("subject")
        return Answer(
            status=201,
            headers={
                **headers,
                **({"OCI-Subject": subject["digest"]} if subject and self.referrers else {}),
            },
        )

    def _get_referrers(self, request: Request, name: str, key: str) -> Answer:
        if not self.referrers:
            return Answer(status=404)
        found = []
        for digest, (media_type, data) in sorted(self._known(name).manifests.items()):
            if (json.loads(data).get("subject") or {}).get("digest") == key:
                found.append({"mediaType": media_type, "digest": digest, "size": len(data)})
        first = int(request.asks("from") or 0)
        headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
        if first + 2 < len(found):
            headers["Link"] = f'</v2/{name}/referrers/{key}?from={first + 2}>; rel="next"'
        body = {
            "schemaVersion": 2,
            "mediaType": headers["Content-Type"],
            "manifests": found[first : first + 2],
        }
        return Answer(status=200, headers=headers, body=json.dumps(body).encode())

    # Blobs

    def _get_blob(self, request: Request, name: str, key: str) -> Answer:
        blobs = self._known(name).blobs
        if key not in blobs:
            raise Refusal(404, "BLOB_UNKNOWN", details=[{"digest": key}])
        if self.redirect_blobs_to and request.method == "GET":
            return Answer(
                status=307, headers={"Location": self.redirect_blobs_to.rstrip("/") + request.path}
            )
        data, headers = (
            blobs[key],
            {
                "Content-Type": "application/octet-stream",
                "Docker-Content-Digest": key,
            },
        )
        if not self.ranges:
            return Answer(status=200, headers=headers, body=data)
        headers["Accept-Ranges"] = "bytes"
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not asked:
            return Answer(status=200, headers=headers, body=data)
        first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
        if first > last:
            raise Refusal(416, "RANGE_INVALID", headers={"Content-Range": f"bytes */{len(data)}"})
        return Answer(
            status=206,
            headers={**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"},
            body=data[first : last + 1],
        )

    def _post_uploads(self, request: Request, name: str, _key: str) -> Answer:
        repository = self._pushable(name)
        digest, source = request.asks("mount"), self.storage.get(request.asks("from"))
        if self.mount and source and digest in source.blobs:
            repository.blobs[digest] = source.blobs[digest]
            return self._stored(name, digest)
        key = secrets.token_hex(16)
        repository.uploads[key] = Upload()
        return self._going_on(202, name, key)

    def _patch_upload(self, request: Request, name: str, key: str) -> Answer:
        upload = self._upload(request, name, key)
        asked = re.fullmatch(
            r"(?:bytes[ =])?(\d+)-(\d+)(?:/.*)?", request.headers.get("content-range", "")
        )
        if asked and (
            int(asked[1]) != len(upload.data)
            or int(asked[2]) - int(asked[1]) + 1 != len(request.body)
        ):
            raise Refusal(
                416, "BLOB_UPLOAD_INVALID", headers=self._going_on(416, name, key).headers
            )
        upload.data += request.body
        return self._going_on(202, name, key)

    def _put_upload(self, request: Request, name: str, key: str) -> Answer:
        upload, digest = self._upload(request, name, key), request.asks("digest")
        data = bytes(upload.data) + request.body
        del self.storage[name].uploads[key]
        if not _DIGEST.fullmatch(digest) or digest_of(data, digest.partition(":")[0]) != digest:
            raise Refusal(400, "DIGEST_INVALID", details=[{"digest": digest}])
        self.storage[name].blobs[digest] = data
        return self._stored(name, digest)

    def _get_upload(self, request: Request, name: str, key: str) -> Answer:
        self._upload(request, name, key)
        return self._going_on(204, name, key)

    def _delete_upload(self, request: Request, name: str, key: str) -> Answer:
        self._upload(request, name, key)
        del self.storage[name].uploads[key]
        return Answer(status=204)

    def _upload(self, request: Request, name: str, key: str) -> Upload:
        """The upload, if the request has the state that the registry issued for it: a client must
        use Location unchanged.
        """
        upload = self._known(name).uploads.get(key)
        if upload is None:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN")
        if request.asks(self._state_name) not in upload.states:
            raise Refusal(400, "BLOB_UPLOAD_INVALID")
        return upload

    def _going_on(self, status: int, name: str, key: str) -> Answer:
        # the sign must survive the client's handling
        upload, state = self.storage[name].uploads[key], secrets.token_urlsafe(8) + "="
        upload.states.add(state)
        headers = {
            "Location": self._place(
                f"/v2/{name}/blobs/uploads/{key}?{self._state_name}={state.replace('=', '%3D')}"
            ),
            "Range": f"0-{max(0, len(upload.data) - 1)}",
            "Docker-Upload-UUID": key,
        }
        return Answer(status=status, headers=headers)

    def _stored(self, name: str, digest: str) -> Answer:
        return Answer(
            status=201,
            headers={
                "Location": self._place(f"/v2/{name}/blobs/{digest}"),
                "Docker-Content-Digest": digest,
            },
        )

    @property
    def _state_name(self) -> str:
        """Distribution calls it `_state`; a registry that cannot mount must not look like
        distribution.
        """
        return "_state" if self.mount else "token"

    def _place(self, path: str) -> str:
        return path if self.relative_location else self.url + path


def _parsed(path: str) -> tuple[str, str, str]:
    for kind, pattern in _ROUTES:
        if match := pattern.fullmatch(path):
            return kind, match[1], match[2]
    return "", "", ""


def _scope_parts(scope: str) -> tuple[str, str, str]:
    """`repository`, name and actions; the name may hold colons (a port)."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return kind, name, actions


def _needed(request: Request, name: str) -> list[tuple[str, tuple[str, ...]]]:
    """The grants that a request needs: its action on its repository, and a pull of the repository
    that it mounts from.
    """
    if not name:
        return []
    by_method: dict[str, tuple[str, ...]] = {
        "GET": ("pull",),
        "HEAD": ("pull",),
        "DELETE": ("delete",),
    }
    actions = by_method.get(request.method, ("pull", "push"))
    source = request.asks("from") if request.asks("mount") else ""
    return [(name, actions), *([(source, ("pull",))] if source and source != name else [])]


def _referenced(media_type: str, data: bytes) -> tuple[set[str], set[str]]:
    """The digests of the manifests and of the blobs that must be there: all but layers that may
    not be distributed.
    """
    try:
        manifest = json.loads(data)
        children = {child["digest"] for child in manifest.get("manifests", [])}
        parts = [manifest["config"]] if "config" in manifest else []
        blobs = {
            part["digest"] for part in [*parts, *manifest.get("layers", [])] if not part.get("urls")
        }
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise Refusal(400, "MANIFEST_INVALID", details=[repr(fault)]) from fault
    if manifest.get("mediaType", media_type) != media_type:
        raise Refusal(400, "MANIFEST_INVALID", details=["the media type is not that of the header"])
    return children, blobs
