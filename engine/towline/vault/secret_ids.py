"""Rotation of an AppRole's secret ids: look one up, generate another, destroy an old one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from hvac.exceptions import VaultError

from towline.record import field, frozen
from towline.vault.session import VaultAccess, vault_message

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


@frozen
class SecretId:
    """A secret id of `role`: creation, expiration (None: never), and its bindings in Vault."""

    role: str
    made: datetime
    ends: datetime | None
    bindings: Mapping[str, Any] = field(default_factory=dict)


@frozen
class NewSecretId:
    """A generated secret id, and the accessor by which it can be destroyed."""

    secret: str = field(repr=False)
    accessor: str


class SecretIds:
    """The secret ids of the AppRole that `access` is logged in as.

    Raises CredentialError (with the capability that its policy lacks) and VaultUnreachable.
    """

    def __init__(self, access: VaultAccess) -> None:
        self._access = access
        self._mount = access.login.mount
        self._approle = access.client.auth.approle

    def lookup(self, secret: str) -> SecretId:
        """The role, the times and the bindings of a secret id, as Vault has them."""
        with self._asked("look up its own role name", "auth/token/lookup-self", "read"):
            role = str(
                self._access.ask(self._access.client.auth.token.lookup_self)["data"]["meta"][
                    "role_name"
                ]
            )
        with self._asked(
            "look up its own secret id",
            f"auth/{self._mount}/role/{role}/secret-id/lookup",
            "update",
        ):
            found = self._approle.read_secret_id(role, secret, mount_point=self._mount)
            if not isinstance(found, dict):  # an answer without content
                raise self._access.fault(
                    "does not know the secret id any more",
                    hint="it may have been used as often as it may be (secret_id_num_uses)",
                )
            answer = found["data"]
            made, ends = _time(answer["creation_time"]), _time(answer["expiration_time"])
            bindings = {
                name: answer[name]
                for name in ("metadata", "cidr_list", "token_bound_cidrs")
                if answer.get(name)
            }
        return SecretId(
            role=role, made=made, ends=ends if ends.year > 1 else None, bindings=bindings
        )

    def generate(self, like: SecretId) -> NewSecretId:
        """Generate a secret id with the bindings of another one."""
        with self._asked(
            "make a new secret id", f"auth/{self._mount}/role/{like.role}/secret-id", "update"
        ):
            answer = self._approle.generate_secret_id(
                like.role, mount_point=self._mount, **like.bindings
            )["data"]
            return NewSecretId(
                secret=str(answer["secret_id"]), accessor=str(answer["secret_id_accessor"])
            )

    def destroy(self, role: str, accessor: str) -> None:
        """Destroy a secret id that nobody uses."""
        with self._asked(
            "destroy a secret id",
            f"auth/{self._mount}/role/{role}/secret-id-accessor/destroy",
            "update",
        ):
            self._approle.destroy_secret_id_accessor(role, accessor, mount_point=self._mount)

    @contextlib.contextmanager
    def _asked(self, action: str, path: str, capability: str) -> Iterator[None]:
        try:
            with self._access.shape_checked():
                yield
        except VaultError as fault:
            hint = (
                f'the policy of the AppRole needs: path "{path}" {{ capabilities ='
                f' ["{capability}"] }}'
            )
            raise self._access.fault(
                f"does not let the AppRole {action}{vault_message(fault)}", hint=hint
            ) from None


def _time(text: object) -> datetime:
    """A time as Vault writes it, to the second; the year 1 stands for none. Raises ValueError."""
    found = _TIME.fullmatch(str(text))
    if not found:
        raise ValueError(f"not a time: {text!r}")
    return datetime.fromisoformat(found[1] + found[2].replace("Z", "+00:00"))
