"""A deployment over SSH to a real server: its key, the host's key, the old git protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.git_server import GitServer
from tests.fakes.ssh_server import SshServer, make_key, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "there is one")

MANIFEST = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: 'registry.example.com/app:1'}\n"
)


class Place:
    """A workspace, a repository, and the SSH server for it."""

    def __init__(self, folder: Path, git: GitServer, ssh: SshServer) -> None:
        self.folder, self.git, self.ssh = folder, git, ssh
        self.bare = git.create(
            "ops",
            {
                "apps/demo/app.yaml": MANIFEST,
                "apps/other/app.yaml": MANIFEST,
                "README": b"read me\n",
            },
        )
        (folder / "workspace").mkdir()
        (folder / "temporary").mkdir()

    def deploy(self, *, tag: str = "2", **variables: str) -> Ending:
        """One run of the step with key and host key, unless `variables` say otherwise."""
        workspace = self.folder / "workspace"
        url = self.ssh.url(self.bare)
        configure(
            workspace,
            f"steps:\n  gitOpsUpdateDeployment: {{serverUrl: '{url}', containerName: app, filePath:"
            " apps/demo/app.yaml}\n",
        )
        flag = request(
            workspace,
            step="gitOpsUpdateDeployment",
            parameters={
                "containerImageNameTag": f"app:{tag}",
                "containerRegistryUrl": "https://registry.example.com",
            },
        )
        given = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(self.folder / "temporary"),
            "PIPER_gitSshPrivateKey": self.ssh.private,
            "PIPER_gitSshKnownHosts": self.ssh.known_hosts,
            **variables,
        }
        ending = Ending(
            ["run", "gitOpsUpdateDeployment", *flag],
            workspace,
            {name: value for name, value in given.items() if value},
        )
        assert list((self.folder / "temporary").iterdir()) == []
        assert self.ssh.private.splitlines()[2] not in ending.out + ending.err + str(ending.result)
        return ending


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with GitServer(tmp_path / "git") as git, SshServer(tmp_path / "ssh") as ssh:
        made = Place(tmp_path, git, ssh)
        monkeypatch.chdir(tmp_path / "workspace")
        yield made


def test_a_key_and_a_known_host_are_all_that_it_takes(place: Place) -> None:
    ending = place.deploy()
    assert ending.code == 0, ending.err
    assert "app:2" in place.git.git("show", "main:apps/demo/app.yaml", repository=place.bare)
    assert place.git.git("fsck", "--full", "--strict", repository=place.bare) == ""
    assert place.deploy().result["status"] == "unchanged"


def test_a_key_may_be_named_by_its_file_as_jenkins_binds_it(place: Place) -> None:
    assert place.deploy(PIPER_gitSshPrivateKey=str(place.folder / "ssh/client")).code == 0
    missing_file = place.deploy(tag="3", PIPER_gitSshPrivateKey=str(place.folder / "ssh/none"))
    assert (missing_file.code, missing_file.message) == (
        4,
        "the file of gitSshPrivateKey cannot be read",
    )


def test_a_host_that_is_not_known_gets_nothing_and_the_hint_says_what_to_add(place: Place) -> None:
    ending = place.deploy(
        PIPER_gitSshKnownHosts=(
            "other.example.com ssh-ed25519"
            " AAAAC3NzaC1lZDI1NTE5AAAAIEq3hQ2q5C2hV5kqZ0b0t0m9GvTt2oHn9F0Yy0c1n0aA"
        )
    )
    assert ending.code == 3
    assert "is not known" in ending.message
    assert f"ssh-keyscan -p {place.ssh.port} 127.0.0.1" in ending.hint


def test_a_host_that_shows_another_key_than_the_known_one_is_refused(place: Place) -> None:
    make_key(place.folder / "impostor")
    other = (place.folder / "impostor.pub").read_text().split()[1]
    ending = place.deploy(
        PIPER_gitSshKnownHosts=f"[127.0.0.1]:{place.ssh.port} ssh-ed25519 {other}"
    )
    assert ending.code == 3
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ending.message


def test_a_key_that_the_server_does_not_take_is_a_credential_that_is_wrong(place: Place) -> None:
    ending = place.deploy(PIPER_gitSshPrivateKey=make_key(place.folder / "stranger"))
    assert (ending.code, ending.result["error"]["category"]) == (4, "config")
    assert "refused the SSH key" in ending.message
    assert "PIPER_gitSshPrivateKey" in ending.hint


def test_a_key_behind_a_passphrase_is_refused_before_any_server_is_asked(place: Place) -> None:
    ending = place.deploy(
        PIPER_gitSshPrivateKey=make_key(place.folder / "locked", passphrase="very secret")
    )
    assert ending.code == 4
    assert "passphrase" in ending.message


def test_no_key_goes_to_a_host_that_the_platform_team_has_not_named(place: Place) -> None:
    ending = place.deploy(PIPER_credentialHosts="git.example.com")
    assert (ending.code, ending.message) == (
        4,
        f"no credential may be sent to 127.0.0.1:{place.ssh.port}",
    )


def test_a_repository_that_is_not_there_is_called_that(place: Place) -> None:
    place.bare = place.folder / "git/none.git"
    ending = place.deploy()
    assert ending.code == 3
    assert "no git repository" in ending.message


@pytest.mark.parametrize("path", ["apps/demo/app.yaml", "**/demo/*.yaml"])
def test_a_server_that_speaks_the_old_protocol_only_serves_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    with GitServer(tmp_path / "git") as git, SshServer(tmp_path / "ssh", modern=False) as ssh:
        place = Place(tmp_path, git, ssh)
        monkeypatch.chdir(tmp_path / "workspace")
        ending = place.deploy(PIPER_parametersJSON=json.dumps({"filePath": path}))
        assert ending.code == 0, ending.err
        assert "does not support partial clones" in ending.err
        assert "app:2" in git.git("show", "main:apps/demo/app.yaml", repository=place.bare)
        assert git.git("show", "main:README", repository=place.bare) == "read me\n"
