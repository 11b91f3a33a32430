"""Vault by hvac, over the engine's own transport: log in, read secrets, log out; loaded only for a step that asks Vault.

hvac knows the protocol; connections, retries, deadlines and caps are the transport's, so that no login follows a redirect, and nothing of the user's own
(`~/.vault-token`, `~/.netrc`, VAULT_*) is ever sent.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import hvac
from hvac.exceptions import InvalidPath, VaultError

from towline.console import Console
from towline.errors import CredentialError, TransportError, VaultUnreachable
from towline.exchange import HttpRequest
from towline.files import write_whole
from towline.private_folder import PrivateFolder
from towline.retry import Clock, Deadline
from towline.secret import Login
from towline.shown import words
from towline.transport import Transport
from towline.written import WrittenFloat, WrittenInteger, from_json

_BODY = 8 * 1024 * 1024
_SECONDS = 180.0


class Vault:
    """A server to read secrets from, between log-in and log-out.

    `login` is an AppRole's role id and secret id as user and password; with an empty user its password is a token, which stays valid at the end.
    """

    def __init__(self, url: str, login: Login, *, namespace: str, console: Console, clock: Clock | None = None) -> None:
        self.host = urlsplit(url).netloc
        self._login = login
        self._warn = console.warn
        self._session = _Session(self.host, clock or Clock(), console.hide)
        self._client: Any = hvac.Client(url=url, token=login.password if not login.username else "", namespace=namespace or None, session=self._session)
        self._mounts: dict[str, bool] = {}
        self._refused = self._answered = self._ours = False

    def __enter__(self) -> Self:
        if self._login.username:
            try:
                self._log_in()
            except BaseException:
                self._session.close()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._log_out()
        finally:
            self._session.close()

    def read(self, path: str) -> Mapping[str, str]:
        """The fields of the secret at `path` that have a text, other values as JSON; empty where there is none, or it may not be read, with a warning.

        Raises VaultUnreachable, CredentialError.
        """
        try:
            with self._spoken():
                data = self._read(path)
        except InvalidPath:
            data = {}
        except VaultError as fault:
            self._refused = True
            self._warn(f"Vault at {self.host} does not let {self._login.origin} read {path}{_said(fault)}")
            return {}
        self._answered = True
        return {field: _text(value) for field, value in data.items() if value is not None}

    def confirm(self) -> None:
        """Raises CredentialError where everything was refused because Vault does not know the token."""
        if self._answered or not self._refused or self._login.username:
            return
        try:
            with self._spoken():
                self._client.auth.token.lookup_self()
        except VaultError as fault:
            raise self._fault(f"does not know the token{_said(fault)}", hint=f"set {self._login.origin} to a token that is still valid") from None

    def _log_in(self) -> None:
        names = self._login.origin
        try:
            with self._spoken():
                answer = self._client.auth.approle.login(role_id=self._login.username, secret_id=self._login.password)
                self._ours = answer["auth"].get("token_type") != "batch"  # such a token cannot be revoked; it ends by itself, soon
        except InvalidPath as fault:
            raise self._fault(f"has no AppRole login{_said(fault)}", hint=f"check vaultServerUrl and vaultNamespace: {names} are for auth/approle") from None
        except VaultError as fault:
            raise self._fault(f"refuses the AppRole login{_said(fault)}", hint=f"check {names}: they expire, and each server has its own") from None

    def _log_out(self) -> None:
        """Revoke the token that the login gave, never one that was given to us: its owner may need it on."""
        if not self._ours:
            return
        self._ours = False
        try:
            with self._spoken():
                self._client.auth.token.revoke_self()
        except (VaultError, CredentialError) as fault:
            self._warn(f"Vault at {self.host} did not take back the token of the AppRole login, which ends by itself later ({type(fault).__name__})")

    @contextlib.contextmanager
    def _spoken(self) -> Iterator[None]:
        """For hvac, which takes the shape of an answer for granted: another one is no answer of Vault's."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as fault:
            raise self._fault("does not answer as Vault does", hint="check vaultServerUrl") from fault

    def _fault(self, what: str, *, hint: str) -> CredentialError:
        return CredentialError(f"Vault at {self.host} {what}", where=self._login.origin, hint=hint)

    # ---- one secret

    def _read(self, path: str) -> Mapping[str, object]:
        mount, second = self._mount(path)
        below = path.removeprefix(mount).strip("/")
        if second:
            answer = self._client.secrets.kv.v2.read_secret_version(below, mount_point=mount.strip("/"), raise_on_deleted_version=True)
        else:
            answer = self._client.secrets.kv.v1.read_secret(below, mount_point=mount.strip("/"))
        data = _data(answer)
        return _map(data.get("data")) if second else data

    def _mount(self, path: str) -> tuple[str, bool]:
        """The mount that holds `path`, with its slash, and whether it is of the second version; asked once for each mount."""
        known = next((mount for mount in self._mounts if f"{path}/".startswith(mount)), None)
        if known is None:
            data = _data(self._client.adapter.get(f"/v1/sys/internal/ui/mounts/{quote(path)}"))
            known = str(data.get("path") or "").strip("/") + "/"
            if not f"{path}/".startswith(known):
                raise InvalidPath(errors=["the mount is not known"])
            self._mounts[known] = _map(data.get("options")).get("version") == "2"
        return known, self._mounts[known]


def _data(answer: Any) -> Mapping[str, Any]:
    return _map(answer.get("data")) if isinstance(answer, dict) else {}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _said(fault: Exception) -> str:
    """Vault's own words, as far as they are fit for a line."""
    text = words(str(fault.args[0] if fault.args else "") or "", 200)
    return f": {text}" if text else ""


# ---- what hvac sends its requests by


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """As much of `requests.Response` as hvac looks at."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        try:
            return from_json(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def _text(value: object) -> str:
    """A secret's field as text: a number as it is written, what is no text as JSON."""
    if isinstance(value, str | WrittenFloat | WrittenInteger):
        return value if isinstance(value, str) else value.text
    return json.dumps(value, ensure_ascii=False)


class _Session:
    """As much of `requests.Session` as hvac calls, over the engine's transport; raises VaultUnreachable, and CredentialError for a redirect."""

    verify = cert = proxies = None

    def __init__(self, host: str, clock: Clock, hide: Callable[[str], None]) -> None:
        self.host = host
        self._transport = Transport(clock=clock, read=30.0, hide=hide)
        self._deadline = Deadline.after(_SECONDS, clock)

    def request(self, *, method: str, url: str, headers: Mapping[str, str], json: Any = None, **_: object) -> _Answer:
        """Send it and give the whole answer."""
        if not self._deadline.left:
            raise self._unreachable(f"takes longer than {_SECONDS:.0f} seconds for all that is asked")
        try:
            with self._transport.request(_request(method, url, headers, json)) as response:
                answer = _Answer(status_code=response.status, headers=dict(response.headers), body=response.read_capped(_BODY))
        except TransportError as fault:
            raise self._unreachable(f"cannot be reached: {fault}") from fault
        if 300 <= answer.status_code < 400:
            raise CredentialError(f"Vault at {self.host} sends the request to another place, and a login does not follow", where="vaultServerUrl",
                                  hint="name the server that answers by itself, or let the standby forward requests")
        if answer.status_code >= 500 or answer.status_code == 429:
            raise self._unreachable(f"cannot answer: it is sealed, down, or too busy (HTTP {answer.status_code})")
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _unreachable(self, what: str) -> VaultUnreachable:
        return VaultUnreachable(f"Vault at {self.host} {what}", where=self.host)


def _request(method: str, url: str, headers: Mapping[str, str], data: Any) -> HttpRequest:
    body = b"" if data is None else json.dumps(data).encode()
    # A log-in may be sent twice: at worst that leaves a token which ends by itself.
    return HttpRequest(method=method.upper(), url=url, headers={**headers, "Content-Type": "application/json"} if body else headers, body=body,
                       repeatable=url.endswith("/login"))


# ---- secrets that are files


@contextlib.contextmanager
def secret_files(contents: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """The path of a file for each text, by the same name, that nobody else can read; gone when the block ends, however it does. Raises MachineError."""
    with contextlib.closing(PrivateFolder(environ, secret=True)) as folder:
        paths = {parameter: folder.path / parameter for parameter in contents}
        for parameter, path in paths.items():
            write_whole(path, contents[parameter].encode(), mode=0o600)
        yield {parameter: str(path) for parameter, path in paths.items()}
