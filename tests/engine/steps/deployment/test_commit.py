"""The messages of the step's commits, read from the repository that they were pushed to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.git_server import GitServer
from tests.fakes.gnupg import GnuPG
from tests.fakes.ssh_server import make_key
from towline.steps.deployment.commit import LONGEST_MESSAGE

MANIFEST = (
    b"kind: Pod\nspec:\n  serviceAccountName: app\n  containers:\n  - name: app\n    image:"
    b" r.example/app:1\n"
)
DIGEST = f"sha256:{'5' * 64}"


class Place:
    """A workspace that is a checkout with one commit, and a repository to deploy to."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        self.folder, self.server = folder, server
        self.bare = server.create("ops", {"app.yaml": MANIFEST})
        configure(
            folder,
            f"steps: {{gitOpsUpdateDeployment: {{serverUrl: '{server.url('ops')}', filePath:"
            " app.yaml, containerName: app}}\n",
        )
        self.git("init", "--quiet")
        self.git(
            "-c",
            "user.name=Ann",
            "-c",
            "user.email=ann@example.com",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "Sell more\n\nBecause.",
        )
        self.commit = self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words],
            cwd=self.folder,
            env=self.server.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def deploy(
        self,
        environ: dict[str, str] | None = None,
        *,
        build: dict[str, str] | None = None,
        **parameters: object,
    ) -> Ending:
        of = {
            "number": "12",
            "url": "https://ci.example.com/shop/12/",
            "sourceRepository": "https://git.example.com/src.git",
            "sourceCommit": self.commit,
        }
        known = {
            "container/targetRegistryUrl": "https://r.example",
            "container/targetImageNameTag": "app:2",
            "container/targetImageNameTags": ["app:2"],
            "container/targetImageDigests": [DIGEST],
        }
        flag = request(
            self.folder,
            step="gitOpsUpdateDeployment",
            stage="Release",
            build={**of, **(build or {})},
            parameters=parameters,
            pipelineEnvironment=known,
        )
        return Ending(
            ["run", "gitOpsUpdateDeployment", *flag],
            self.folder,
            {"PATH": "/usr/local/bin:/usr/bin:/bin", **(environ or {})},
        )

    def shown(self, form: str) -> str:
        return self.server.git(
            "log", "-1", f"--format={form}", "main", repository=self.bare
        ).strip()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    with GitServer(tmp_path / "git") as server:
        yield Place(workspace, server)


def test_the_author_is_whom_the_settings_name(place: Place) -> None:
    assert place.deploy(authorName="Deploy Bot", authorEmail="bot@example.com").code == 0
    assert (
        place.shown("%an <%ae> %cn <%ce>")
        == "Deploy Bot <bot@example.com> Deploy Bot <bot@example.com>"
    )


def test_an_author_without_a_letter_is_refused(place: Place) -> None:
    ending = place.deploy(authorName="<>")
    assert (ending.code, ending.where) == (3, "parameter of the call")
    assert "git takes for an empty name" in ending.message


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("", "Towline <towline@127.0.0.1>"),
        ("deployer", "deployer <deployer@127.0.0.1>"),
        ("ann@example.com", "ann@example.com <ann@example.com>"),
        ("DOMAIN\\ann b", "DOMAIN\\ann b <DOMAIN-ann-b@127.0.0.1>"),
        ("@@", "@@ <towline@127.0.0.1>"),
    ],
)
def test_without_a_name_the_author_is_the_user_at_the_host_of_the_repository(
    place: Place, user: str, shown: str
) -> None:
    ending = place.deploy(
        {"PIPER_username": user, "PIPER_password": "s3cret-of-git"} if user else None
    )
    assert ending.code == 0, ending.err
    assert place.shown("%an <%ae>") == shown


def test_a_server_that_checks_who_commits_is_told_from_the_message(place: Place) -> None:
    place.server.hook(
        "update",
        "ops",
        'test -n "$(git log -1 --format=%ae "$3" | grep @example.com)" || { echo "unknown'
        ' committer" >&2; exit 1; }',
    )
    ending = place.deploy()
    assert (ending.code, "unknown committer" in ending.message, "authorEmail" in ending.hint) == (
        6,
        True,
        True,
    ), ending.err
    assert place.deploy(authorEmail="bot@example.com").code == 0


def test_a_message_with_braces_is_a_template(place: Place) -> None:
    text = (
        "[{{ stage }}] {{ image.repository }} {{ image.tag }} by {{ build.number }}\n\n{% for one"
        " in images %}\n* {{ one.digest[:12] }}\n{% endfor %}"
    )
    ending = place.deploy(commitMessage=text)
    assert ending.code == 0, ending.err
    assert place.shown("%B").startswith(
        "[Release] app 2 by 12\n\n* sha256:55555\n\nTowline-Deployment: app.yaml\n"
    )


def test_a_plain_message_stays_as_it_is(place: Place) -> None:
    place.deploy(commitMessage="Ship { it } 100%")
    assert place.shown("%s") == "Ship { it } 100%"


def test_a_message_that_is_too_long_is_refused(place: Place) -> None:
    """All who deploy to the repository read the messages of its commits: a dozen of 7 MB kept
    everybody out.
    """
    assert place.deploy(commitMessage="x" * LONGEST_MESSAGE).code == 0
    ending = place.deploy(commitMessage=f"{'x' * (LONGEST_MESSAGE - 1)}ä")
    assert (ending.code, ending.message) == (3, "commitMessage has more than 64 KiB"), ending.err


def test_a_faulty_template_says_where_and_nothing_is_pushed(place: Place) -> None:
    ending = place.deploy(commitMessage="Ship\n{{ imaeg.tag }}")
    assert (ending.code, ending.where, "image" in ending.hint) == (
        7,
        "commitMessage:2",
        True,
    ), ending.err
    assert place.shown("%s") == "Begin"


@pytest.mark.parametrize("text", ["{% if stage == 'Other' %}x{% endif %}", " \n"])
def test_a_message_that_comes_to_nothing_gives_the_usual_text(place: Place, text: str) -> None:
    place.deploy(commitMessage=text)
    assert place.shown("%s") == "Updated r.example/app to version 2 in Release"


def test_the_source_commit_is_told_to_argo_cd_and_its_time_to_later_deployments(
    place: Place,
) -> None:
    place.deploy()
    trailers = place.shown("%(trailers:only,unfold)").splitlines()
    assert f"Argocd-reference-commit-sha: {place.commit}" in trailers
    assert "Argocd-reference-commit-author: Ann <ann@example.com>" in trailers
    assert "Argocd-reference-commit-subject: Sell more" in trailers
    assert f"Towline-Source-Time: {place.git('log', '-1', '--format=%cI')}" in trailers


def test_trailers_of_the_message_stay_trailers(place: Place) -> None:
    text = (
        "Ship {{ image.tag }}\n\nBecause.\n\nSigned-off-by: Bot <bot@example.com>\nTowline-Stage:"
        " other"
    )
    assert place.deploy(commitMessage=text).code == 0
    assert (
        place.shown("%s|%(trailers:key=Signed-off-by,valueonly)|").replace("\n", "")
        == "Ship 2|Bot <bot@example.com>|"
    )
    assert place.shown("%(trailers:key=Towline-Stage,valueonly)") == "Release"


def test_who_started_the_build_is_one_line(place: Place) -> None:
    assert (
        place.deploy(build={"startedBy": "ann\nTowline-Stage: forged\u2028x", "job": "shop"}).code
        == 0
    )
    assert (
        place.shown("%(trailers:key=Towline-Started-By,valueonly)") == "ann Towline-Stage: forged x"
    )
    assert place.shown("%(trailers:key=Towline-Job,valueonly)") == "shop"
    assert place.shown("%(trailers:key=Towline-Stage,valueonly)") == "Release"


@pytest.mark.parametrize("time", ["2999-01-01T00:00:00Z", "yesterday"])
def test_a_time_that_has_not_been_is_left_out_and_said(place: Place, time: str) -> None:
    ending = place.deploy(build={"sourceTime": time})
    assert ending.code == 0
    assert place.shown("%(trailers:key=Towline-Source-Time,valueonly)") == ""
    assert (
        f"warning: the commit that was built is of {time!r}, which is not a time in the past"
        in ending.err
    )


SHELL = [
    "--containerRegistryUrl",
    "https://r.example",
    "--containerImageNameTag",
    "app:2",
    "--stage",
    "Release",
]


def test_a_call_in_a_shell_says_what_its_ci_system_knows(place: Place) -> None:
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_SHA": place.commit,
        "GITHUB_RUN_NUMBER": "12",
        "GITHUB_RUN_ID": "99",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "t/shop",
        "GITHUB_WORKFLOW_REF": "t/shop/ci.yml@refs/heads/main",
        "GITHUB_ACTOR": "ann",
        "GITHUB_EVENT_NAME": "push",
    }
    ending = Ending(["run", "gitOpsUpdateDeployment", *SHELL], place.folder, environ)
    assert ending.code == 0, ending.err
    trailers = dict(
        line.split(": ", 1) for line in place.shown("%(trailers:only,unfold)").splitlines()
    )
    assert trailers["Towline-Build"] == "https://github.com/t/shop/actions/runs/99"
    assert (
        trailers["Towline-Build-Number"],
        trailers["Towline-Job"],
        trailers["Towline-Started-By"],
    ) == ("12", "t/shop/ci.yml@refs/heads/main", "ann")
    assert (trailers["Towline-Source"], trailers["Towline-Source-Commit"]) == (
        "https://github.com/t/shop",
        place.commit,
    )
    assert trailers["Towline-Source-Time"] == place.git("log", "-1", "--format=%cI")


def test_an_older_run_of_a_ci_system_is_superseded_too(place: Place) -> None:
    def run(number: str, tag: str) -> Ending:
        environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "DRONE": "true",
            "DRONE_BUILD_NUMBER": number,
            "DRONE_COMMIT_SHA": place.commit,
            "DRONE_BUILD_LINK": f"https://drone.example.com/t/shop/{number}",
        }
        return Ending(
            ["run", "gitOpsUpdateDeployment", *SHELL, "--containerImageNameTag", f"app:{tag}"],
            place.folder,
            environ,
        )

    assert run("9", "2").code == 0
    ending = run("8", "1.9")
    assert (ending.code, ending.result["status"]) == (8, "superseded"), ending.err
    assert run("10", "3").code == 0


def test_a_call_in_a_shell_of_nobody_says_what_the_checkout_knows(place: Place) -> None:
    place.git(
        "remote",
        "add",
        "origin",
        "https://ann:s3cret-token@git.example.com/shop.git?x=s3cret-token",
    )
    ending = Ending(
        ["run", "gitOpsUpdateDeployment", *SHELL],
        place.folder,
        {"PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
    assert ending.code == 0, ending.err
    trailers = place.shown("%(trailers:only,unfold)").splitlines()
    assert "Towline-Source: https://git.example.com/shop.git" in trailers
    assert f"Towline-Source-Commit: {place.commit}" in trailers
    assert "s3cret-token" not in place.shown("%B")


def test_the_commit_is_signed_where_a_key_is_set(place: Place) -> None:
    key = make_key(place.folder.parent / "key")
    ending = place.deploy({"PIPER_signingPrivateKey": key}, authorEmail="bot@example.com")
    assert ending.code == 0, ending.err
    signers = place.folder.parent / "signers"
    signers.write_text(f"bot@example.com {(place.folder.parent / 'key.pub').read_text()}")
    place.server.git(
        "-c",
        f"gpg.ssh.allowedSignersFile={signers}",
        "verify-commit",
        "main",
        repository=place.bare,
    )
    assert key.splitlines()[1] not in ending.err + str(ending.result)


@pytest.mark.parametrize("by_file", [True, False])
def test_a_gnupg_key_signs_as_jenkins_binds_it_a_file_or_a_text(
    place: Place, tmp_path: Path, by_file: bool
) -> None:
    with GnuPG() as home:
        key = home.make_key()
        (tmp_path / "key.asc").write_text(key)
        ending = place.deploy(
            {"PIPER_signingPrivateKey": str(tmp_path / "key.asc") if by_file else key},
            signingFormat="gpg",
        )
        assert ending.code == 0, ending.err
        verify = ["git", f"--git-dir={place.bare}", "verify-commit", "main"]
        subprocess.run(
            verify,
            env={**place.server.environment, **home.environment},
            check=True,
            capture_output=True,
        )
    assert key.splitlines()[2] not in ending.err + str(ending.result)


@pytest.mark.parametrize(
    ("form", "said"),
    [("gpg", "not a private key of GnuPG"), ("ssh", "signing key is not a private key")],
)
def test_a_key_of_another_kind_says_so(place: Place, form: str, said: str) -> None:
    ending = place.deploy({"PIPER_signingPrivateKey": "not a key"}, signingFormat=form)
    assert (ending.code, said in ending.message) == (4, True), ending.err
    assert place.shown("%s") == "Begin"
