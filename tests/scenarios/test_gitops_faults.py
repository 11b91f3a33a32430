"""Faults of a git server during a deployment, by a call of the step.

Each ends with its exit code and a clear message, and nobody's commit is lost.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.authority import Authority
from tests.fakes.git_server import Fault, GitServer

PASSWORD = "git-pass-word"
MANIFEST = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: 'registry.example.com/app:1'}\n"
)
PUSHING, SENDING = "service=git-receive-pack", "/git-receive-pack"


class Place:
    """A workspace, a temporary folder that can be looked into, and a repository."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        self.folder, self.server = folder, server
        self.settings = ""
        self.temporary, self.workspace = folder / "temporary", folder / "workspace"
        self.temporary.mkdir()
        self.workspace.mkdir()
        self.bare = server.create(
            "ops", {"apps/demo/app.yaml": MANIFEST, "apps/other/app.yaml": MANIFEST}
        )

    def deploy(
        self,
        *,
        repository: str = "ops",
        password: str = PASSWORD,
        tag: str = "2",
        **parameters: object,
    ) -> Ending:
        """One run of the step, which leaves nothing behind, however it ends."""
        configure(
            self.workspace,
            f"steps:\n  gitOpsUpdateDeployment: {{{self.settings}serverUrl:"
            f" '{self.server.url(repository)}'}}\n",
        )
        flag = request(
            self.workspace,
            step="gitOpsUpdateDeployment",
            parameters={
                "filePath": "apps/demo/app.yaml",
                "containerName": "app",
                "containerImageNameTag": f"app:{tag}",
                "containerRegistryUrl": "https://registry.example.com",
                **parameters,
            },
        )
        environ = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.temporary),
            "PIPER_username": "deployer",
            "PIPER_password": password,
        }
        ending = Ending(["run", "gitOpsUpdateDeployment", *flag], self.workspace, environ)
        assert [path.name for path in self.temporary.iterdir() if path.name != "full"] == []
        assert password not in ending.out + ending.err + str(ending.result)
        return ending

    def git(self, *words: str) -> str:
        return self.server.git(*words, repository=self.bare)

    def subjects(self, branch: str = "main") -> list[str]:
        return self.git("log", "--format=%s", branch).splitlines()

    def is_sound(self) -> bool:
        return self.git("fsck", "--full", "--strict", "--no-dangling") == ""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with GitServer(tmp_path / "git", "deployer", PASSWORD) as server:
        made = Place(tmp_path, server)
        monkeypatch.chdir(made.workspace)
        yield made


def times(count: int, part: str, act: Callable[[], int | str | None]) -> Fault:
    """The result of `act` for the first `count` requests whose path contains `part`."""
    left = [act] * count
    return lambda _method, path: left.pop()() if part in path and left else None


UPDATED = "Updated registry.example.com/app to version 2"


def test_an_empty_repository_is_called_that_and_gets_its_first_commit_where_that_is_wanted(
    place: Place,
) -> None:
    place.server.create("empty", {}, branch="trunk")
    (place.workspace / "values.j2").write_text("image: {{ image.tag | yaml }}\n")
    new: dict[str, object] = {
        "repository": "empty",
        "tool": "helm-values",
        "valuesTemplate": "values.j2",
        "filePath": "env/values.yaml",
    }
    ending = place.deploy(**new)  # type: ignore[arg-type]
    assert (ending.code, ending.message) == (3, "the repository is empty: it has no commit yet")
    assert "createBranch" in ending.hint
    ending = place.deploy(createBranch=True, **new)  # type: ignore[arg-type]
    assert (ending.code, ending.result["outputs"]["branch"]) == (0, "trunk"), ending.err
    assert (
        place.server.git(
            "show", "trunk:env/values.yaml", repository=place.server.folder / "empty.git"
        )
        == 'image: "2"\n'
    )


def test_a_branch_that_is_not_there_is_an_error_or_is_made_from_the_default_one(
    place: Place,
) -> None:
    ending = place.deploy(branchName="mian")
    assert (ending.code, ending.message) == (3, "there is no branch 'mian' in the repository")
    assert "did you mean 'main'?" in ending.hint
    ending = place.deploy(branchName="stage/acceptance", createBranch=True)
    assert (ending.code, ending.result["outputs"]["branch"]) == (0, "stage/acceptance"), ending.err
    assert place.subjects("stage/acceptance") == [UPDATED, "Begin"]
    assert place.subjects() == ["Begin"]
    assert place.is_sound()


@pytest.mark.parametrize("force", [False, True])
def test_a_protected_branch_ends_with_the_servers_words_and_is_never_forced(
    place: Place, *, force: bool
) -> None:
    place.server.hook("update", "ops", "echo 'main is protected: open a merge request' >&2; exit 1")
    ending = place.deploy(forcePush=force)
    assert (ending.code, ending.result["error"]["category"]) == (6, "service")
    assert "remote: main is protected: open a merge request" in ending.message
    assert "review request" in ending.hint
    assert place.subjects() == ["Begin"]


def test_a_forced_base_is_taken_as_it_is_and_what_forced_it_stays(place: Place) -> None:
    place.server.add("ops", {"apps/other/app.yaml": b"will be taken back"}, message="Taken back")

    def force() -> None:
        place.git("update-ref", "refs/heads/main", "main~")
        place.server.add("ops", {"theirs": b"1"}, message="Instead of it")

    place.server.fault = times(1, PUSHING, force)
    ending = place.deploy(forcePush=True)
    assert ending.code == 0, ending.err
    assert place.subjects() == [UPDATED, "Instead of it", "Begin"]
    assert place.is_sound()


def test_a_server_that_dies_while_it_takes_the_push_is_pushed_to_again(place: Place) -> None:
    once = place.folder / "once"
    hook = place.server.hook(
        "pre-receive", "ops", f"test -e {once} || {{ touch {once}; kill -9 $PPID; }}"
    )
    ending = place.deploy()
    assert ending.code == 0, ending.err
    assert once.exists()
    assert place.subjects() == [UPDATED, "Begin"]
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    ending = place.deploy(tag="3")
    assert (ending.code, ending.result["error"]["category"]) == (6, "infrastructure")
    assert "broke off 3 times" in ending.message
    assert place.subjects() == [UPDATED, "Begin"]
    assert place.is_sound()


@pytest.mark.parametrize("how", ["the answer is cut", "the server dies afterwards"])
def test_a_push_whose_answer_is_lost_is_recognised(place: Place, how: str) -> None:
    if how == "the answer is cut":
        place.server.fault = times(1, SENDING, lambda: "cut")
    else:
        place.server.hook("post-receive", "ops", "kill -9 $PPID")
    ending = place.deploy()
    assert ending.code == 0, ending.err
    assert place.subjects() == [UPDATED, "Begin"]
    assert ending.result["outputs"]["commit"] == place.git("rev-parse", "main").strip()


def test_a_server_that_is_too_slow_ends_with_the_deadline(place: Place) -> None:
    over = threading.Event()
    place.server.fault = lambda _method, _path: "drop" if over.wait() else None
    try:
        ending = place.deploy(pushDeadline=1)
    finally:
        over.set()
    assert (ending.code, ending.result["error"]["category"]) == (6, "infrastructure")
    assert "exceeded its time limit" in ending.message


def test_a_wrong_password_is_asked_for_once_and_not_shown(place: Place) -> None:
    ending = place.deploy(password="a-wrong-word")
    assert ending.code == 4
    assert "refused user 'deployer'" in ending.message
    assert "PIPER_password" in ending.hint
    assert {exchange.status for exchange in place.server.requests} == {401}


def test_a_token_goes_to_a_server_that_takes_nothing_else(place: Place) -> None:
    place.server.authorization = f"Bearer {PASSWORD}"
    assert place.deploy().code == 4
    ending = place.deploy(authenticationMode="bearer")
    assert ending.code == 0, ending.err
    assert place.git("log", "-1", "--format=%an") == "deployer\n"


def test_a_certificate_that_nobody_signed_ends_before_the_password_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    with GitServer(
        tmp_path / "git", "deployer", PASSWORD, tls=authority.issue("server").server()
    ) as server:
        place = Place(tmp_path, server)
        monkeypatch.chdir(place.workspace)
        ending = place.deploy()
        assert (ending.code, server.requests) == (3, [])
        assert "is not trusted" in ending.message
        assert "customTlsCertificateLinks" in ending.hint
        trusting = place.deploy(customTlsCertificateLinks=[str(authority.certificate)])
        assert trusting.code == 0, trusting.err
        assert place.subjects() == [UPDATED, "Begin"]


def test_a_project_does_not_choose_whom_to_trust(place: Place) -> None:
    place.settings = "customTlsCertificateLinks: [/etc/ssl/certs/ca-certificates.crt], "
    ending = place.deploy()
    assert ending.code == 3
    assert "customTlsCertificateLinks" in ending.message


def test_a_full_disk_is_the_machines_fault_and_nothing_else(place: Place) -> None:
    full = place.temporary / "full"
    full.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(full)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("a small disk can be mounted by root only")
    place.server.add("ops", {f"apps/demo/{number}.yaml": os.urandom(40) for number in range(4_000)})
    try:
        place.temporary = full
        ending = place.deploy()
        assert (ending.code, ending.result["error"]["category"]) == (
            9,
            "infrastructure",
        ), ending.err
        assert "No space left on device" in ending.message
        assert list(full.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(full)], check=True)
