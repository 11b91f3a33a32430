"""The part of a Kubernetes API server that Vault's login uses.

It issues tokens of service accounts and reviews them (authentication.k8s.io/v1).
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from tests.fakes.json_web_tokens import Issuer, claims_of
from tests.fakes.serve import Answer, LoopbackServer, Request

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_HEAD = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}


class KubernetesServer(LoopbackServer):
    """Knows the tokens that it has issued, until they expire or their account is removed.

    Only `reviewer` may request reviews.
    """

    audience = "https://kubernetes.default.svc"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._issuer = Issuer(folder, "https://kubernetes.default.svc.cluster.local")
        self._accounts: dict[str, str] = {}
        self._issued: dict[str, str] = {}
        self.reviewer = self.token("vault", "token-reviewer")

    def token(self, namespace: str, name: str, *, lives: float = 600.0, audience: str = "") -> str:
        """A token of a pod with this service account, which exists from now on."""
        user = f"system:serviceaccount:{namespace}:{name}"
        uid = self._accounts.setdefault(user, str(uuid.uuid4()))
        account = {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": uid},
            "pod": {"name": "agent-1", "uid": str(uuid.uuid4())},
        }
        token = self._issuer.token(
            lives=lives, sub=user, aud=[audience or self.audience], **{"kubernetes.io": account}
        )
        self._issued[token] = user
        return token

    def remove(self, namespace: str, name: str) -> None:
        """Remove a service account: its tokens become invalid."""
        del self._accounts[f"system:serviceaccount:{namespace}:{name}"]

    def answer(self, request: Request) -> Answer:
        """The review of a token, if the caller may request it."""
        if (request.method, request.path) != ("POST", _REVIEWS):
            return _answer(404, {"kind": "Status", "code": 404})
        if (
            self._user(
                request.headers.get("authorization", "").removeprefix("Bearer "), [self.audience]
            )
            is None
        ):
            return _answer(401, {"kind": "Status", "code": 401, "message": "Unauthorized"})
        review = json.loads(request.body)
        spec = review["spec"]
        wanted = spec.get("audiences") or [self.audience]
        return _answer(201, {**_HEAD, "spec": spec, "status": self._status(spec["token"], wanted)})

    def _status(self, token: str, wanted: list[str]) -> dict[str, Any]:
        user = self._user(token, wanted)
        if user is None:
            return {"authenticated": False, "error": "[invalid bearer token, token lookup failed]"}
        groups = [
            "system:serviceaccounts",
            f"system:serviceaccounts:{user.split(':')[2]}",
            "system:authenticated",
        ]
        return {
            "authenticated": True,
            "user": {"username": user, "uid": self._accounts[user], "groups": groups},
            "audiences": wanted,
        }

    def _user(self, token: str, wanted: list[str]) -> str | None:
        user = self._issued.get(token, "")
        if user not in self._accounts:
            return None
        claims: dict[str, Any] = claims_of(token)
        return user if claims["exp"] > time.time() and set(claims["aud"]) & set(wanted) else None


def _answer(status: int, data: object) -> Answer:
    return Answer(
        status=status, headers={"Content-Type": "application/json"}, body=json.dumps(data).encode()
    )
