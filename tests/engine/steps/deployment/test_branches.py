"""Several repositories and branches in one call, on git's own server.

No branch is pushed before all are planned, and nobody's commit is lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.git_server import GitServer
from towline import deadline
from towline.retry import TurnClock
from towline.steps.deployment import branches

PASSWORD = "git-pass-word"
MANIFEST = b"kind: Pod\nspec: {containers: [{name: app, image: 'registry.example.com/app:1'}]}\n"
PUSHING, SENDING = "service=git-receive-pack", "/git-receive-pack"


class Place:
    """A workspace, a temporary folder that can be looked into, and repositories `a`, `b` and
    `c`.
    """

    def __init__(self, folder: Path, server: GitServer) -> None:
        self.server = server
        self.temporary, self.workspace = folder / "temporary", folder / "workspace"
        self.temporary.mkdir()
        self.workspace.mkdir()
        for name in "abc":
            server.create(name, {"app.yaml": MANIFEST})

    def deploy(
        self, *words: str, targets: list[dict[str, Any]] | None = None, **parameters: object
    ) -> Ending:
        """One run of the step, which leaves no folder and no lock, however it ends."""
        configure(
            self.workspace,
            "steps: {gitOpsUpdateDeployment: {filePath: app.yaml, containerName: app}}\n",
        )
        flag = request(
            self.workspace,
            step="gitOpsUpdateDeployment",
            parameters={
                "containerImageNameTag": "app:2",
                "containerRegistryUrl": "https://registry.example.com",
                "targets": targets or [{"serverUrl": self.server.url(name)} for name in "abc"],
                **parameters,
            },
        )
        environ = {
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.temporary),
            "PIPER_username": "deployer",
            "PIPER_password": PASSWORD,
        }
        ending = Ending(["run", "gitOpsUpdateDeployment", *flag, *words], self.workspace, environ)
        assert self.left() == []
        return ending

    def left(self) -> list[str]:
        return sorted(path.name for path in self.temporary.iterdir())

    def commits(self, name: str, branch: str = "main") -> list[str]:
        return self.server.git(
            "log",
            "--first-parent",
            "--format=%s",
            branch,
            repository=self.server.folder / f"{name}.git",
        ).splitlines()

    def tip(self, name: str, branch: str = "main") -> str:
        return self.server.git(
            "rev-parse", branch, repository=self.server.folder / f"{name}.git"
        ).strip()

    def asked(self, name: str, part: str = "") -> int:
        return sum(
            exchange.path.startswith(f"/{name}.git") and part in exchange.path
            for exchange in self.server.requests
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with GitServer(tmp_path / "git", "deployer", PASSWORD) as server:
        made = Place(tmp_path, server)
        monkeypatch.chdir(made.workspace)
        yield made


def at(
    name: str, part: str, act: Callable[[], object], times: int = 1
) -> Callable[[str, str], Any]:
    """The result of `act` for the first requests to a repository whose path contains `part`."""
    left = [act] * times
    return lambda _method, path: (
        left.pop()() if path.startswith(f"/{name}.git") and part in path and left else None
    )


UPDATED = "Updated registry.example.com/app to version 2"


@pytest.mark.parametrize(
    "last",
    [
        {"containerName": "none"},
        {"filePath": "none.yaml"},
        {"branchName": "none"},
        {"imagePath": "metadata.labels.image"},
    ],
)
def test_a_fault_in_the_last_leaves_the_first_as_it_was(place: Place, last: dict[str, Any]) -> None:
    targets = [{"serverUrl": place.server.url("a")}, {"serverUrl": place.server.url("b"), **last}]
    ending = place.deploy(targets=targets)
    assert (ending.code, ending.result["outputs"], place.commits("a")) == (
        3,
        {},
        ["Begin"],
    ), ending.err
    assert ending.message.endswith("; nothing was pushed to any of the 2 branches")
    assert place.asked("a", "receive-pack") == 0
    assert place.deploy(targets=targets[:1]).code == 0


def test_all_of_them_get_their_commit_and_a_second_run_makes_none(place: Place) -> None:
    ending = place.deploy()
    assert (ending.code, [place.commits(name) for name in "abc"]) == (
        0,
        [[UPDATED, "Begin"]] * 3,
    ), ending.err
    assert [place.asked(name) for name in "abc"] == [
        7,
        8,
        8,
    ], "the servers of the others are asked before the first push"
    assert [one["commit"] for one in ending.result["outputs"]["repositories"]] == [
        place.tip(name) for name in "abc"
    ]
    place.server.requests.clear()
    assert place.deploy().result["status"] == "unchanged"
    assert [place.asked(name) for name in "abc"] == [5, 5, 5]


def test_a_user_who_may_not_push_to_the_last_pushes_to_none(place: Place) -> None:
    place.server.fault = at("c", PUSHING, lambda: 403, times=9)
    ending = place.deploy()
    assert (ending.code, [place.commits(name) for name in "abc"]) == (
        4,
        [["Begin"]] * 3,
    ), ending.err
    assert "403" in ending.message


@pytest.mark.parametrize("answer", [503, "drop"])
def test_a_server_that_is_away_is_asked_again_and_if_it_stays_away_nothing_is_pushed(
    place: Place, answer: object
) -> None:
    place.server.fault = at("c", PUSHING, lambda: answer)
    assert place.deploy().code == 0
    place.server.fault = at("c", PUSHING, lambda: answer, times=99)
    ending = place.deploy(containerImageNameTag="app:3")
    assert (ending.code, "broke off 3 times" in ending.message, ending.result["outputs"]) == (
        6,
        True,
        {},
    ), ending.err
    assert [place.commits(name) for name in "abc"] == [[UPDATED, "Begin"]] * 3


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_a_branch_that_moves_between_plan_and_push_keeps_both_commits(
    place: Place, which: int
) -> None:
    """`which` request for a push moves the last one: it is first asked, then pushed to, in two
    requests.
    """
    parts = [
        (name, part)
        for name, part in (("c", PUSHING), ("a", PUSHING), ("a", SENDING), ("c", SENDING))
    ]
    place.server.fault = at(
        *parts[which], lambda: place.server.add("c", {"theirs": b"1"}, message="Theirs") and None
    )
    ending = place.deploy()
    assert (ending.code, place.commits("c")) == (0, [UPDATED, "Theirs", "Begin"]), ending.err
    assert place.commits("a") == place.commits("b") == [UPDATED, "Begin"]


def test_a_push_that_fails_for_good_says_what_is_pushed_and_what_not_and_the_next_run_does_the_rest(
    place: Place,
) -> None:
    hook = place.server.hook("update", "b", "echo protected >&2; exit 1")
    ending = place.deploy()
    assert (ending.code, [place.commits(name) for name in "abc"]) == (
        6,
        [[UPDATED, "Begin"], ["Begin"], ["Begin"]],
    ), ending.err
    told = (
        f"; pushed before the fault, and they stay: {place.server.url('a')}: commit"
        f" {place.tip('a')[:12]} on main; not known to be pushed: {place.server.url('b')},"
        f" {place.server.url('c')}"
    )
    assert ending.message.endswith(told)
    assert ending.hint.endswith("; the step run again does the rest")
    assert [one["repository"] for one in ending.result["outputs"]["repositories"]] == [
        place.server.url("a")
    ]
    hook.unlink()
    ending = place.deploy()
    assert (ending.code, [place.commits(name) for name in "abc"]) == (
        0,
        [[UPDATED, "Begin"]] * 3,
    ), ending.err


def test_a_first_push_whose_answer_is_lost_for_good_is_not_said_to_have_changed_nothing(
    place: Place,
) -> None:
    sent: list[str] = []

    def cut(_method: str, path: str) -> str | None:
        sent.extend([path] if path.endswith(SENDING) else [])
        return None if not sent else "cut" if path == sent[-1] and len(sent) == 1 else "drop"

    place.server.fault = cut
    ending = place.deploy()
    assert (ending.code, place.commits("a")) == (6, [UPDATED, "Begin"]), ending.err
    assert ending.message.endswith(
        "; whether anything was pushed to any of the 3 branches is not known"
    )


def test_of_more_repositories_than_stay_open_each_gets_its_commit(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branches, "_MOST_OPEN", 1)
    most: list[int] = []
    place.server.fault = lambda _method, _path: most.append(
        sum(name.startswith("towline-git-") for name in place.left())
    )
    ending = place.deploy()
    assert (ending.code, [place.commits(name) for name in "abc"]) == (
        0,
        [[UPDATED, "Begin"]] * 3,
    ), ending.err
    assert max(most) == 2, "the one that stays open, and the one that is looked at"
    place.server.fault = None
    targets = [
        {"serverUrl": place.server.url(name), "containerName": container}
        for name, container in (("a", "app"), ("b", "app"), ("c", "none"))
    ]
    ending = place.deploy(targets=targets, containerImageNameTag="app:3")
    assert (ending.code, [place.commits(name) for name in "abc"]) == (
        3,
        [[UPDATED, "Begin"]] * 3,
    ), ending.err


def test_a_branch_whose_base_is_deployed_to_before_it_has_all_of_it_at_once(place: Place) -> None:
    place.server.git("branch", "stage", "main", repository=place.server.folder / "a.git")
    place.server.add("a", {"own": b"1"}, "stage", message="Own")
    targets = [
        {"serverUrl": place.server.url("a"), "branchName": name} for name in ("main", "stage")
    ]
    ending = place.deploy(targets=targets, createBranch=True)
    assert ending.code == 0, ending.err
    tips = [place.tip("a", branch) for branch in ("main", "stage")]
    assert (
        place.server.git("merge-base", *tips, repository=place.server.folder / "a.git").strip()
        == tips[0]
    )
    assert place.deploy(targets=targets, createBranch=True).result["status"] == "unchanged"
    assert [place.tip("a", branch) for branch in ("main", "stage")] == tips


def test_one_branch_under_two_names_does_not_overtake_itself(place: Place) -> None:
    place.server.add("a", {"b.yaml": MANIFEST})
    url = place.server.url("a")
    targets: list[dict[str, Any]] = [
        {"serverUrl": url, "branchName": "main"},
        {"serverUrl": url, "filePath": "b.yaml"},
    ]
    ending = place.deploy(targets=targets, maxPushAttempts=1)
    assert (ending.code, place.commits("a")) == (
        0,
        [UPDATED, UPDATED, "Change", "Begin"],
    ), ending.err


def test_a_branch_of_its_own_that_holds_the_image_is_brought_up_to_date_and_that_is_said(
    place: Place,
) -> None:
    call: dict[str, Any] = {
        "targets": [{"serverUrl": place.server.url("a")}],
        "branchName": "stage",
        "createBranch": True,
    }
    assert place.deploy(**call).code == 0
    place.server.add("a", {"theirs": b"1"})
    dry = place.deploy("--dry-run", **call)
    assert (
        dry.result["summary"]
        == "would change nothing on stage; branch stage would be brought up to date with its base"
    )
    ending = place.deploy(**call)
    text = (
        "app.yaml on stage holds registry.example.com/app:2 already; branch stage was brought up to"
        " date with its base, commit "
    )
    assert (ending.result["status"], ending.result["summary"]) == (
        "success",
        f"{text}{place.tip('a', 'stage')[:12]} on stage",
    ), ending.err
    assert ending.result["outputs"]["files"] == []
    assert place.deploy(**call).result["status"] == "unchanged"


def test_a_dry_run_shows_all_that_was_planned_before_a_fault_and_asks_nobody_whether_it_may_push(
    place: Place,
) -> None:
    targets: list[dict[str, Any]] = [{"serverUrl": place.server.url(name)} for name in "abc"]
    ending = place.deploy("--dry-run", targets=targets)
    assert (
        ending.code,
        ending.result["outputs"]["diff"].count("+kind"),
        ending.result["outputs"]["diff"].count("diff --git"),
    ) == (0, 0, 3)
    ending = place.deploy(
        "--dry-run", targets=[*targets[:2], {**targets[2], "containerName": "none"}]
    )
    assert (ending.code, ending.result["outputs"]["diff"].count("diff --git")) == (3, 2)
    assert not [exchange for exchange in place.server.requests if "receive-pack" in exchange.path]


def test_the_deadline_of_each_counts_its_own_work(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[float] = []
    monkeypatch.setattr(branches, "TurnClock", lambda: TurnClock(lambda: sum(passed)))
    place.server.fault = lambda _method, path: passed.append(20.0) if "service=" in path else None
    ending = place.deploy(pushDeadline=100)
    assert (ending.code, sum(passed)) == (0, 220.0), ending.err
    ending = place.deploy(containerImageNameTag="app:3", pushDeadline=30)
    assert (ending.code, [place.commits(name)[0] for name in "abc"]) == (
        6,
        [UPDATED] * 3,
    ), ending.err


def test_what_renders_is_ended_by_the_deadline_too(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "GRACE", 0.0)
    (place.workspace / "endless.yaml").write_text(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )
    targets = [
        {
            "serverUrl": place.server.url("a"),
            "tool": "helm-values",
            "valuesTemplate": "endless.yaml",
            "filePath": "values.yaml",
        }
    ]
    ending = place.deploy(targets=targets, pushDeadline=2)
    assert (ending.code, ending.message) == (
        6,
        (
            "pushDeadline of 2 seconds exceeded by the deployment, including the time to render"
            " and to read"
        ),
    ), ending.err
    assert "pushDeadline" in ending.hint
    assert len(place.commits("a")) == 1
