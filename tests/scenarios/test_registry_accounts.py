"""Staging and target on one host, each with its own account: no login goes astray.

The host is Debian's docker-registry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.images import ImageParts, make_index, put
from tests.fakes.registry import FakeRegistry
from tests.fakes.token_server import TokenServer

BUILDER, PUSHER = ("builder", "staging-pass-word"), ("pusher", "target-pass-wörd")
INDEX = make_index(size=200_000, layers=2)


class Host:
    """One registry whose `staging/` is the builder's and whose `released/` is the pusher's."""

    def __init__(self, folder: Path, registry: DockerRegistry) -> None:
        self.folder, self.registry = folder, registry
        configure(
            folder,
            f"steps:\n  imagePushToRegistry:\n    targetRegistryUrl: {registry.url}/released\n",
        )

    def push(self, password: str = PUSHER[1]) -> Ending:
        known = {
            "container/registryUrl": f"{self.registry.url}/staging",
            "container/imageNames": ["app"],
            "artifactVersion": "1.0",
            "container/repositoryUsername": BUILDER[0],
            "container/repositoryPassword": BUILDER[1],
        }
        flag = request(self.folder, step="imagePushToRegistry", pipelineEnvironment=known)
        ending = Ending(
            ["run", "imagePushToRegistry", *flag],
            self.folder,
            {"PIPER_targetRegistryUser": PUSHER[0], "PIPER_targetRegistryPassword": password},
        )
        assert not any(
            secret in ending.err + ending.out + str(ending.result)
            for secret in (BUILDER[1], PUSHER[1], password)
        )
        return ending

    def arrived(self, image: ImageParts) -> bool:
        return self.registry.manifest_digest("released/app", "1.0") == image.digest


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    """A token server: no token for the builder in `released`, none for the pusher in `staging`."""
    with TokenServer(tmp_path / "token", username=BUILDER[0], password=BUILDER[1]) as started:
        started.others, started.owners = (
            dict([PUSHER]),
            {
                "staging": BUILDER[0],
                "released": PUSHER[0],
            },
        )
        yield started


@pytest.fixture
def by_token(tmp_path: Path, workspace: Path, tokens: TokenServer) -> Iterator[Host]:
    folder = tmp_path / "registry"
    with DockerRegistry(folder) as filled:
        put(INDEX, filled.url, "staging/app", "1.0")
    with DockerRegistry(
        folder, token_realm=tokens.realm, token_certificate=tokens.certificate
    ) as registry:
        yield Host(workspace, registry)


@pytest.fixture
def by_password(tmp_path: Path) -> DockerRegistry:
    registry = DockerRegistry(tmp_path / "registry", username=BUILDER[0], password=BUILDER[1])
    registry.others = dict([PUSHER])
    with registry:
        put(INDEX, registry.url, "staging/app", "1.0", login=BUILDER)
    return registry


def test_both_accounts_of_one_host_are_known_and_the_image_arrives(
    by_password: DockerRegistry, workspace: Path
) -> None:
    with by_password:
        host = Host(workspace, by_password)
        ending = host.push()
        assert (ending.code, host.arrived(INDEX)) == (0, True), ending.err


@pytest.mark.parametrize(
    ("known", "named"),
    [
        (BUILDER, f"the target registry {{}} refuses user '{PUSHER[0]}'"),
        (PUSHER, f"the source registry {{}} refuses user '{BUILDER[0]}'"),
    ],
)
def test_where_the_host_knows_one_account_only_it_does_not_serve_for_both_sides(
    by_password: DockerRegistry,
    workspace: Path,
    known: tuple[str, str],
    named: str,
) -> None:
    (by_password.username, by_password.password), by_password.others = known, {}
    with by_password:
        host = Host(workspace, by_password)
        ending = host.push()
        assert (ending.code, host.arrived(INDEX)) == (4, False), ending.err
        assert named.format(by_password.host) in ending.message


def test_each_side_gets_a_token_for_its_own_part(by_token: Host, tokens: TokenServer) -> None:
    ending = by_token.push()
    assert (ending.code, by_token.arrived(INDEX)) == (0, True), ending.err
    assert {(account, scope.split(":")[1]) for account, scope in tokens.granted} == {
        (BUILDER[0], "staging/app"),
        (PUSHER[0], "released/app"),
    }
    assert by_token.push().result["status"] == "unchanged"


def test_an_account_that_may_not_push_is_named_and_the_other_does_not_step_in(
    by_token: Host, tokens: TokenServer
) -> None:
    tokens.owners["released"] = BUILDER[0]
    ending = by_token.push()
    assert (ending.code, by_token.arrived(INDEX)) == (4, False), ending.err
    assert f"'{PUSHER[0]}'" in ending.message
    assert (BUILDER[0], "repository:released/app:pull,push") not in tokens.granted


@pytest.mark.parametrize("kind", ["token", "password"])
def test_images_of_several_teams_are_pushed_in_one_step_each_by_its_own_account(
    tmp_path: Path, workspace: Path, kind: str
) -> None:
    """The images share layers, which no account may mount from the other's repository."""
    accounts = {"team-a": ("a-bot", "a-pass-word"), "team-b": ("b-bot", "b-pass-word")}
    with ExitStack() as stack:
        source = stack.enter_context(FakeRegistry())
        folder = tmp_path / "target"
        if kind == "token":
            tokens = stack.enter_context(
                TokenServer(tmp_path / "token", username="nobody", password="no-pass-word")
            )
            tokens.others, tokens.owners = (
                dict(accounts.values()),
                {team: user for team, (user, _) in accounts.items()},
            )
            target = stack.enter_context(
                DockerRegistry(
                    folder, token_realm=tokens.realm, token_certificate=tokens.certificate
                )
            )
        else:
            server = DockerRegistry(folder, username="nobody", password="no-pass-word")
            server.others = dict(accounts.values())
            target = stack.enter_context(server)
        for team in accounts:
            put(INDEX, source, f"{team}/app", "1.0")
        configure(
            workspace,
            f"steps:\n  imagePushToRegistry:\n    targetRegistryUrl: {target.url}\n   "
            " sourceImages: [team-a/app, team-b/app]\n",
        )
        auths = {
            f"{target.host}/{team}": {"username": user, "password": password}
            for team, (user, password) in accounts.items()
        }
        flag = request(
            workspace,
            step="imagePushToRegistry",
            pipelineEnvironment={"container/registryUrl": source.url, "artifactVersion": "1.0"},
        )
        environ = {"PIPER_dockerConfigJSON": json.dumps({"auths": auths})}
        endings = [
            Ending(["run", "imagePushToRegistry", *flag], workspace, environ) for _ in range(2)
        ]
        assert [ending.result["status"] for ending in endings] == ["success", "unchanged"], endings[
            0
        ].err
        assert {target.manifest_digest(f"{team}/app", "1.0") for team in accounts} == {INDEX.digest}
        assert not any(
            password in ending.err + str(ending.result)
            for ending in endings
            for _, password in accounts.values()
        )
