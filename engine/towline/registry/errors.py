"""What a registry's answer means for people: every status and network fault below becomes one of the errors of the registry family here.

Why a registry says no, by its own words: a 403 is the login's fault, or a quota's, a scanner's, a
rule's (Harbor, Artifactory, ACR, DigitalOcean).
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
from towline.image import Registry
from towline.literals import json_value
from towline.printable import words
from towline.record import frozen
from towline.registry.auth.policy import is_docker_hub
from towline.registry.coding import decode_body
from towline.secret import Login
from towline.suggest import nearest


@frozen
class RefusalReason:
    """What stands behind a refusal, in words, and what to do next; an empty `what` is the login."""

    words: str
    what: str = ""
    hint: str = ""


LOGIN_REFUSED = RefusalReason(
    words=(
        r"authori[sz]|authenticat|permission|privilege|credential|\blog"
        r" ?in\b|password|\btoken\b|scope"
        r"|access (?:to the resource )?(?:is )?denied|\baccount\b"
    )
)
# the first whose words are there counts: an account that may not do something is often told with
# the policy that says so
_REASONS = (
    RefusalReason(
        words=r"rate.?limit|too ?many ?requests",
        what="the registry's limit of requests is reached",
        hint="wait until it serves again, or log in with an account that may ask more often",
    ),
    RefusalReason(
        words=(
            r"quota|limit is \d|upper limit|limit (?:has been |was )?(?:reached|exceeded)|exceed\w*"
            r" .{0,80}limit|not enough (?:free )?(?:space|storage)"
            r"|storage .{0,40}(?:exceed|full)|payment|billing|subscription"
        ),
        what="a limit of the registry is reached",
        hint=(
            "it is not the login: have images deleted there, or the quota raised, then run it again"
        ),
    ),
    RefusalReason(
        words=r"read.?only mode|maintenance|archived",
        what="the registry takes nothing at present",
        hint="it is not the login: ask those who run the registry when it does, then run it again",
    ),
    RefusalReason(
        words=r"vulnerab|\bscan|\bxray\b|quarantin|malware|\bCVE\b|not signed|unsigned",
        what="a check of the registry holds the image back",
        hint=(
            "it is not the login: see the registry's report on the image, and have it scanned,"
            " corrected or excepted there"
        ),
    ),
    LOGIN_REFUSED,
    RefusalReason(
        words=r"\bIP\b|firewall|network rule|public (?:network )?access",
        what="the registry does not serve this machine's network",
        hint="it is not the login: have the agent's address allowed there",
    ),
    RefusalReason(
        words=r"polic(?:y|ies)|immutable|disallowed|blocked",
        what="a rule of the registry forbids it",
        hint="it is not the login: show this message to those who run the registry",
    ),
    RefusalReason(
        words=r"(?:not|n't) (?:be )?support|unsupported|MANIFEST_INVALID",
        what="the registry does not support it",
        hint=(
            "it is not the login: ask those who run the registry what kinds of content it takes; "
            "what refers to an image may stay behind where copyReferrers is left out"
        ),
    ),
)
# what registries use for it; 401 is always the login
_DECIDED = frozenset({400, 402, 403, 405, 409, 412, 423, 429, 451})


def refusal_reason(status: int, text: str) -> RefusalReason | None:
    """What stands behind an answer, as far as its words say so; None where it is of another kind, or says nothing."""
    if status == 401:
        return LOGIN_REFUSED
    found = (
        next((one for one in _REASONS if re.search(one.words, text, re.IGNORECASE)), None)
        if status in _DECIDED and text
        else None
    )
    if status == 403:
        return found or LOGIN_REFUSED
    return None if found is LOGIN_REFUSED else found


ERROR_BODY_LIMIT = 64 * 1024
_TEXT = 600
_STAGING = "a staging registry is short-lived: where it is gone, Build has to run again"
_LOGIN = (
    "give a user and a password for it (the page of the step names the parameters), or"
    " dockerConfigJSON, or log in with docker on the agent"
)
_BODIES = (
    "the registry, or a proxy before it, limits the size of a request: have the limit raised (for"
    " nginx client_max_body_size), to 1 MiB at the least"
)
DAMAGED_HINT = (
    "its bytes were right when they were sent, twice: the registry, or something on the way there,"
    " damages them; show this to those who run it"
)
_DAMAGED = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})
_PAGE, _BEFORE = (
    "a web page",
    "a web page came, so it may have been a proxy or a firewall before the registry",
)
_FULL = r'no space left on device|"Err": 28\b'  # ENOSPC in words, and as Go writes it into JSON


@frozen
class Endpoint:
    """A registry in its role (`source` and `target` of a copy, or of an `image` that is looked for) and who logs in there.

    `step`: a build's step asks; else it is a person, by `towline copy`.
    """

    registry: Registry
    role: str
    login: Login | None
    step: bool = True

    def __str__(self) -> str:
        return f"{self.role} registry {self.registry.host}"

    @property
    def base(self) -> str:
        """Where its API is: Docker Hub's has a host of its own."""
        return str(
            Registry(scheme=self.registry.scheme, host="registry-1.docker.io")
            if is_docker_hub(self.registry.host)
            else self.registry
        )

    @property
    def user(self) -> str:
        """The user and where it came from."""
        if self.login is None:
            return "a request without a user"
        return f"user {self.login.username!r}" + (
            f" (from {self.login.origin})" if self.login.origin else ""
        )


@frozen
class ErrorBody:
    """The registry's own words: the codes of its errors, and a text."""

    codes: tuple[str, ...]
    text: str

    @property
    def damaged(self) -> bool:
        """Whether what was sent has not arrived as it was sent."""
        return bool(_DAMAGED & set(self.codes))


# how an upload that broke off goes on: where the registry says, where it was, from the beginning
ASK_OFFSET, SAME_OFFSET, RESTART = "ask", "there", "anew"


class TransferInterrupted(Exception):
    """A blob's way that broke off and may be begun again; `fault` is what it means if not, `wait` the seconds that the registry asks for.

    `taught` says that the next try will be another one, since the registry said what it wants;
    `then` is one of ASK_OFFSET, SAME_OFFSET, RESTART.
    """

    def __init__(
        self,
        fault: TowlineError,
        *,
        wait: float | None = None,
        taught: bool = False,
        then: str = ASK_OFFSET,
    ) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.wait = wait
        self.taught = taught
        self.then = then


class NoReferrersApi(RegistryError):
    """A registry that keeps no lists of referrers, as it says in some way, or a proxy before it for one question."""


class ManifestIncomplete(Exception):
    """A manifest that a registry does not take, since something that it names is not there (yet); `fault` is what it means if that stays so."""

    def __init__(self, fault: TowlineError) -> None:
        super().__init__(fault.message)
        self.fault = fault


def read_error(response: Response) -> ErrorBody:
    """What a response's body says (distribution-spec 1.1, error codes), capped; the response is closed."""
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
            codes=(), text=words(_plain(body, response.headers.get("Content-Type", "")), _TEXT)
        )
    errors = data.get("errors") if isinstance(data, dict) else None
    entries = (
        [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    )
    codes = tuple(str(entry.get("code", "")) for entry in entries)
    said = "; ".join(
        f"{entry.get('code', '')}: {entry.get('message', '')}{_detail(entry)}".removeprefix(": ")
        for entry in entries
    )
    return ErrorBody(codes=codes, text=words(said or _other_words(data), _TEXT))


def _other_words(data: object) -> str:
    """How token services and proxies say it: in one text."""
    fields = data if isinstance(data, dict) else {}
    return next(
        (
            value
            for key in ("message", "error_description", "details", "error")
            if isinstance(value := fields.get(key), str)
        ),
        "",
    )


def _plain(body: bytes, content_type: str) -> str:
    """A text as it is, and the title of a web page."""
    text = body.decode("utf-8", "replace")
    if content_type.lower().startswith("text/plain"):
        return text
    title = re.search(r"<title>([^<]{1,200})</title>", text, re.IGNORECASE)
    return f"{_PAGE}, {' '.join(title[1].split())!r}" if title else ""


def names_digest(response: Response, digest: str) -> bool:
    """Whether an answer speaks of this content, as every registry's answer to storing it has to (distribution-spec 1.1: Location)."""
    return digest in unquote(
        response.headers.get("Location", "")
        + " "
        + response.headers.get("Docker-Content-Digest", "")
    )


def unreachable(party: Endpoint, fault: TransportError) -> RegistryUnreachable:
    """A network fault: the registry, or the host it sent us to, did not answer until the retries were used up."""
    elsewhere = f" (at {fault.where})" if fault.where and fault.where != str(party.registry) else ""
    hint = (
        _STAGING
        if party.role == "source" and party.step
        else "check the registry's URL and the network, then run it again"
    )
    if isinstance(fault, UntrustedCertificate):
        hint = OWN_AUTHORITY_HINT
    return RegistryUnreachable(
        f"the {party} cannot be reached{elsewhere}: {fault}", where=str(party.registry), hint=hint
    )


def login_refused(party: Endpoint, doing: str, text: str = "") -> CredentialError:
    """401, 403 or a login that the token service turned down."""
    source = (
        party.login.origin
        if party.login and party.login.origin
        else f"the parameters of the {party.role} registry"
    )
    hint = (
        f"check user and password in {source}, and what that user may do"
        if party.login
        else _login(party)
    )
    hint += f"; {_BEFORE}" if text.startswith(_PAGE) else ""
    return CredentialError(
        f"the {party} refuses {party.user} {doing}{_because(text)}",
        where=str(party.registry),
        hint=hint,
    )


def _login(party: Endpoint) -> str:
    """How to log in where nobody does."""
    side = party.role
    return (
        _LOGIN
        if party.step
        else (
            f"give --{side}RegistryUser, and its password by --password-stdin {side} or"
            f" PIPER_{side}RegistryPassword; or --dockerConfigJSON; or log in with docker on this"
            " machine"
        )
    )


def unexpected_response(party: Endpoint, response: Response, doing: str) -> TowlineError:
    """Any other status, with what the registry itself says about it; the response is closed."""
    status, text = response.status, read_error(response).text
    if is_from_other_host(party, response):
        return RegistryError(
            f"the {party} keeps it at {response.where}, which answers {status} when asked"
            f" {doing}{_because(text)}",
            where=str(party.registry),
        )
    return error_for_status(party, status, doing, text)


def is_from_other_host(party: Endpoint, response: Response) -> bool:
    """Whether the answer comes from another host that the registry named: storage, which knows nothing of its logins."""
    return response.where != origin(party.base)


def error_for_status(party: Endpoint, status: int, doing: str, text: str) -> TowlineError:
    """Any other status, with what the registry itself has said about it."""
    why = refusal_reason(status, text)
    if why is LOGIN_REFUSED:
        return login_refused(party, doing, text)
    what, hint = (f": {why.what}", why.hint) if why else _otherwise(party, status, text)
    return RegistryError(
        f"the {party} answers {status} when asked {doing}{what}{_because(text)}",
        where=str(party.registry),
        hint=hint,
    )


def _otherwise(party: Endpoint, status: int, text: str) -> tuple[str, str]:
    """What a status means that is no refusal, and what to do next."""
    if status >= 500 and re.search(_FULL, text):
        return ": its disk is full", "have space made on the registry's disk, then run it again"
    if status == 400 and party.registry.scheme == "http" and "HTTPS" in text:
        return "", SPEAKS_TLS
    return "", _BODIES if status == 413 else ""


def as_digest_mismatch(fault: TowlineError) -> DigestMismatch:
    """The same fault of something that did not arrive as it was sent."""
    return DigestMismatch(fault.message, where=fault.where, hint=DAMAGED_HINT)


def no_image(
    party: Endpoint, repository: str, target: str, *, tags: Iterable[str] = ()
) -> RegistryError:
    """404 for a manifest; `tags` are those that the repository has, as far as they are known."""
    hint = (
        (
            "was the tag cleaned up? a staging registry is short-lived: Build has to run again"
            if party.role == "source"
            else ""
        )
        if party.step
        else "; ".join(
            part
            for part in ("check its name and tag", nearest(target, tags) if tags else "")
            if part
        )
    )
    image = f"{repository}{'@' if ':' in target else ':'}{target}"
    return RegistryError(
        f"the image {image} does not exist on the {party}", where=str(party.registry), hint=hint
    )


def no_repository(party: Endpoint, repository: str) -> RegistryError:
    """404 where something was to be stored."""
    return RegistryError(
        f"the repository {repository!r} does not exist on the {party}",
        where=str(party.registry),
        hint="create it there, or let the registry create repositories on push",
    )


def _detail(entry: dict[str, object]) -> str:
    """What stands beside "unknown error", which alone says nothing: that the registry's disk is full, for one."""
    detail = entry.get("detail")
    if entry.get("code") != "UNKNOWN" or not detail:
        return ""
    return f" ({detail if isinstance(detail, str) else json.dumps(detail)})"


def _because(text: str) -> str:
    return f": {text}" if text else ""
