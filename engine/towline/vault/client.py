"""Vault's secrets by hvac over the engine's own transport; loaded only for steps that ask Vault.

hvac implements the protocol; the transport brings connections, retries, deadlines and caps. So no
login follows a redirect, and the user's own settings (`~/.vault-token`, `~/.netrc`, VAULT_*) are
never sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultError

from towline.console import Console
from towline.errors import VaultUnreachable
from towline.http.connection import Network
from towline.literals import WrittenFloat, WrittenInteger
from towline.retry import Clock
from towline.vault.logins import TOKEN, VaultLogin
from towline.vault.session import VaultAccess, vault_message


class Vault:
    """A Vault server to read secrets from, between log-in and log-out."""

    def __init__(
        self,
        url: str,
        login: VaultLogin,
        *,
        console: Console,
        network: Network | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._access = VaultAccess(url, login, console=console, network=network, clock=clock)
        self._client, self._login, self._warn = self._access.client, login, console.warn
        self.host = self._access.host
        self._mounts: dict[str, bool] = {}
        self._refused, self._answered = False, ""

    def __enter__(self) -> Self:
        self._access.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._access.__exit__(kind, fault, trace)

    def read(self, path: str) -> Mapping[str, str]:
        """The fields of the secret at `path`: texts as they are, other values as JSON, no nulls.

        Empty if the secret does not exist, or may not be read (with a warning). Raises
        VaultUnreachable, CredentialError.
        """
        data = self._data_or_warning(path)
        if data is None:
            return {}
        self._answered = path
        self._access.note_success()
        return {field: _text(value) for field, value in data.items() if value is not None}

    def confirm(self) -> None:
        """Raise CredentialError if every read was refused because Vault does not know the token."""
        if (
            self._refused
            and not self._answered
            and self._login.method == TOKEN
            and not self._access.knows_token()
        ):
            raise self._access.fault(
                "does not know the token",
                hint=f"set {self._login.origin} to a token that is still valid",
            )

    def _data_or_warning(self, path: str) -> Mapping[str, object] | None:
        """The data of a secret, or None with a warning if it may not be read."""
        while True:
            try:
                return self._access.ask(lambda: self._read_when_ready(path))
            except VaultError as fault:
                if not isinstance(fault, Forbidden) or not self._token_replaced():
                    self._refused = True
                    self._warn(
                        f"Vault at {self.host} does not let {self._login.origin} read"
                        f" {path}{vault_message(fault)}"
                    )
                    return None

    def _read_when_ready(self, path: str) -> Mapping[str, object]:
        """The data of a secret, empty if it does not exist.

        A store that is being set up, or upgraded to its second version, refuses requests (HTTP 400)
        for a moment. Raises VaultError if the secret may not be read, CredentialError,
        VaultUnreachable.
        """
        refused: VaultError = InvalidRequest()
        for _ in self._access.poll_attempts():
            try:
                with self._access.shape_checked():
                    return self._read(path)
            except InvalidPath:
                return {}
            except InvalidRequest as fault:
                refused = fault
        raise VaultUnreachable(
            f"Vault at {self.host} cannot read {path}{vault_message(refused)}", where=self.host
        )

    def _token_replaced(self) -> bool:
        """Whether Vault has forgotten the token, and a new login has replaced it.

        False if Vault refused the path. Raises CredentialError if there can be no new token.
        """
        if self._access.knows_token() or self._still_reads():
            return False
        if self._login.method == TOKEN and self._answered:
            raise self._access.fault(
                "does not know the token any more, which read secrets before",
                hint=(
                    f"set {self._login.origin} to a token that lives longer, and run the step again"
                ),
            )
        return self._access.log_in_again()

    def _still_reads(self) -> bool:
        """Whether a secret that was read before can still be read.

        If so, the token is valid, although its policies may not let it look itself up.
        """
        try:
            return bool(self._answered) and self._read_when_ready(self._answered) is not None
        except VaultError:
            return False

    # ---- one secret

    def _read(self, path: str) -> Mapping[str, object]:
        mount, is_version_2 = self._mount(path)
        below = path.removeprefix(mount).strip("/")
        if is_version_2:
            answer = self._client.secrets.kv.v2.read_secret_version(
                below, mount_point=mount.strip("/"), raise_on_deleted_version=True
            )
        else:
            answer = self._client.secrets.kv.v1.read_secret(below, mount_point=mount.strip("/"))
        data = _data(answer)
        return _map(data.get("data")) if is_version_2 else data

    def _mount(self, path: str) -> tuple[str, bool]:
        """The mount of `path` with its slash, and whether it is a KV store of version 2.

        Vault is asked once for each mount.
        """
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
    """A field as text: a number as it is written, other values as JSON."""
    if isinstance(value, str | WrittenFloat | WrittenInteger):
        return value if isinstance(value, str) else value.text
    return json.dumps(value, ensure_ascii=False)
