"""Vault as a step has it: a client with what it says, and the logins that tests use."""

from __future__ import annotations

import io

from tests.fakes.clock import FakeClock
from towline.console import Console
from towline.vault.client import Vault
from towline.vault.logins import APP_ROLE, TOKEN, VaultLogin


class Heard:
    """A Vault as a step has it, with the warnings that it gave."""

    def __init__(self, url: str, login: VaultLogin) -> None:
        self._log = io.StringIO()
        self.console = Console(self._log)
        self.vault = Vault(url, login, console=self.console, clock=FakeClock().clock)

    @property
    def warnings(self) -> list[str]:
        """The lines that were said."""
        return self._log.getvalue().splitlines()

    def reads(self, *paths: str) -> list[dict[str, str]]:
        """The secrets at these paths, between log-in and log-out."""
        with self.vault as vault:
            found = [dict(vault.read(path)) for path in paths]
            vault.confirm()
        return found


def token(value: str) -> VaultLogin:
    """A token that was given to us."""
    return VaultLogin(method=TOKEN, proof=lambda: value, origin="PIPER_vaultToken")


def role(ids: tuple[str, str], namespace: str = "") -> VaultLogin:
    """The login of an AppRole: its role id and a secret id."""
    return VaultLogin(method=APP_ROLE, role=ids[0], proof=lambda: ids[1], mount="approle", namespace=namespace,
                      origin="PIPER_vaultAppRoleID and PIPER_vaultAppRoleSecretID")
