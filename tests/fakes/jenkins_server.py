"""The part of Jenkins that the credentials plugin's REST API for a secret text needs.

Users, permissions, crumbs and sessions are as in Jenkins.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

from tests.fakes.serve import Answer, LoopbackServer, Request

TEXT = "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl"
LOGIN = "com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl"
_PATH = re.compile(
    r"(?P<folder>(?:/job/[^/]+)*)/credentials/store/(?P<store>system|folder)"
    r"/domain/(?P<domain>[^/]+)/credential/(?P<id>[^/]+)/config\.xml"
)


@dataclass(kw_only=True)
class Held:
    """A credential: its kind, its other fields, and the secret."""

    secret: str
    kind: str = TEXT
    description: str = "made by hand"
    scope: str = "GLOBAL"
    more: str = ""  # an element that a plugin has added


@dataclass(kw_only=True)
class User:
    """A user by password and API token, who may see and update credentials."""

    password: str
    token: str
    update: bool = True
    view: bool = True


@dataclass
class _Sessions:
    crumbs: dict[str, str] = field(default_factory=dict)


class JenkinsServer(LoopbackServer):
    """Credentials by folder (empty: Jenkins' own store), domain and id.

    `secrets` are all secrets that a credential has had.
    """

    def __init__(self) -> None:
        super().__init__()
        self.users = {
            "rotator": User(password="passw0rd-of-rotator", token="11-api-token-of-rotator")
        }
        self.held: dict[tuple[str, str, str], Held] = {}
        self.crumbs = True
        self._sessions = _Sessions()

    def secret(self, id_: str, *, domain: str = "_", folder: str = "") -> str:
        """The secret of the credential."""
        return self.held[folder, domain, id_].secret

    def answer(self, request: Request) -> Answer:
        user = self._user(request)
        if user is None:
            return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="Jenkins"'})
        if request.path == "/crumbIssuer/api/json":
            return self._crumb() if self.crumbs else Answer(status=404)
        found = _PATH.fullmatch(request.path)
        if found is None or (found["store"] == "folder") != bool(found["folder"]):
            return Answer(status=404)
        held = self.held.get((found["folder"], found["domain"], found["id"]))
        if held is None or not user.view:
            return Answer(status=404 if user.view else 403)
        if request.method == "GET":
            return Answer(
                status=200,
                headers={"Content-Type": "application/xml"},
                body=_xml(found["id"], held),
            )
        return self._update(request, user, held)

    def _update(self, request: Request, user: User, held: Held) -> Answer:
        if self.crumbs and not self._by_token(request) and not self._has_crumb(request):
            return Answer(status=403, body=b"No valid crumb was included in the request")
        if not user.update:
            return Answer(status=403)
        # as a servlet reads a body without a declared encoding
        element = ET.fromstring(request.body.decode("latin-1"))
        if element.tag != held.kind:
            return Answer(status=500, body=b"A problem occurred while processing the request.")
        inner = element.find("secret")
        if inner is None or len(inner):
            return Answer(status=500)  # a redacted value is not a secret
        held.secret, held.description, held.scope = (
            inner.text or "",
            element.findtext("description") or "",
            element.findtext("scope") or "",
        )
        held.more = element.findtext("more") or ""
        return Answer(status=200)

    def _user(self, request: Request) -> User | None:
        name, _, password = _basic(request.headers)
        user = self.users.get(name)
        return user if user and password in (user.password, user.token) else None

    def _by_token(self, request: Request) -> bool:
        name, _, password = _basic(request.headers)
        return password == self.users[name].token

    def _crumb(self) -> Answer:
        number = len(self._sessions.crumbs)
        session, crumb = f"node0session{number}", f"{number:064x}"
        self._sessions.crumbs[session] = crumb
        body: dict[str, Any] = {
            "_class": "hudson.security.csrf.DefaultCrumbIssuer",
            "crumb": crumb,
            "crumbRequestField": "Jenkins-Crumb",
        }
        return Answer(
            status=200,
            headers={
                "Content-Type": "application/json",
                "Set-Cookie": f"JSESSIONID.abc={session}; Path=/; HttpOnly",
            },
            body=json.dumps(body).encode(),
        )

    def _has_crumb(self, request: Request) -> bool:
        """Whether the crumb belongs to the session of the request."""
        session = re.search(r"JSESSIONID\.abc=(\w+)", request.headers.get("cookie", ""))
        return session is not None and self._sessions.crumbs.get(session[1]) == request.headers.get(
            "jenkins-crumb"
        )


def _basic(headers: Mapping[str, str]) -> tuple[str, str, str]:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return b64decode(text).decode().partition(":") if scheme == "Basic" else ("", "", "")


def _xml(id_: str, held: Held) -> bytes:
    """The credential as Jenkins writes it, with the secret redacted."""
    element = ET.Element(held.kind, {"plugin": "plain-credentials@183.va_de8f1dd5a_2b_"})
    for name, text in (("scope", held.scope), ("id", id_), ("description", held.description)):
        ET.SubElement(element, name).text = text
    ET.SubElement(ET.SubElement(element, "secret"), "secret-redacted")
    if held.more:
        ET.SubElement(element, "more").text = held.more
    return b"<?xml version='1.1' encoding='UTF-8'?>\n" + ET.tostring(element)
