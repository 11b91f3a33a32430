"""Registry errors for people: a status or network fault becomes an error of the registry family.

Why a registry refuses is read from the words of its answer: a 403 can be the login's fault, or that
of a quota, a scanner or a policy (Harbor, Artifactory, ACR, DigitalOcean).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import unquote

from towline.errors import (
    CredentialError,
    DigestMismatch,
    RegistryError,
    RegistryUnreachable,
    TowlineError,
    TransportError,
)
from towline.http.messages import (
    OWN_AUTHORITY_HINT,
    SPEAKS_TLS,
    Response,
    UntrustedCertificate,
    origin,
)
from towline.image import Reference, Registry, Repository
from towline.literals import json_value
from towline.printable import words
from towline.record import frozen
from towline.registry.auth.policy import is_docker_hub
from towline.registry.coding import decode_body
from towline.secret import Login
from towline.suggest import nearest


@frozen
class RefusalReason:
    """A reason of a refusal: the pattern `words` that identifies it, a `cause` for people, a hint.

    An empty `cause` stands for the login.
    """

    words: str
    cause: str = ""
    hint: str = ""


LOGIN_REFUSED = RefusalReason(
    words=(
        r"authori[sz]|authenticat|permission|privilege|credential|\blog"
        r" ?in\b|password|\btoken\b|scope"
        r"|access (?:to the resource )?(?:is )?denied|\baccount\b"
    )
)
# the first match counts: a text about an account without permission often names the policy too
_REASONS = (
    RefusalReason(
        words=r"rate.?limit|too ?many ?requests",
        cause="the registry's limit of requests is reached",
        hint="wait until it serves again, or log in with an account that may ask more often",
    ),
    RefusalReason(
        words=(
            r"quota|limit is \d|upper limit|limit (?:has been |was )?(?:reached|exceeded)|exceed\w*"
            r" .{0,80}limit|not enough (?:free )?(?:space|storage)"
            r"|storage .{0,40}(?:exceed|full)|payment|billing|subscription"
        ),
        cause="a limit of the registry is reached",
        hint=(
            "it is not the login: have images deleted there, or the quota raised, then run it again"
        ),
    ),
    RefusalReason(
        words=r"read.?only mode|maintenance|archived",
        cause="the registry takes nothing at present",
        hint="it is not the login: ask those who run the registry when it does, then run it again",
    ),
    RefusalReason(
        words=r"vulnerab|\bscan|\bxray\b|quarantin|malware|\bCVE\b|not signed|unsigned",
        cause="a check of the registry holds the image back",
        hint=(
            "it is not the login: see the registry's report on the image, and have it scanned,"
            " corrected or excepted there"
        ),
    ),
    LOGIN_REFUSED,
    RefusalReason(
        words=r"\bIP\b|firewall|network rule|public (?:network )?access",
        cause="the registry does not serve this machine's network",
        hint="it is not the login: have the agent's address allowed there",
    ),
    RefusalReason(
        words=r"polic(?:y|ies)|immutable|disallowed|blocked",
        cause="a rule of the registry forbids it",
        hint="it is not the login: show this message to those who run the registry",
    ),
    RefusalReason(
        words=r"(?:not|n't) (?:be )?support|unsupported|MANIFEST_INVALID",
        cause="the registry does not support it",
        hint=(
            "it is not the login: ask those who run the registry what kinds of content it takes; "
            "to leave referrers of an image out, leave copyReferrers out"
        ),
    ),
)
# statuses that registries use for a refusal; 401 is always the login
_DECIDED = frozenset({400, 402, 403, 405, 409, 412, 423, 429, 451})


def refusal_reason(status: int, text: str) -> RefusalReason | None:
    """The reason of a refusal by the answer's text; None if the text does not tell it."""
    if status == 401:
        return LOGIN_REFUSED
    found = None
    if status in _DECIDED and text:
        matching = (entry for entry in _REASONS if re.search(entry.words, text, re.IGNORECASE))
        found = next(matching, None)
    if status == 403:
        return found or LOGIN_REFUSED
    return None if found is LOGIN_REFUSED else found


ERROR_BODY_LIMIT = 64 * 1024
_TEXT = 600
_STAGING = "a staging registry is short-lived: if it is gone, Build has to run again"
_LOGIN = (
    "give a user and a password for it (the page of the step names the parameters), or"
    " dockerConfigJSON, or log in with docker on the agent"
)
_BODIES = (
    "the registry, or a proxy before it, limits the size of a request: have the limit raised (for"
    " nginx client_max_body_size), to 1 MiB at the least"
)
DAMAGED_HINT = (
    "the bytes were correct when they were sent, twice: the registry, or something on the way to"
    " it, damages them; show this to those who run it"
)
_DAMAGED = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})
_PAGE, _BEFORE = (
    "a web page",
    "a web page came, so it may have been a proxy or a firewall before the registry",
)
_FULL = r'no space left on device|"Err": 28\b'  # ENOSPC in words, and as Go writes it into JSON


@frozen
class Endpoint:
    """A registry in its role, and the login there.

    The role is `source` or `target` of a copy, or `image` for an image that is looked up. `step`: a
    build's step asks; otherwise a person does, by `towline copy`.
    """

    registry: Registry
    role: str
    login: Login | None
    step: bool = True

    def __str__(self) -> str:
        return f"{self.role} registry {self.registry.host}"

    @property
    def base(self) -> str:
        """The URL of the registry's API; Docker Hub's is on a host of its own."""
        return str(
            Registry(scheme=self.registry.scheme, host="registry-1.docker.io")
            if is_docker_hub(self.registry.host)
            else self.registry
        )

    @property
    def user(self) -> str:
        """The user and where the user name came from, for messages."""
        if self.login is None:
            return "a request without a user"
        return f"user {self.login.username!r}" + (
            f" (from {self.login.origin})" if self.login.origin else ""
        )


@frozen
class ErrorBody:
    """A registry's error response: the error codes, and a text."""

    codes: tuple[str, ...]
    text: str

    @property
    def damaged(self) -> bool:
        """Whether the registry received other bytes than were sent."""
        return bool(_DAMAGED & set(self.codes))


# how to resume an upload: ask the registry for the offset, keep the offset, start again at byte 0
ASK_OFFSET, SAME_OFFSET, RESTART = "ask", "there", "anew"


class TransferInterrupted(Exception):
    """Raised when a blob transfer was interrupted and can be retried.

    `fault` is the error to raise when retries are exhausted; `wait` is the Retry-After in seconds,
    if any. `taught`: the registry said what it needs, so the next attempt is a different one.
    `resume` is one of ASK_OFFSET, SAME_OFFSET, RESTART.
    """

    def __init__(
        self,
        fault: TowlineError,
        *,
        wait: float | None = None,
        taught: bool = False,
        resume: str = ASK_OFFSET,
    ) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.wait = wait
        self.taught = taught
        self.resume = resume


class NoReferrersApi(RegistryError):
    """The registry, or a proxy before it, does not list referrers; `forbidden`: it answers 403."""

    def __init__(self, message: str, *, where: str, forbidden: bool = False) -> None:
        super().__init__(message, where=where)
        self.forbidden = forbidden


class ManifestIncomplete(Exception):
    """Raised when a registry refuses a manifest because something that it names is missing (yet).

    `fault` is the error to raise if that stays so.
    """

    def __init__(self, fault: TowlineError) -> None:
        super().__init__(fault.message)
        self.fault = fault


def read_error(response: Response) -> ErrorBody:
    """The error codes and text of a response (distribution-spec 1.1), capped; closes it."""
    with response:
        try:
            body = decode_body(
                response.read_capped(ERROR_BODY_LIMIT),
                response.headers,
                limit=ERROR_BODY_LIMIT,
                where=response.where,
            )
        except (TransportError, RegistryError):
            body = b""
    data = json_value(body)
    if data is None:
        return ErrorBody(
            codes=(), text=words(_plain_text(body, response.headers.get("Content-Type", "")), _TEXT)
        )
    errors = data.get("errors") if isinstance(data, dict) else None
    entries = (
        [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    )
    codes = tuple(str(entry.get("code", "")) for entry in entries)
    text = "; ".join(
        f"{entry.get('code', '')}: {entry.get('message', '')}{_detail(entry)}".removeprefix(": ")
        for entry in entries
    )
    return ErrorBody(codes=codes, text=words(text or _message_field(data), _TEXT))


def _message_field(data: object) -> str:
    """The error text of token services and proxies, which have one text field."""
    fields = data if isinstance(data, dict) else {}
    return next(
        (
            value
            for key in ("message", "error_description", "details", "error")
            if isinstance(value := fields.get(key), str)
        ),
        "",
    )


def _plain_text(body: bytes, content_type: str) -> str:
    """A plain text as it is, or the title of a web page."""
    text = body.decode("utf-8", "replace")
    if content_type.lower().startswith("text/plain"):
        return text
    title = re.search(r"<title>([^<]{1,200})</title>", text, re.IGNORECASE)
    return f"{_PAGE}, {' '.join(title[1].split())!r}" if title else ""


def names_digest(response: Response, digest: str) -> bool:
    """Whether an answer names this digest, as an answer to storing content has to.

    Source: distribution-spec 1.1, Location.
    """
    return digest in unquote(
        response.headers.get("Location", "")
        + " "
        + response.headers.get("Docker-Content-Digest", "")
    )


def unreachable(endpoint: Endpoint, fault: TransportError) -> RegistryUnreachable:
    """The error for a registry, or a host that it named, that did not answer after all retries."""
    elsewhere = (
        f" (at {fault.where})" if fault.where and fault.where != str(endpoint.registry) else ""
    )
    hint = (
        _STAGING
        if endpoint.role == "source" and endpoint.step
        else "check the registry's URL and the network, then run it again"
    )
    if isinstance(fault, UntrustedCertificate):
        hint = OWN_AUTHORITY_HINT
    return RegistryUnreachable(
        f"the {endpoint} cannot be reached{elsewhere}: {fault}",
        where=str(endpoint.registry),
        hint=hint,
    )


def login_refused(endpoint: Endpoint, doing: str, text: str = "") -> CredentialError:
    """The error for 401, 403, or a login that the token service refused."""
    source = (
        endpoint.login.origin
        if endpoint.login and endpoint.login.origin
        else f"the parameters of the {endpoint.role} registry"
    )
    hint = (
        f"check user and password in {source}, and what that user may do"
        if endpoint.login
        else _login(endpoint)
    )
    hint += f"; {_BEFORE}" if text.startswith(_PAGE) else ""
    return CredentialError(
        f"the {endpoint} refuses {endpoint.user} {doing}{_because(text)}",
        where=str(endpoint.registry),
        hint=hint,
    )


def _login(endpoint: Endpoint) -> str:
    """How to log in, for the hint of an anonymous request."""
    side = endpoint.role
    return (
        _LOGIN
        if endpoint.step
        else (
            f"give --{side}RegistryUser, and its password by --password-stdin {side} or"
            f" PIPER_{side}RegistryPassword; or --dockerConfigJSON; or log in with docker on this"
            " machine"
        )
    )


def unexpected_response(endpoint: Endpoint, response: Response, doing: str) -> TowlineError:
    """The error for any other status, with the registry's own text; closes the response."""
    status, text = response.status, read_error(response).text
    if is_from_other_host(endpoint, response):
        return RegistryError(
            f"the {endpoint} stores it at {response.where}, which answers {status} when asked"
            f" {doing}{_because(text)}",
            where=str(endpoint.registry),
        )
    return error_for_status(endpoint, status, doing, text)


def is_from_other_host(endpoint: Endpoint, response: Response) -> bool:
    """Whether the answer comes from a host that the registry named: storage without its logins."""
    return response.where != origin(endpoint.base)


def error_for_status(endpoint: Endpoint, status: int, doing: str, text: str) -> TowlineError:
    """The error for a status, given the registry's own text."""
    why = refusal_reason(status, text)
    if why is LOGIN_REFUSED:
        return login_refused(endpoint, doing, text)
    cause, hint = (f": {why.cause}", why.hint) if why else _cause_and_hint(endpoint, status, text)
    return RegistryError(
        f"the {endpoint} answers {status} when asked {doing}{cause}{_because(text)}",
        where=str(endpoint.registry),
        hint=hint,
    )


def _cause_and_hint(endpoint: Endpoint, status: int, text: str) -> tuple[str, str]:
    """The meaning of a status that is not a refusal, and what to do next."""
    if status >= 500 and re.search(_FULL, text):
        return ": its disk is full", "have space made on the registry's disk, then run it again"
    if status == 400 and endpoint.registry.scheme == "http" and "HTTPS" in text:
        return "", SPEAKS_TLS
    return "", _BODIES if status == 413 else ""


def as_digest_mismatch(fault: TowlineError) -> DigestMismatch:
    """The same fault as a DigestMismatch: the registry received other bytes than were sent."""
    return DigestMismatch(fault.message, where=fault.where, hint=DAMAGED_HINT)


def no_image(
    endpoint: Endpoint, reference: Reference, *, tags: Iterable[str] = ()
) -> RegistryError:
    """The error for a 404 of a manifest; `tags` are the repository's tags, as far as known."""
    hint = ""
    if not endpoint.step:
        near = nearest(reference.target, tags) if tags else ""
        hint = "check its name and tag" + (f"; {near}" if near else "")
    elif endpoint.role == "source":
        hint = "was the tag cleaned up? a staging registry is short-lived: Build has to run again"
    image = reference.repository.reference(reference.target).image
    return RegistryError(
        f"the image {image} does not exist on the {endpoint}",
        where=str(endpoint.registry),
        hint=hint,
    )


def no_repository(endpoint: Endpoint, repository: Repository) -> RegistryError:
    """The error for a 404 when storing."""
    return RegistryError(
        f"the repository {repository.name!r} does not exist on the {endpoint}",
        where=str(endpoint.registry),
        hint="create it there, or let the registry create repositories on push",
    )


def _detail(entry: dict[str, object]) -> str:
    """The detail of an "unknown error", which says nothing alone: a full disk, for example."""
    detail = entry.get("detail")
    if entry.get("code") != "UNKNOWN" or not detail:
        return ""
    return f" ({detail if isinstance(detail, str) else json.dumps(detail)})"


def _because(text: str) -> str:
    return f": {text}" if text else ""
