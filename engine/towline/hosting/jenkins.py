"""Jenkins' credentials store: reads one secret text credential and gives it another secret.

Source: user guide of the credentials plugin, "REST API". Nobody can read the secret back: Jenkins
has stored it if it says so and the credential exists afterwards as before.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from towline.credential_hosts import HostAddress
from towline.errors import ConfigError, CredentialError, TransportError
from towline.http.client import Transport
from towline.http.messages import HttpRequest
from towline.literals import load_json
from towline.printable import words
from towline.record import frozen
from towline.retry import backoff
from towline.secret import Login

_LARGEST_ANSWER = 1024 * 1024
_TRIES = 4
_FOLDER = re.compile(r"(/job/[^/]+)+/?\Z")
_KIND = "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl"
# Jenkins writes XML 1.1, which the parser does not know by name
_DECLARATION = re.compile(rb"\A\s*<\?xml[^>]*\?>")


class JenkinsUnreachable(CredentialError):
    """Jenkins could not be reached, or could not answer."""

    category = "infrastructure"
    usual_hint = "check jenkinsUrl and the network, and run the step again"


class UpdateUnconfirmed(JenkinsUnreachable):
    """It is unknown whether Jenkins has stored the secret."""


@frozen
class CredentialAddress:
    """A credential by its id in a domain of Jenkins' own store, or of a folder's store.

    The store is the folder's if the URL leads to a folder (`.../job/NAME`).
    """

    url: str
    domain: str
    id: str

    @property
    def root(self) -> str:
        """The URL of Jenkins itself."""
        return _FOLDER.sub("", self.url.rstrip("/"))

    @property
    def address(self) -> str:
        """The URL of the credential's XML."""
        store = "folder" if _FOLDER.search(self.url) else "system"
        domain, name = quote(self.domain, safe=""), quote(self.id, safe="")
        base = f"{self.url.rstrip('/')}/credentials/store/{store}"
        return f"{base}/domain/{domain}/credential/{name}/config.xml"


def jenkins_place(url: str) -> HostAddress:
    """The address of a Jenkins; raises ConfigError if the URL cannot be a Jenkins."""
    parts, valid = urlsplit(""), False
    with suppress(ValueError):
        parts = urlsplit(url if re.fullmatch(r"[\x21-\x7e]+", url) else "")
        valid = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not any(("@" in parts.netloc, parts.query, parts.fragment))
        )
    if not valid:
        raise ConfigError(
            "this is not the URL of a Jenkins",
            hint="expected https://host[:port][/path][/job/FOLDER], without a user",
        )
    return HostAddress(scheme=parts.scheme.lower(), host=parts.netloc.lower())


class CredentialStore:
    """One credential in its Jenkins, used with a login.

    `may_hold`: the secret was sent to Jenkins, and Jenkins has not certainly refused it.
    """

    def __init__(self, slot: CredentialAddress, login: Login, transport: Transport) -> None:
        self.slot = slot
        self.host = urlsplit(slot.url).netloc
        self.may_hold = False
        self._login, self._transport = login, transport
        basic = b64encode(f"{login.username}:{login.password}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {basic}",
            "Accept": "*/*",
            "User-Agent": "towline",
        }

    def check(self) -> None:
        """Check that the credential exists, is a secret text and may be read.

        Raises CredentialError, JenkinsUnreachable and ConfigError.
        """
        self._read()

    def put(self, secret: str) -> None:
        """Give the credential this secret, and change nothing else of it.

        Raises as `check` does if Jenkins has certainly not stored it, and UpdateUnconfirmed if that
        is unknown.
        """
        data = self._with(self._read(), secret)
        headers = {**self._headers, **self._crumb(), "Content-Type": "application/xml"}
        self._send(HttpRequest(method="POST", url=self.slot.address, headers=headers, body=data))
        try:
            self._read()
        except (CredentialError, ConfigError) as fault:
            raise self._not_known(f"it confirmed the update, but now {fault.message}") from fault

    def _read(self) -> ET.Element:
        status, data, _ = self._ask(
            HttpRequest(method="GET", url=self.slot.address, headers=self._headers)
        )
        if not 200 <= status < 300:
            self._refuse(status, "read")
        found = _parsed(data)
        if found is None or found.tag != _KIND or found.findtext("id") != self.slot.id:
            problem = (
                "is not a secret text"
                if found is not None and found.findtext("id") == self.slot.id
                else "has another id, or the answer is not Jenkins'"
            )
            raise ConfigError(
                f"the credential {self.slot.id!r} of Jenkins at {self.host} {problem}",
                where=self.slot.address,
                hint=(
                    "name a credential of the kind secret text; check jenkinsUrl and"
                    " jenkinsCredentialDomain"
                ),
            )
        return found

    def _with(self, found: ET.Element, secret: str) -> bytes:
        """The credential's XML with another secret."""
        for old in found.findall("secret"):
            found.remove(old)
        ET.SubElement(found, "secret").text = secret
        # other letters as references: Jenkins may read them as Latin-1
        return bytes(ET.tostring(found, encoding="us-ascii"))

    def _crumb(self) -> Mapping[str, str]:
        """The header by which Jenkins recognises a POST that no browser was tricked into sending.

        Empty if Jenkins does not require one, as with API tokens.
        """
        status, data, cookies = self._ask(
            HttpRequest(
                method="GET", url=f"{self.slot.root}/crumbIssuer/api/json", headers=self._headers
            )
        )
        try:
            answer = load_json(data) if status == 200 else {}
            name, crumb = str(answer["crumbRequestField"]), str(answer["crumb"])
        except (ValueError, KeyError, TypeError):
            return {}
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not re.fullmatch(r"[\x21-\x7e]+", crumb):
            return {}
        # a crumb is valid within one session
        return {name: crumb, **({"Cookie": cookies} if cookies else {})}

    def _send(self, request: HttpRequest) -> None:
        """Send until Jenkins says whether it has stored the secret.

        A repeated request does no harm, but its refusal does not prove that the first was refused.
        After 429 Jenkins has not stored it, and may do so later.
        """
        why = ""
        for attempt in range(_TRIES):
            if attempt:
                self._transport.clock.sleep(backoff(attempt, self._transport.clock))
            self.may_hold = True
            try:
                status, _, _ = self._ask(request)
            except JenkinsUnreachable as fault:
                why = fault.message
                continue
            if 200 <= status < 300:
                return
            if 400 <= status < 500 and status != 408 and not why:
                self.may_hold = False
                if status != 429:
                    self._refuse(status, "change")
            else:
                why = f"it answers with HTTP {status}"
        if why:
            raise self._not_known(why)
        self._refuse(429, "change")

    def _ask(self, request: HttpRequest) -> tuple[int, bytes, str]:
        """Status, body and cookies of the answer."""
        try:
            with self._transport.request(request) as response:
                # the transport heeds Retry-After itself only before its own retries
                self._transport.note_retry_after(request.url, response)
                cookies = "; ".join(
                    cookie.partition(";")[0].strip()
                    for cookie in response.headers.get_all("Set-Cookie", [])
                )
                return response.status, response.read_capped(_LARGEST_ANSWER), cookies
        except TransportError as fault:
            raise JenkinsUnreachable(
                f"Jenkins at {self.host} cannot be reached: {fault}", where=self.slot.url
            ) from fault

    def _refuse(self, status: int, action: str) -> NoReturn:
        """Raise the error for a status."""
        refusal = (
            f"Jenkins at {self.host} does not let {self._login.username!r} {action} the credential"
            f" {self.slot.id!r} (HTTP {status})"
        )
        if status == 404:
            problem = (
                f"has no credential {self.slot.id!r} in the domain {self.slot.domain!r}, or"
                f" {self._login.username!r} may not see it"
            )
            raise ConfigError(
                f"Jenkins at {self.host} {problem}",
                where=self.slot.address,
                hint=(
                    "check the id, jenkinsCredentialDomain, and that jenkinsUrl leads to the folder"
                    " that holds it"
                ),
            )
        if status in (408, 429):
            raise JenkinsUnreachable(
                f"Jenkins at {self.host} accepts no request for now (HTTP {status})",
                where=self.slot.url,
            )
        if status >= 500:
            raise JenkinsUnreachable(
                f"Jenkins at {self.host} cannot answer (HTTP {status})", where=self.slot.url
            )
        if 300 <= status < 400:
            raise CredentialError(
                f"Jenkins at {self.host} redirects the request, and a login does not follow"
                " redirects",
                where=self.slot.url,
                hint=(
                    "give the URL at which Jenkins itself answers, and an API token in jenkinsToken"
                ),
            )
        raise CredentialError(
            refusal,
            where=self._login.origin,
            hint=(
                "the user needs the permissions Credentials/View and Credentials/Update, and an API"
                " token"
            ),
        )

    def _not_known(self, why: str) -> UpdateUnconfirmed:
        return UpdateUnconfirmed(
            f"it is unknown whether Jenkins at {self.host} has stored the new secret:"
            f" {words(why, 300)}",
            where=self.slot.address,
        )


def _parsed(data: bytes) -> ET.Element | None:
    """The XML element, or None for invalid XML and for XML with declarations."""
    try:
        # without declarations there is nothing to expand
        return None if b"<!" in data else ET.fromstring(_DECLARATION.sub(b"", data))  # noqa: S314
    except ET.ParseError:
        return None
