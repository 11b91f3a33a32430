"""Jenkins' own store of credentials: one secret text there is read and gets another secret (user guide of its credentials plugin, "REST API").

What it holds nobody can read: that it has taken a secret is known by its answer, and by the
credential being there afterwards as before.
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

_BODY = 1024 * 1024
_TRIES = 4
_FOLDER = re.compile(r"(/job/[^/]+)+/?\Z")
_KIND = "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl"
# Jenkins writes XML 1.1, which the parser does not know by name
_DECLARATION = re.compile(rb"\A\s*<\?xml[^>]*\?>")


class JenkinsUnreachable(CredentialError):
    """A Jenkins that could not be reached, or could not answer."""

    category = "infrastructure"
    usual_hint = "check jenkinsUrl and the network, and run the step again"


class UpdateUnconfirmed(JenkinsUnreachable):
    """Nobody knows whether Jenkins has taken the secret."""


@frozen
class CredentialAddress:
    """A credential by its id in a domain of Jenkins' own store, or of a folder's where the URL leads to one (`.../job/NAME`)."""

    url: str
    domain: str
    id: str

    @property
    def root(self) -> str:
        """Jenkins itself."""
        return _FOLDER.sub("", self.url.rstrip("/"))

    @property
    def address(self) -> str:
        """The credential as a file of XML."""
        store = "folder" if _FOLDER.search(self.url) else "system"
        return f"{self.url.rstrip('/')}/credentials/store/{store}/domain/{quote(self.domain, safe='')}/credential/{quote(self.id, safe='')}/config.xml"


def jenkins_place(url: str) -> HostAddress:
    """Where a Jenkins is; raises ConfigError for a URL that is none of one."""
    parts, good = urlsplit(""), False
    with suppress(ValueError):
        parts = urlsplit(url if re.fullmatch(r"[\x21-\x7e]+", url) else "")
        good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not any(("@" in parts.netloc, parts.query, parts.fragment))
        )
    if not good:
        raise ConfigError(
            "this is no URL of a Jenkins",
            hint="expected https://host[:port][/path][/job/FOLDER], without a user",
        )
    return HostAddress(scheme=parts.scheme.lower(), host=parts.netloc.lower())


class CredentialStore:
    """The slot in its Jenkins, spoken to as the user of the login; `may_hold`: the secret was sent there, and has not been refused for certain."""

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
        """Pass where the credential is there, is a secret text, and may be read; raises CredentialError, JenkinsUnreachable and ConfigError."""
        self._read()

    def put(self, secret: str) -> None:
        """Give the credential this secret and leave all else of it as it is.

        Raises as `check` does where Jenkins has not taken it for certain, and UpdateUnconfirmed where nobody
        knows.
        """
        data = self._with(self._read(), secret)
        headers = {**self._headers, **self._crumb(), "Content-Type": "application/xml"}
        self._send(HttpRequest(method="POST", url=self.slot.address, headers=headers, body=data))
        try:
            self._read()
        except (CredentialError, ConfigError) as fault:
            raise self._not_known(f"it said so, and now {fault.message}") from fault

    def _read(self) -> ET.Element:
        status, data, _ = self._ask(
            HttpRequest(method="GET", url=self.slot.address, headers=self._headers)
        )
        if not 200 <= status < 300:
            self._refuse(status, "read")
        found = _parsed(data)
        if found is None or found.tag != _KIND or found.findtext("id") != self.slot.id:
            what = (
                "is no secret text"
                if found is not None and found.findtext("id") == self.slot.id
                else "is not what Jenkins answers with"
            )
            raise ConfigError(
                f"the credential {self.slot.id!r} of Jenkins at {self.host} {what}",
                where=self.slot.address,
                hint=(
                    "name a credential of the kind secret text; check jenkinsUrl and"
                    " jenkinsCredentialDomain"
                ),
            )
        return found

    def _with(self, found: ET.Element, secret: str) -> bytes:
        """The credential with another secret in it."""
        for old in found.findall("secret"):
            found.remove(old)
        ET.SubElement(found, "secret").text = secret
        # other letters as references: Jenkins may take them for Latin ones
        return bytes(ET.tostring(found, encoding="us-ascii"))

    def _crumb(self) -> Mapping[str, str]:
        """What Jenkins wants with a POST to know that it is no browser's that was led here; nothing where it does not ask for it, as with API tokens."""
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
        # it counts within one session
        return {name: crumb, **({"Cookie": cookies} if cookies else {})}

    def _send(self, request: HttpRequest) -> None:
        """Until Jenkins says that it has taken it, or has not: the same once more does no harm, but may not hide that the first was taken.

        With 429 it has not, and may take it later.
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
                # it does so itself only where it asks again
                self._transport.heed(request.url, response)
                cookies = "; ".join(
                    one.partition(";")[0].strip()
                    for one in response.headers.get_all("Set-Cookie", [])
                )
                return response.status, response.read_capped(_BODY), cookies
        except TransportError as fault:
            raise JenkinsUnreachable(
                f"Jenkins at {self.host} cannot be reached: {fault}", where=self.slot.url
            ) from fault

    def _refuse(self, status: int, what: str) -> NoReturn:
        """Raise what the status of an answer means."""
        said = (
            f"Jenkins at {self.host} does not let {self._login.username!r} {what} the credential"
            f" {self.slot.id!r} (HTTP {status})"
        )
        if status == 404:
            what = (
                f"has no credential {self.slot.id!r} in the domain {self.slot.domain!r}, or"
                f" {self._login.username!r} may not see it"
            )
            raise ConfigError(
                f"Jenkins at {self.host} {what}",
                where=self.slot.address,
                hint=(
                    "check the id, jenkinsCredentialDomain, and that jenkinsUrl leads to the folder"
                    " that holds it"
                ),
            )
        if status in (408, 429):
            raise JenkinsUnreachable(
                f"Jenkins at {self.host} has taken no request for now (HTTP {status})",
                where=self.slot.url,
            )
        if status >= 500:
            raise JenkinsUnreachable(
                f"Jenkins at {self.host} cannot answer (HTTP {status})", where=self.slot.url
            )
        if 300 <= status < 400:
            raise CredentialError(
                f"Jenkins at {self.host} sends the request to another place, and a login does not"
                " follow",
                where=self.slot.url,
                hint=(
                    "give the URL that Jenkins itself answers at, and an API token for jenkinsToken"
                ),
            )
        raise CredentialError(
            said,
            where=self._login.origin,
            hint=(
                "the user needs the permissions Credentials/View and Credentials/Update, and an API"
                " token"
            ),
        )

    def _not_known(self, why: str) -> UpdateUnconfirmed:
        return UpdateUnconfirmed(
            f"nobody knows whether Jenkins at {self.host} has taken the new secret:"
            f" {words(why, 300)}",
            where=self.slot.address,
        )


def _parsed(data: bytes) -> ET.Element | None:
    """The element, None for what is no XML, or XML that declares what it is made of."""
    try:
        return None if b"<!" in data else ET.fromstring(_DECLARATION.sub(b"", data))  # noqa: S314 - without declarations there is nothing to expand
    except ET.ParseError:
        return None
