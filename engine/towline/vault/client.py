"""Vault by hvac, over the engine's own transport: log in, read secrets, log out; loaded only for a step that asks Vault.

hvac knows the protocol; connections, retries, deadlines and caps are the transport's, so that no login follows a redirect, and nothing of the user's own
(`~/.vault-token`, `~/.netrc`, VAULT_*) is ever sent.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import hvac
from hvac.exceptions import InvalidPath, VaultError

from towline.connections import Network
from towline.console import Console
from towline.errors import CredentialError
from towline.retry import Clock
from towline.shown import words
from towline.vault.logins import TOKEN, VaultLogin, method_of
from towline.vault.session import Session
from towline.written import WrittenFloat, WrittenInteger


class Vault:
    """A server to read secrets from, between log-in and log-out; a token that was given to us stays valid at the end."""

    def __init__(
        self, url: str, login: VaultLogin, *, console: Console, network: Network | None = None, clock: Clock | None = None,
    ) -> None:
        self.host = urlsplit(url).netloc
        self._login, self._method = login, method_of(login)
        self._console = console
        self._session = Session(self.host, network=network or Network(), clock=clock or Clock(), hide=console.hide)
        self._client: Any = hvac.Client(url=url, token="", namespace=login.namespace or None, session=self._session)
        self._mounts: dict[str, bool] = {}
        self._refused = self._answered = self._ours = False

    def __enter__(self) -> Self:
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
            self._console.warn(f"Vault at {self.host} does not let {self._login.origin} read {path}{_said(fault)}")
            return {}
        self._answered = True
        return {field: _text(value) for field, value in data.items() if value is not None}

    def confirm(self) -> None:
        """Raises CredentialError where everything was refused because Vault does not know the token."""
        if self._answered or not self._refused or self._login.method != TOKEN:
            return
        try:
            with self._spoken():
                self._client.auth.token.lookup_self()
        except VaultError as fault:
            raise self._fault(f"does not know the token{_said(fault)}", hint=f"set {self._login.origin} to a token that is still valid") from None

    def _log_in(self) -> None:
        login, name = self._login, self._method.name
        proof = login.proof()
        self._console.hide(proof)
        try:
            with self._spoken():
                answer = self._method.enter(self._client, login, proof)
                # a batch token cannot be revoked; it ends by itself, soon
                self._ours = login.method != TOKEN and answer["auth"].get("token_type") != "batch"
        except InvalidPath as fault:
            hint = f"check vaultServerUrl and vaultNamespace: {login.origin} are for auth/{login.mount}"
            raise self._fault(f"has no {name} login{_said(fault)}", hint=hint) from None
        except VaultError as fault:
            raise self._fault(f"refuses the {name} login{_said(fault)}", hint=f"check {login.origin}: they expire, and each server has its own") from None

    def _log_out(self) -> None:
        """Revoke the token that the login gave, never one that was given to us: its owner may need it on."""
        if not self._ours:
            return
        self._ours = False
        try:
            with self._spoken():
                self._client.auth.token.revoke_self()
        except (VaultError, CredentialError) as fault:
            self._console.warn(f"Vault at {self.host} did not take back the token of the {self._method.name} login, "
                               f"which ends by itself later ({type(fault).__name__})")

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


def _text(value: object) -> str:
    """A secret's field as text: a number as it is written, what is no text as JSON."""
    if isinstance(value, str | WrittenFloat | WrittenInteger):
        return value if isinstance(value, str) else value.text
    return json.dumps(value, ensure_ascii=False)


def _said(fault: Exception) -> str:
    """Vault's own words, as far as they are fit for a line."""
    text = words(str(fault.args[0] if fault.args else "") or "", 200)
    return f": {text}" if text else ""
