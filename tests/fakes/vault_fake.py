"""The part of Vault that one secret needs, with faults that a real Vault does not produce.

Other tests use the real one (vault_server.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from tests.fakes.serve import Answer, LoopbackServer, Request


class FakeVault(LoopbackServer):
    """A secret at `kv/` behind an AppRole login; answers in `strange` replace the usual ones."""

    strange: bytes | None = None
    user = '"me"'
    leader: Mapping[str, object] = MappingProxyType({})  # the answer about several servers
    auth: Mapping[str, object] = MappingProxyType({})  # more fields of the answer to the login

    def answer(self, request: Request) -> Answer:
        if self.strange is not None:
            return Answer(
                status=200, headers={"Content-Type": "application/json"}, body=self.strange
            )
        if request.path.startswith("/v1/sys/internal"):
            return self._data({"path": "kv/", "options": {"version": "2"}})
        if request.path == "/v1/sys/leader":
            return Answer(status=200, body=json.dumps(dict(self.leader)).encode())
        if request.path == "/v1/auth/approle/login":
            return Answer(
                status=200,
                body=json.dumps(
                    {"auth": {"client_token": "hvs.ours", "token_type": "service", **self.auth}}
                ).encode(),
            )
        return self._data({"data": {"user": "me"}})

    def _data(self, data: object) -> Answer:
        return Answer(
            status=200, body=json.dumps({"data": data}).replace('"me"', self.user).encode()
        )
