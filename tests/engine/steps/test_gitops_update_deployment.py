from __future__ import annotations

import io
import json
import os
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.engine.steps.deployment.test_chart_repositories import Shelf, packed
from tests.fakes.git_server import GitServer
from tests.fakes.registry import FakeRegistry
from tests.fakes.serve import Answer, LoopbackServer, Request

PASSWORD = "git-pass-word"
DIGEST, OTHER = f"sha256:{'5' * 64}", f"sha256:{'6' * 64}"
DEPLOYMENT = b"""\
# kept as it is
kind: Deployment
spec:
  template:
    spec:
      containers:
        - name: app   # the one
          image: "old.example.com/app:1"
        - {name: sidecar, image: proxy:1}
"""
KUSTOMIZATION = (
    b"images:\n  - name: app\n    newName: old.example.com/app\n    newTag: '1'\nresources:"
    b" [a.yaml]\n"
)
CHART = {
    "charts/app/Chart.yaml": b"apiVersion: v2\nname: app\nversion: 0.1.0\n",
    "charts/app/values.yaml": b"image: {repository: none, tag: none}\n",
    "charts/app/templates/pod.yaml": (
        b"kind: Pod\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  containers: [{name: app,"
        b" image: '{{ .Values.image.repository }}:{{ .Values.image.tag }}'}]\n"
    ),
}


class Place:
    """A workspace and a GitOps repository with one file for each tool."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        self.folder, self.server = folder, server
        self.bare = server.create(
            "ops", {"app.yaml": DEPLOYMENT, "k/kustomization.yaml": KUSTOMIZATION, **CHART}
        )
        self.configure("")

    def configure(self, more: str) -> None:
        configure(
            self.folder,
            f"steps:\n  gitOpsUpdateDeployment:\n    serverUrl: {self.server.url('ops')}\n{more}",
        )

    def deploy(
        self,
        *words: str,
        environ: dict[str, str] | None = None,
        environment: dict[str, Any] | None = None,
        number: str = "12",
        **parameters: object,
    ) -> Ending:
        known = {
            "container/targetRegistryUrl": "https://registry.example.com/team",
            "container/targetImageNameTag": "app:2.0",
            "container/targetImageNameTags": ["app:2.0"],
            "container/targetImageDigests": [DIGEST],
            "container/registryUrl": "https://staging.example.com",
            "container/imageNameTag": "app:2.0",
        }
        build = {
            "number": number,
            "url": f"https://ci.example.com/{number}",
            "sourceRepository": "https://git.example.com/src.git",
            "sourceCommit": "c" * 40,
        }
        flag = request(
            self.folder,
            step="gitOpsUpdateDeployment",
            stage="Acceptance",
            build=build,
            parameters=parameters,
            pipelineEnvironment=known if environment is None else environment,
        )
        login = {
            "PIPER_username": "deployer",
            "PIPER_password": PASSWORD,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }
        return Ending(
            ["run", "gitOpsUpdateDeployment", *flag, *words],
            self.folder,
            {**login, **(environ or {})},
        )

    def file(self, path: str) -> str:
        return self.server.git("show", f"main:{path}", repository=self.bare)

    def commits(self) -> int:
        return int(self.server.git("rev-list", "--count", "main", repository=self.bare))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    with GitServer(tmp_path / "git", username="deployer", password=PASSWORD) as server:
        yield Place(workspace, server)


KUBECTL: dict[str, Any] = {"filePath": "app.yaml", "containerName": "app"}
HELM: dict[str, Any] = {
    "tool": "helm",
    "filePath": "out/app.yaml",
    "chartPath": "charts/app",
    "deploymentName": "shop",
}


def test_kubectl_changes_the_containers_image_and_not_one_character_more(place: Place) -> None:
    ending = place.deploy(**KUBECTL)
    assert ending.result["status"] == "success", ending.err
    assert place.file("app.yaml") == DEPLOYMENT.decode().replace(
        "old.example.com/app:1", "registry.example.com/team/app:2.0"
    )


def test_kustomize_changes_its_entry_and_nothing_else(place: Place) -> None:
    place.deploy(tool="kustomize", filePath="k/kustomization.yaml", deploymentName="app")
    expected = (
        KUSTOMIZATION.decode()
        .replace("old.example.com/app", "registry.example.com/team/app")
        .replace("'1'", "'2.0'")
    )
    assert place.file("k/kustomization.yaml") == expected


def test_helm_renders_the_repositorys_chart_with_the_target_registrys_image(place: Place) -> None:
    ending = place.deploy(**HELM)
    assert ending.code == 0, ending.err
    assert "'registry.example.com/team/app:2.0'" in place.file("out/app.yaml")
    assert "name: shop" in place.file("out/app.yaml")


def test_a_template_of_the_workspace_becomes_a_values_file(place: Place) -> None:
    (place.folder / "values.j2").write_text(
        "image: {{ image.reference | yaml }}\nstage: {{ stage }}\n"
    )
    ending = place.deploy(
        tool="helm-values", valuesTemplate="values.j2", filePath="env/values.yaml"
    )
    assert ending.code == 0, ending.err
    assert (
        place.file("env/values.yaml")
        == 'image: "registry.example.com/team/app:2.0"\nstage: Acceptance\n'
    )


def test_a_file_that_a_code_host_runs_is_not_written_unless_the_platform_team_says_so(
    place: Place,
) -> None:
    (place.folder / "values.j2").write_text("image: {{ image.reference }}\n")
    wanted: dict[str, Any] = {
        "tool": "helm-values",
        "valuesTemplate": "values.j2",
        "filePath": ".github/workflows/x.yaml",
    }
    ending = place.deploy(**wanted)
    assert (ending.code, ending.result["error"]["where"], place.commits()) == (
        3,
        ".github/workflows/x.yaml",
        1,
    )
    assert place.deploy(**wanted, environ={"PIPER_allowedPaths": ".github/workflows/*"}).code == 0
    assert place.commits() == 2


def test_a_second_run_makes_no_commit_and_succeeds(place: Place) -> None:
    place.deploy(**HELM)
    before = place.commits()
    ending = place.deploy(**HELM)
    assert (ending.code, ending.result["status"], ending.result["outputs"]["commit"]) == (
        0,
        "unchanged",
        "",
    )
    assert place.commits() == before == 2


def test_the_outputs_name_the_commit_the_branch_and_the_files(place: Place) -> None:
    outputs = place.deploy(**KUBECTL).result["outputs"]
    assert outputs["commit"] == place.server.git("rev-parse", "main", repository=place.bare).strip()
    assert (outputs["branch"], outputs["files"]) == ("main", ["app.yaml"])
    assert outputs["images"] == [
        {"name": "app", "image": f"registry.example.com/team/app:2.0@{DIGEST}"}
    ]


def test_the_commit_says_what_was_deployed_from_where(place: Place) -> None:
    place.deploy(**HELM)
    message = place.server.git("log", "-1", "--format=%an%n%B", "main", repository=place.bare)
    assert message.startswith(
        "deployer\nUpdated registry.example.com/team/app to version 2.0 in Acceptance\n"
    )
    for line in (
        "Towline-Deployment: shop",
        "Towline-Stage: Acceptance",
        f"Towline-Image: registry.example.com/team/app:2.0@{DIGEST}",
        "Towline-Build: https://ci.example.com/12",
        "Towline-Build-Number: 12",
        f"Towline-Source-Commit: {'c' * 40}",
    ):
        assert line in message.splitlines()
    assert re.search(r"^Towline-Renderer: helm v\d+\.\d+", message, re.MULTILINE)


def test_a_commit_that_nothing_was_rendered_for_names_no_renderer(place: Place) -> None:
    place.deploy(**KUBECTL)
    assert "Towline-Renderer" not in place.server.git(
        "log", "-1", "--format=%B", "main", repository=place.bare
    )


def test_a_chart_with_a_password_of_its_own_each_time_is_deployed_once_and_its_password_stays(
    place: Place,
) -> None:
    place.server.add(
        "ops",
        {
            "charts/app/templates/secret.yaml": (
                b"kind: Secret\nmetadata: {name: s}\nstringData: {pw: {{ randAlphaNum 16 }}}\n"
            )
        },
    )
    place.deploy(**HELM)
    first = place.file("out/app.yaml")
    (password,) = re.findall(r"pw: (\w{16})", first)
    again = place.deploy(**HELM)
    assert again.result["status"] == "unchanged"
    later = place.deploy(**HELM, containerImageNameTag="app:3.0")
    assert place.file("out/app.yaml") == first.replace("team/app:2.0", "team/app:3.0")
    assert password not in again.err + later.err + json.dumps(later.result)


def test_an_older_build_ends_as_superseded_and_the_file_stays(place: Place) -> None:
    place.deploy(**KUBECTL)
    newer = place.file("app.yaml")
    older = {
        "container/targetRegistryUrl": "https://registry.example.com/team",
        "container/targetImageNameTag": "app:1.9",
    }
    ending = place.deploy(**KUBECTL, environment=older, number="11")
    assert (ending.code, ending.result["status"], ending.result["error"]["category"]) == (
        8,
        "superseded",
        "custom",
    ), ending.err
    assert "build 12" in ending.message
    assert place.file("app.yaml") == newer
    commit = place.server.git("rev-parse", "main", repository=place.bare).strip()
    images = [{"name": "app", "image": f"registry.example.com/team/app:2.0@{DIGEST}"}]
    repositories = [
        {
            "repository": place.server.url("ops"),
            "branch": "main",
            "commit": "",
            "files": [],
            "newer": commit,
        }
    ]
    assert ending.result["pipelineEnvironment"] == {
        f"deployment/Acceptance/{name}": value
        for name, value in {
            "commit": commit,
            "branch": "main",
            "repositories": repositories,
            "images": images,
            "files": [],
        }.items()
    }
    outputs = {
        name: ending.result["outputs"][name]
        for name in ("commit", "files", "changes", "digestWritten", "images", "repositories")
    }
    assert outputs == {
        "commit": "",
        "files": [],
        "changes": [],
        "digestWritten": False,
        "images": images,
        "repositories": repositories,
    }
    dry = place.deploy("--dry-run", **KUBECTL, environment=older, number="11")
    assert (dry.code, dry.result["pipelineEnvironment"]) == (8, {})
    assert (
        place.deploy(**KUBECTL, environment=older, number="11", allowOlder=True).result["status"]
        == "success"
    )
    assert "app:1.9" in place.file("app.yaml")


def test_where_one_target_is_superseded_the_others_get_their_image(place: Place) -> None:
    place.deploy(**KUBECTL)
    place.server.create("other", {"app.yaml": DEPLOYMENT})
    older = {
        "container/targetRegistryUrl": "https://registry.example.com/team",
        "container/targetImageNameTag": "app:1.9",
    }
    targets = [{"branchName": "main"}, {"serverUrl": place.server.url("other")}]
    ending = place.deploy(**KUBECTL, environment=older, number="11", targets=targets)
    assert (ending.code, ending.result["outputs"]["files"]) == (8, ["app.yaml"]), ending.err
    assert "app:1.9" in place.server.git(
        "show", "main:app.yaml", repository=place.server.folder / "other.git"
    )
    assert "app:2.0" in place.file("app.yaml")
    facts = ending.result["pipelineEnvironment"]
    assert (
        facts["deployment/Acceptance/commit"]
        == place.server.git("rev-parse", "main", repository=place.bare).strip()
    )
    assert [one["image"].partition("@")[0] for one in facts["deployment/Acceptance/images"]] == [
        "registry.example.com/team/app:2.0",
        "registry.example.com/team/app:1.9",
    ]
    assert [one.keys() >= {"newer"} for one in facts["deployment/Acceptance/repositories"]] == [
        True,
        False,
    ]


def test_if_a_target_fails_the_fault_names_the_pushed_ones_and_the_next_run_does_the_rest(
    place: Place,
) -> None:
    refused, last = (
        place.server.create("other", {"app.yaml": DEPLOYMENT}),
        place.server.create("last", {"app.yaml": DEPLOYMENT}),
    )
    hook = place.server.hook("update", "other", "echo protected >&2; exit 1")
    targets = [
        {"branchName": "main"},
        *({"serverUrl": place.server.url(name)} for name in ("other", "last")),
    ]
    ending = place.deploy(**KUBECTL, targets=targets)
    assert (ending.code, ending.result["status"], "protected" in ending.message) == (
        6,
        "failure",
        True,
    ), ending.err
    commit = place.server.git("rev-parse", "main", repository=place.bare).strip()
    record = {
        "repository": place.server.url("ops"),
        "branch": "main",
        "commit": commit,
        "files": ["app.yaml"],
    }
    assert (ending.result["outputs"]["commit"], ending.result["outputs"]["repositories"]) == (
        commit,
        [record],
    )
    assert (
        f"pushed before the fault, and they stay: {place.server.url('ops')}: commit {commit[:12]}"
        " on main" in ending.err
    )
    assert ending.result["pipelineEnvironment"] == {}, "the stage is not deployed"
    hook.unlink()
    ending = place.deploy(**KUBECTL, targets=targets)
    assert (
        ending.code,
        [bool(one["commit"]) for one in ending.result["outputs"]["repositories"]],
    ) == (0, [False, True, True]), ending.err
    assert [
        place.server.git("rev-list", "--count", "main", repository=bare).strip()
        for bare in (place.bare, refused, last)
    ] == ["2", "2", "2"]


def test_where_nothing_was_pushed_before_it_a_fault_has_no_outputs(place: Place) -> None:
    place.deploy(**KUBECTL)
    ending = place.deploy(**KUBECTL, targets=[{"branchName": "main"}, {"branchName": "gone"}])
    assert (ending.code, ending.result["outputs"]) == (3, {})
    assert "pushed before" not in ending.err


def test_manifests_are_validated_before_they_are_written(place: Place) -> None:
    ending = place.deploy(**KUBECTL, validateManifests=True)
    assert ending.code == 0, ending.err
    assert "app.yaml: 0 valid for Kubernetes" in ending.err, (
        "without apiVersion its kind is unknown"
    )
    place.server.add("ops", {"app.yaml": b"apiVersion: apps/v1\n" + DEPLOYMENT})
    ending = place.deploy(**KUBECTL, validateManifests=True)
    assert (
        ending.code,
        "app.yaml, document 1, Deployment, spec: 'selector' is a required property"
        in ending.message,
    ) == (7, True), ending.err


def test_a_machine_without_the_library_says_what_to_install(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "towline.gitops.validate", raising=False)
    monkeypatch.setitem(sys.modules, "kubernetes_validate", None)
    ending = place.deploy(**KUBECTL, validateManifests=True)
    assert (ending.code, "extra validate" in ending.hint) == (9, True), ending.err


def test_the_commit_message_can_be_configured(place: Place) -> None:
    place.deploy(**KUBECTL, commitMessage="Ship it")
    assert (
        place.server.git("log", "-1", "--format=%s", "main", repository=place.bare) == "Ship it\n"
    )


def test_a_registry_of_the_step_wins_over_the_one_that_was_pushed_to(place: Place) -> None:
    place.configure("    containerRegistryUrl: https://mirror.example.com\n")
    place.deploy(**KUBECTL)
    assert '"mirror.example.com/app:2.0"' in place.file("app.yaml")


def test_the_registry_that_was_pushed_to_is_known_however_it_is_written(place: Place) -> None:
    place.configure("    containerRegistryUrl: registry.example.com/team/\n")
    place.deploy(**KUBECTL)
    assert '"registry.example.com/team/app:2.0"' in place.file("app.yaml")


def test_a_registry_of_the_general_section_is_the_builds_own_and_does_not(place: Place) -> None:
    place.configure(
        "    filePath: app.yaml\ngeneral:\n  containerRegistryUrl: https://staging.example.com\n"
    )
    place.deploy(**KUBECTL)
    assert '"registry.example.com/team/app:2.0"' in place.file("app.yaml")


def test_without_a_push_the_builds_registry_is_deployed_by_its_host_as_the_builders_push_to_it(
    place: Place,
) -> None:
    place.deploy(
        **KUBECTL,
        environment={
            "container/registryUrl": "https://staging.example.com/some/path",
            "container/imageNameTag": "app:3",
        },
    )
    assert '"staging.example.com/app:3"' in place.file("app.yaml")


def test_a_registry_with_a_port_and_a_digest_survive(place: Place) -> None:
    place.deploy(**KUBECTL, containerImageNameTag=f"host.example.com:5000/a/b:1.0@{DIGEST}")
    assert f'"host.example.com:5000/a/b:1.0@{DIGEST}"' in place.file("app.yaml")


def test_force_push_never_forces_somebody_elses_commit_away(place: Place) -> None:
    place.server.add("ops", {"other.yaml": b"a: 1\n"})
    assert place.deploy(**KUBECTL, forcePush=True).code == 0
    assert place.file("other.yaml") == "a: 1\n"
    assert place.commits() == 3


def moves(place: Place, times: int) -> None:
    """Let somebody else push just before each of the engine's first pushes is read."""
    left = iter(range(times))

    def fault(method: str, path: str) -> None:
        if method == "POST" and path.endswith("git-receive-pack") and next(left, None) is not None:
            place.server.add("ops", {f"other-{place.commits()}.yaml": b"a: 1\n"})

    place.server.fault = fault


def test_a_branch_that_moves_meanwhile_is_read_again_and_keeps_everybodys_commits(
    place: Place,
) -> None:
    moves(place, 2)
    ending = place.deploy(**KUBECTL)
    assert ending.result["status"] == "success", ending.err
    assert ending.err.count("moved meanwhile") == 2
    assert place.commits() == 4
    assert "team/app:2.0" in place.file("app.yaml")


def test_the_configured_number_of_pushes_bounds_the_attempts(place: Place) -> None:
    moves(place, 5)
    ending = place.deploy(**KUBECTL, maxPushAttempts=2)
    assert ending.code == 6
    assert place.commits() == 3


def test_a_dry_run_shows_the_exact_diff_and_commits_nothing(place: Place) -> None:
    ending = place.deploy("--dry-run", **KUBECTL)
    assert ending.code == 0, ending.err
    assert (
        '+          image: "registry.example.com/team/app:2.0"' in ending.result["outputs"]["diff"]
    )
    assert place.commits() == 1


def test_no_image_known_is_an_error(place: Place) -> None:
    ending = place.deploy(**KUBECTL, environment={})
    assert ending.code == 3
    assert "no image" in ending.message


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"filePath": "app.yaml"}, "containerName"),
        ({"tool": "helm", "filePath": "a.yaml", "deploymentName": "x"}, "chartPath"),
        ({"tool": "helm", "filePath": "a.yaml", "chartPath": "charts/app"}, "deploymentName"),
        ({"tool": "kustomize", "filePath": "k/kustomization.yaml"}, "deploymentName"),
        (
            {"tool": "helm-values", "filePath": "app.yaml", "valuesPaths": {"version": "version"}},
            "artifactVersion",
        ),
    ],
)
def test_what_a_tool_cannot_do_without_is_asked_for(
    place: Place, parameters: dict[str, Any], name: str
) -> None:
    ending = place.deploy(**parameters)
    assert ending.code == 3
    assert name in ending.message


def test_a_template_that_is_not_there_is_an_error(place: Place) -> None:
    ending = place.deploy(tool="helm-values", valuesTemplate="no.j2", filePath="a.yaml")
    assert ending.code == 3
    assert "no.j2" in ending.message


def test_a_template_outside_of_the_workspace_is_refused(place: Place) -> None:
    (place.folder.parent / "outside.j2").write_text("a: 1\n")
    assert (
        place.deploy(tool="helm-values", valuesTemplate="../outside.j2", filePath="a.yaml").code
        == 3
    )


def test_a_url_with_a_password_is_refused_without_showing_it(place: Place) -> None:
    ending = place.deploy(**KUBECTL, serverUrl="https://anna:hidden-word@git.example.com/r.git")
    assert ending.code == 3
    assert "hidden-word" not in json.dumps(ending.result) + ending.err


def test_no_secret_is_in_log_result_or_repository(place: Place) -> None:
    ending = place.deploy(**KUBECTL)
    assert PASSWORD not in json.dumps(ending.result) + ending.err + ending.out
    assert PASSWORD not in place.server.git("log", "--patch", "main", repository=place.bare)


class Echoing(LoopbackServer):
    """Refuses every request, and repeats it in the answer."""

    def answer(self, request: Request) -> Answer:
        sent = request.headers.get("authorization", "").rpartition(" ")[2]
        if not sent:
            return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        return Answer(
            status=403, headers={"Content-Type": "text/plain"}, body=f"not with {sent}\n".encode()
        )


def test_what_the_git_server_repeats_of_the_login_is_masked(place: Place) -> None:
    with Echoing() as server:
        ending = place.deploy(**KUBECTL, serverUrl=f"{server.url}/ops.git")
    assert ending.code == 4
    assert "not with ****" in ending.message


# Several images, files and targets


SEVERAL: dict[str, Any] = {
    "container/targetRegistryUrl": "https://registry.example.com/team",
    "container/targetImageNameTag": "app:2.0",
    "container/targetImageNameTags": ["app:2.0", "proxy:1.1"],
    "container/targetImageDigests": [DIGEST, OTHER],
}


def test_several_containers_get_their_own_images_in_one_commit(place: Place) -> None:
    ending = place.deploy(
        environment=SEVERAL, filePath="*.yaml", containers={"app": "app", "sidecar": "proxy"}
    )
    assert ending.code == 0, ending.err
    assert place.file("app.yaml") == (
        DEPLOYMENT.decode()
        .replace("old.example.com/app:1", "registry.example.com/team/app:2.0")
        .replace("image: proxy:1", "image: registry.example.com/team/proxy:1.1")
    )
    assert place.commits() == 2
    message = place.server.git("log", "-1", "--format=%B", "main", repository=place.bare)
    assert message.startswith(
        "Updated registry.example.com/team/app to version 2.0 in Acceptance\n\n"
        "Updated registry.example.com/team/proxy to version 1.1\n\nTowline-"
    )
    assert message.count("Towline-Image: ") == 2


def test_targets_of_one_branch_are_one_commit_and_those_of_another_repository_their_own(
    place: Place,
) -> None:
    other = place.server.create(
        "other", {"app.yaml": DEPLOYMENT, "west/app.yaml": DEPLOYMENT, "east/app.yaml": DEPLOYMENT}
    )
    targets = [
        {"filePath": "app.yaml"},
        {"serverUrl": place.server.url("other"), "filePath": "west/app.yaml"},
        {
            "serverUrl": place.server.url("other"),
            "filePath": "east/*.yaml",
            "containerName": "sidecar",
        },
    ]
    ending = place.deploy(containerName="app", targets=targets)
    assert ending.code == 0, ending.err
    assert [
        (one["repository"], one["files"]) for one in ending.result["outputs"]["repositories"]
    ] == [
        (place.server.url("ops"), ["app.yaml"]),
        (place.server.url("other"), ["east/app.yaml", "west/app.yaml"]),
    ]
    assert place.commits() == 2
    assert place.server.git("rev-list", "--count", "main", repository=other).strip() == "2"
    changed = place.server.git("diff", "--unified=0", "main~1", "main", repository=other)
    assert "+        - {name: sidecar, image: registry.example.com/team/app:2.0}" in changed
    assert place.deploy(containerName="app", targets=targets).result["status"] == "unchanged"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"filePth": "x"}, "'filePth' cannot be set"),
        ({"password": "x"}, "'password' cannot be set"),
        ({"allowPlainHttp": True}, "'allowPlainHttp' cannot be set"),
        ({"targets": []}, "'targets' cannot be set"),
        ({"containerName": "c"}, "filePath is not set"),
        ({"filePath": "f", "tool": "helmm"}, "tool is"),
        ({"filePath": "f", "tool": "helm"}, "chartPath is not set"),
    ],
)
def test_a_target_that_is_wrong_is_refused_with_its_place(
    place: Place, target: dict[str, Any], says: str
) -> None:
    ending = place.deploy(containerName="app", targets=[{"filePath": "app.yaml"}, target])
    assert ending.code == 3
    assert says in ending.message
    assert place.commits() == 1


def test_a_pinned_digest_is_written_and_said(place: Place) -> None:
    ending = place.deploy(**KUBECTL, pinDigest=True)
    assert f'"registry.example.com/team/app:2.0@{DIGEST}"' in place.file("app.yaml")
    assert ending.result["outputs"]["digestWritten"] is True
    assert place.deploy(**KUBECTL).result["outputs"]["digestWritten"] is False


# Checks before anything is written


def test_a_pod_that_cannot_pull_is_a_warning_and_where_required_an_error(place: Place) -> None:
    assert "names neither imagePullSecrets" in place.deploy("--dry-run", **KUBECTL).err
    ending = place.deploy(**KUBECTL, requirePullSecret=True)
    assert (ending.code, ending.where, place.commits()) == (3, "app.yaml", 1)


def test_pods_that_cannot_pull_are_one_warning_of_a_run_and_none_where_nothing_changes(
    place: Place,
) -> None:
    place.server.create("other", {"app.yaml": DEPLOYMENT})
    call: dict[str, Any] = {
        **HELM,
        "targets": [
            {},
            {"filePath": "out/b.yaml"},
            {"serverUrl": place.server.url("other"), **KUBECTL, "tool": "kubectl"},
        ],
    }
    first = place.deploy(**call)
    assert (first.code, first.err.count("imagePullSecrets nor")) == (0, 1), first.err
    assert (
        "Pod shop in out/app.yaml, Pod shop in out/b.yaml, Deployment in app.yaml name neither"
        in first.err
    )
    again = place.deploy(**call)
    assert (again.result["status"], again.err.count("imagePullSecrets")) == ("unchanged", 0)


def test_an_image_that_is_not_in_its_registry_is_not_deployed(place: Place) -> None:
    with FakeRegistry(username="puller", password="pull-pass-word") as registry:
        environment = {**SEVERAL, "container/targetRegistryUrl": f"{registry.url}/team"}
        login = {
            "PIPER_targetRegistryUser": "puller",
            "PIPER_targetRegistryPassword": "pull-pass-word",
        }
        ending = place.deploy(environ=login, environment=environment, **KUBECTL)
        assert (ending.code, place.commits()) == (3, 1)
        assert "team/app:2.0 does not exist" in ending.message
        assert (
            place.deploy(environ=login, environment=environment, **KUBECTL, checkImage=False).code
            == 0
        )


def test_each_target_says_whether_its_image_has_to_exist(place: Place) -> None:
    with FakeRegistry() as registry:
        environment = {**SEVERAL, "container/targetRegistryUrl": f"{registry.url}/team"}
        ending = place.deploy(environment=environment, **KUBECTL, targets=[{"checkImage": True}])
        assert (ending.code, place.commits()) == (3, 1), ending.err
        assert "team/app:2.0 does not exist" in ending.message
        wanted = {**KUBECTL, "checkImage": True, "targets": [{"checkImage": False}]}
        assert place.deploy(environment=environment, **wanted).code == 0


def test_without_a_login_nobody_asks_a_registry(place: Place) -> None:
    with FakeRegistry() as registry:
        assert (
            place.deploy(
                environment={**SEVERAL, "container/targetRegistryUrl": f"{registry.url}/team"},
                **KUBECTL,
            ).code
            == 0
        )
        assert registry.requests == ()


# Output


def test_the_outputs_name_what_stood_there_and_what_stands_there_now(place: Place) -> None:
    outputs = place.deploy(**KUBECTL).result["outputs"]
    assert outputs["changes"] == [
        {
            "file": "app.yaml",
            "name": "app",
            "old": "old.example.com/app:1",
            "new": "registry.example.com/team/app:2.0",
        }
    ]
    assert outputs["seconds"] > 0
    assert outputs["repositories"][0]["commit"] == outputs["commit"]


def test_a_chart_that_does_not_take_the_image_is_an_error_or_what_image_check_says(
    place: Place,
) -> None:
    text = "no value that is read in out/app.yaml names registry.example.com/team/app:2.0"
    assert text not in place.deploy(**HELM).err
    place.server.add(
        "ops",
        {
            "charts/app/templates/pod.yaml": (
                b"kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image:"
                b" other/app:1}]}\n"
            )
        },
    )
    before = place.commits()
    ending = place.deploy(**HELM)
    assert (ending.code, place.commits()) == (3, before)
    assert ending.message.startswith(f"{text}")
    assert "it names other/app:1 (Pod p, c)" in ending.message
    assert "imageCheck: warn" in ending.result["error"]["hint"]
    warned = place.deploy(**HELM, imageCheck="warn")
    assert (warned.code, place.commits()) == (0, before + 1)
    assert f"warning: {text}" in warned.err
    silent = place.deploy(**HELM, imageCheck="off")
    assert (silent.code, text in silent.err) == (0, False)


def test_a_key_that_a_workload_does_not_have_is_no_place_that_is_read(place: Place) -> None:
    place.server.add("ops", {"app.yaml": b"apiVersion: apps/v1\n" + DEPLOYMENT})
    for path in ("spec.img", "spec.template.spec.img"):
        ending = place.deploy(filePath="app.yaml", imagePath=path, createPaths=True)
        assert (ending.code, place.commits()) == (3, 2), ending.err
        assert "it names old.example.com/app:1 (Deployment, app)" in ending.message


def test_helm_names_every_image_that_was_rendered(place: Place) -> None:
    assert place.deploy(**HELM).result["outputs"]["changes"] == [
        {
            "file": "out/app.yaml",
            "name": "Pod shop, app",
            "old": "",
            "new": "registry.example.com/team/app:2.0",
        }
    ]


def test_the_stage_leaves_its_facts_in_the_pipeline_environment_new_or_not(place: Place) -> None:
    first, second = (place.deploy(**KUBECTL).result for _ in range(2))
    facts = first["pipelineEnvironment"]
    assert facts["deployment/Acceptance/commit"] == first["outputs"]["commit"]
    assert facts["deployment/Acceptance/branch"] == "main"
    assert facts["deployment/Acceptance/images"] == [
        {"name": "app", "image": f"registry.example.com/team/app:2.0@{DIGEST}"}
    ]
    assert facts["deployment/Acceptance/files"] == ["app.yaml"]
    assert (
        second["pipelineEnvironment"]["deployment/Acceptance/commit"] == first["outputs"]["commit"]
    )


def test_a_dry_run_prints_the_diff_and_leaves_no_facts(place: Place) -> None:
    ending = place.deploy("--dry-run", **KUBECTL)
    assert ending.out.startswith("diff --git ")
    assert '\n+          image: "registry.example.com/team/app:2.0"\n' in ending.out
    assert "dry run: would change app.yaml on main" in ending.err
    assert ending.result["pipelineEnvironment"] == {}
    place.deploy(**KUBECTL)
    again = place.deploy("--dry-run", **KUBECTL)
    assert again.out == ""
    assert "would change nothing on main" in again.err


def test_a_dry_run_as_json_has_the_diff_in_its_outputs_alone(place: Place) -> None:
    ending = place.deploy("--dry-run", "--json", **KUBECTL)
    assert json.loads(ending.out) == ending.result
    assert ending.result["outputs"]["diff"].startswith("diff --git ")


def test_a_secret_of_the_run_that_stands_in_the_repository_is_in_no_result(place: Place) -> None:
    place.server.create("other", {"app.yaml": DEPLOYMENT + f"# {PASSWORD}\n".encode()})
    ending = place.deploy(
        "--dry-run",
        "--json",
        serverUrl=place.server.url("other"),
        filePath="app.yaml",
        containerName="sidecar",
    )
    assert "-        - {name: sidecar, image: proxy:1}" in ending.result["outputs"]["diff"]
    assert PASSWORD not in json.dumps(ending.result) + ending.out + ending.err


def test_a_chart_s_own_version_is_deployed_without_any_image(place: Place) -> None:
    ending = place.deploy(
        tool="helm-values",
        filePath="charts/app/Chart.yaml",
        valuesPaths={"version": "version"},
        environment={"artifactVersion": "0.2.0+7"},
    )
    assert ending.code == 0, ending.err
    assert place.file("charts/app/Chart.yaml") == CHART["charts/app/Chart.yaml"].decode().replace(
        "0.1.0", "0.2.0+7"
    )
    assert (
        place.server.git("log", "-1", "--format=%s", "main", repository=place.bare)
        == "Updated charts/app/Chart.yaml to version 0.2.0+7 in Acceptance\n"
    )
    assert ending.result["outputs"]["digestWritten"] is False


def test_a_values_file_of_the_repository_is_edited_in_place(place: Place) -> None:
    ending = place.deploy(tool="helm-values", filePath="charts/*/values.yaml", pinDigest=True)
    assert ending.code == 0, ending.err
    assert (
        place.file("charts/app/values.yaml")
        == f'image: {{repository: registry.example.com/team/app, tag: "2.0", digest: {DIGEST}}}\n'
    )
    assert ending.result["outputs"]["digestWritten"] is True


def test_what_aliases_share_changes_for_all_and_two_targets_do_not_write_over_each_other(
    place: Place,
) -> None:
    place.server.add(
        "ops",
        {
            "app.yaml": (
                b"x: &i old\nspec: {containers: [{name: app, image: *i}, {name: side, image:"
                b" *i}]}\n"
            )
        },
    )
    targets = [
        {"containerName": "app"},
        {"containerName": "side", "containerImageNameTag": "side:3"},
    ]
    ending = place.deploy(filePath="app.yaml", targets=targets, yamlAliases="all")
    assert (ending.code, ending.message) == (
        7,
        "two different values for one place in app.yaml",
    ), ending.err
    ending = place.deploy(
        filePath="app.yaml",
        targets=[{"containerName": "app"}, {"containerName": "side"}],
        yamlAliases="all",
    )
    assert (ending.code, place.file("app.yaml").count("registry.example.com/team/app:2.0")) == (
        0,
        1,
    ), ending.err
    assert (
        "app.yaml:1:7: x is shared, and changes for line 2 (spec.containers[0].image) and line 2"
        " (spec.containers[1].image), too" in ending.err
    )


def test_two_targets_that_mean_one_place_are_refused_instead_of_the_last_one_winning(
    place: Place,
) -> None:
    targets = [
        {"containerName": "app"},
        {"containerName": "app", "containerImageNameTag": "other:3"},
    ]
    before = place.file("app.yaml")
    ending = place.deploy(tool="kubectl", filePath="app.yaml", targets=targets)
    assert (ending.code, ending.message, ending.where) == (
        7,
        "two different values for one place in app.yaml",
        "app.yaml",
    ), ending.err
    charts = {"tool": "helm", "chartPath": "charts/app", "deploymentName": "app"}
    ending = place.deploy(
        targets=[
            {**charts, "filePath": "out.yaml"},
            {**charts, "filePath": "./out.yaml", "namespace": "other"},
        ]
    )
    assert (ending.code, ending.message) == (
        3,
        "two targets write the whole of out.yaml",
    ), ending.err
    assert place.file("app.yaml") == before


def test_a_tag_is_not_written_beside_another_image_s_repository(place: Place) -> None:
    image = "%s: {image: {repository: registry.example.com/team/%s, tag: '1'}}\n"
    text = image % ("app", "app") + image % ("cart", "cart")
    place.server.add("ops", {"values.yaml": text.encode()})
    call: dict[str, Any] = {"tool": "helm-values", "filePath": "values.yaml"}
    paths = [{"app.image.tag": "tag"}, {"cart.image.tag": "tag"}]
    for given in (
        {"valuesPaths": paths[0] | paths[1]},
        {"targets": [{"valuesPaths": one} for one in paths]},
    ):
        ending = place.deploy(**call, **given)
        assert (ending.code, ending.message.partition(",")[0]) == (
            3,
            "cart.image belongs to another image: registry.example.com/team/cart:2.0 (cart.image)",
        ), ending.err
    assert place.file("values.yaml") == text
    assert place.deploy(**call, valuesPaths=paths[0]).code == 0


def test_one_target_may_edit_what_another_one_before_it_renders(place: Place) -> None:
    rendered = {
        "tool": "helm",
        "chartPath": "charts/app",
        "deploymentName": "app",
        "filePath": "out.yaml",
    }
    edited = {
        "tool": "kubectl",
        "filePath": "out.yaml",
        "containerName": "app",
        "containerImageNameTag": "other:3",
    }
    place.server.add("ops", {"out.yaml": b"an older: rendering\n"})
    ending = place.deploy(targets=[rendered, edited])
    assert ending.code == 0, ending.err
    assert "registry.example.com/team/other:3" in place.file("out.yaml")


def test_what_was_deployed_here_before_tells_which_container_of_the_name_is_meant(
    place: Place,
) -> None:
    two = "".join(
        f"---\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: app,"
        f" image: old.example.com/{name}:1}}]}}\n"
        for name in ("shop", "cart")
    )
    place.server.add("ops", {"app.yaml": two.encode()})
    renamed = place.deploy(**KUBECTL, containerImageNameTag="store:2")
    assert (renamed.code, "resource: kind/name" in renamed.result["error"]["hint"]) == (3, True)
    assert place.deploy(**KUBECTL, containerImageNameTag="shop:2", number="1").code == 0
    place.server.add("ops", {"README.md": b"somebody else"})
    ending = place.deploy(**KUBECTL, containerImageNameTag="store:2", number="2")
    assert ending.code == 0, ending.err
    assert place.file("app.yaml") == two.replace(
        "old.example.com/shop:1", "registry.example.com/team/store:2"
    )
    assert (
        "left alone where another image stands: Deployment/cart in app.yaml"
        " (old.example.com/cart:1)" in ending.err
    )
    ending = place.deploy(
        **KUBECTL, containerImageNameTag="other:3", resource="Deployment/cart", number="3"
    )
    assert "registry.example.com/team/other:3" in place.file("app.yaml")
    assert "registry.example.com/team/store:2" in place.file("app.yaml")


def test_the_log_says_what_is_replaced_by_what_and_nothing_where_nothing_is(place: Place) -> None:
    lines = place.deploy(**KUBECTL).err.splitlines()
    assert [line for line in lines if " -> " in line] == [
        "  app.yaml: app: old.example.com/app:1 -> registry.example.com/team/app:2.0"
    ]
    assert " -> " not in place.deploy(**KUBECTL).err


def test_what_a_kustomization_reads_tells_whether_its_new_entry_is_needed(place: Place) -> None:
    place.server.add(
        "ops",
        {
            "over/kustomization.yaml": b"resources: [../base]\n",
            "base/kustomization.yaml": b"resources: [d.yaml]\n",
            "base/d.yaml": DEPLOYMENT,
        },
    )
    call: dict[str, Any] = {"tool": "kustomize", "filePath": "over/kustomization.yaml"}
    ending = place.deploy(
        **call,
        deploymentName="old.example.com/ap",
        targets=[{}, {"tool": "kubectl", "filePath": "app.yaml", "containerName": "app"}],
    )
    assert ending.code == 0, ending.err
    assert (
        "which none of its resources runs; known images: old.example.com/app, proxy; did"
        " you mean old.example.com/app?" in ending.err
    )
    assert (
        "gets an entry"
        not in place.deploy("--dry-run", **call, deploymentName="old.example.com/app").err
    )
    assert (
        "gets an entry"
        not in place.deploy("--dry-run", **call, deploymentName="other", imageCheck="off").err
    )


def test_an_entry_that_nothing_runs_is_said_with_every_run_and_the_next_image_for_it_is_an_error(
    place: Place,
) -> None:
    place.server.add(
        "ops",
        {
            "over/a/kustomization.yaml": b"resources: [../../base/deep/er, ../../pods]\n",
            "pods/kustomization.yaml": b"resources: [p]\n",
            "base/deep/er/kustomization.yaml": b"resources: [d.yaml]\n",
            "base/deep/er/d.yaml": DEPLOYMENT,
            "pods/p": b"kind: Pod\n",
        },
    )
    call: dict[str, Any] = {
        "tool": "kustomize",
        "filePath": "over/a/kustomization.yaml",
        "deploymentName": "ap",
    }
    text = (
        "an entry for an image called ap, which none of its resources runs; known images:"
        " old.example.com/app, proxy"
    )
    added = place.deploy(**call)
    assert (added.result["status"], added.err.count(text)) == ("success", 1)
    for words in ((), ("--dry-run",)):
        again = place.deploy(*words, **call)
        assert (again.code, again.err.count(text), place.commits()) == (0, 1, 3), again.err
    assert text not in place.deploy(**call, imageCheck="off").err
    new: dict[str, Any] = {
        "environment": {
            **SEVERAL,
            "container/targetImageNameTag": "app:3.0",
            "container/targetImageNameTags": ["app:3.0"],
        }
    }
    for words in ((), ("--dry-run",)):
        ending = place.deploy(*words, **call, **new)
        assert (ending.code, ending.where, text in ending.message, place.commits()) == (
            3,
            "over/a/kustomization.yaml",
            True,
            3,
        )
    warned = place.deploy(**call, **new, imageCheck="warn")
    assert (warned.result["status"], warned.err.count(text), place.commits()) == ("success", 1, 4)


def test_values_that_the_chart_beside_them_does_not_read_are_said_with_every_run(
    place: Place,
) -> None:
    place.server.add("ops", {"charts/app/env/prod.yaml": b"replicas: 1\n"})
    call: dict[str, Any] = {
        "tool": "helm-values",
        "filePath": "charts/app/env/prod.yaml",
        "createPaths": True,
    }
    text = "has the image in img, which the chart does not read: its templates read image"
    for status in ("success", "unchanged"):
        ending = place.deploy(**call, containers={"img": "app"})
        assert (ending.result["status"], ending.err.count(text)) == (status, 1), ending.err
    assert (
        "does not read" not in place.deploy(**call, containers={"img": "app"}, imageCheck="off").err
    )
    assert "does not read" not in place.deploy(**call, containers={"image": "app"}).err


def test_an_override_of_argo_for_an_image_that_its_kustomization_does_not_run_is_said(
    place: Place,
) -> None:
    application = (
        b"apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    repoURL: %s\n "
        b"   path: base/app\n    kustomize: {images: ['ap=x:1']}\n"
        % place.server.url("ops").encode()
    )
    place.server.add(
        "ops",
        {
            "argo.yaml": application,
            "base/app/kustomization.yaml": b"resources: [d.yaml]\n",
            "base/app/d.yaml": DEPLOYMENT,
        },
    )
    call: dict[str, Any] = {"filePath": "argo.yaml", "imagePath": "spec.source.kustomize.images[0]"}
    text = (
        "argo.yaml has an entry for an image called ap, which no resource of base/app runs; known"
        " images: old.example.com/app, proxy"
    )
    for status in ("success", "unchanged"):
        ending = place.deploy(**call)
        assert (ending.result["status"], ending.err.count(text)) == (status, 1), ending.err
    assert text not in place.deploy(**call, imageCheck="off").err


@pytest.mark.parametrize(
    "content",
    [
        (b"../nowhere", 0o120000),
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    ],
)
def test_what_cannot_be_looked_at_stops_no_deployment(
    place: Place, content: bytes | tuple[bytes, int]
) -> None:
    place.server.add("ops", {"k/a.yaml": content})
    ending = place.deploy(tool="kustomize", filePath="k/kustomization.yaml", deploymentName="app")
    assert (ending.result["status"], "none of its" in ending.err) == ("success", False), ending.err


# Sources of a chart's files


def test_a_chart_takes_folders_of_the_repository_by_links_and_by_file(place: Place) -> None:
    common: dict[str, bytes | tuple[bytes, int]] = {
        "libs/common/Chart.yaml": b"apiVersion: v2\nname: common\nversion: 1.0.0\n",
        "libs/common/templates/c.yaml": b"kind: Common\n",
        "libs/other/Chart.yaml": b"apiVersion: v2\nname: other\nversion: 1.0.0\n",
        "libs/other/templates/o.yaml": b"kind: Other\n",
        "libs/other/files": (b"../common/templates", 0o120000),
    }
    depends = (
        b"dependencies: [{name: common, version: 1.0.0, repository: 'file://../../libs/common'}]\n"
    )
    common |= {
        "charts/app/Chart.yaml": CHART["charts/app/Chart.yaml"] + depends,
        "charts/app/charts/other": (b"../../../libs/other", 0o120000),
    }
    place.server.add("ops", common)
    ending = place.deploy(**HELM)
    assert ending.code == 0, ending.err
    sources = re.findall(r"^# Source: (.*)", place.file("out/app.yaml"), re.MULTILINE)
    assert sources == [
        "app/templates/pod.yaml",
        "app/charts/common/templates/c.yaml",
        "app/charts/other/templates/o.yaml",
    ]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (b"../../..", "is a symbolic link that leads out of the repository"),
        (b"../../../nothing", "which is not a file"),
        (b"..", "in which it lies itself"),
    ],
)
def test_a_link_in_a_chart_that_leads_nowhere_is_named(
    place: Place, target: bytes, said: str
) -> None:
    place.server.add("ops", {"charts/app/charts/other": (target, 0o120000)})
    ending = place.deploy(**HELM)
    assert (ending.code, ending.result["status"]) == (3, "failure")
    assert said in ending.err
    assert "charts/app/charts/other" in ending.err


def test_a_chart_at_the_root_of_a_repository_does_not_take_the_rest_along(place: Place) -> None:
    chart = {path.removeprefix("charts/app/"): content for path, content in CHART.items()}
    place.server.add(
        "ops",
        {**chart, "docs/large.bin": os.urandom(1_000_000), "templates/all.yaml": b"kind: All\n"},
    )
    before = len(place.server.requests)
    ending = place.deploy(**HELM | {"chartPath": "."})
    assert ending.code == 0, ending.err
    assert "kind: All" in place.file("out/app.yaml")
    assert sum(request.sent for request in place.server.requests[before:]) < 500_000


def test_a_packed_chart_of_the_repository_is_rendered(place: Place) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path, content in CHART.items():
            member = tarfile.TarInfo(path.removeprefix("charts/"))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    place.server.add("ops", {"packed/app-0.1.0.tgz": archive.getvalue()})
    ending = place.deploy(**HELM | {"chartPath": "packed/app-0.1.0.tgz"})
    assert ending.code == 0, ending.err
    assert "'registry.example.com/team/app:2.0'" in place.file("out/app.yaml")


def test_a_chart_that_another_one_depends_on_comes_from_a_host_that_a_trusted_layer_allows(
    place: Place,
) -> None:
    with Shelf() as shelf:
        shelf.offer(packed(more=b"x"))
        depends = (
            f"dependencies: [{{name: redis, version: 18.1.2, repository: '{shelf.url}/charts'}}]\n"
        )
        place.server.add(
            "ops", {"charts/app/Chart.yaml": CHART["charts/app/Chart.yaml"] + depends.encode()}
        )
        place.configure(f"    chartRepositories: [{shelf.host}]\n")
        ending = place.deploy(**HELM)
        assert ending.code != 0, "what the project says does not count"
        assert len(shelf.requests) == 0
        place.configure("")
        ending = place.deploy(**HELM, environ={"PIPER_chartRepositories": shelf.host})
        assert ending.code == 0, ending.err
        assert f"chart redis 18.1.2 from {shelf.url}/charts" in ending.err


def test_a_dry_run_shows_that_a_secret_changes_and_not_what_it_holds(place: Place) -> None:
    place.server.add(
        "ops",
        {
            "charts/app/templates/secret.yaml": (
                b"kind: Secret\nmetadata: {name: s}\nstringData: {pw: hidden-{{ .Values.image.tag"
                b" }}}\n"
            )
        },
    )
    first = place.deploy("--dry-run", **HELM)
    assert first.code == 0, first.err
    place.deploy(**HELM)
    assert "hidden-2.0" in place.file("out/app.yaml")
    later = place.deploy("--dry-run", **HELM, containerImageNameTag="app:3.0")
    for ending in (first, later):
        assert "hidden" not in ending.out + ending.err + json.dumps(ending.result)
    diff = later.result["outputs"]["diff"].splitlines()
    assert [line for line in diff if "stringData" in line] == [
        '-stringData: {pw: "****1"}',
        '+stringData: {pw: "****2"}',
    ]
    assert any(line.startswith("+") and "team/app:3.0" in line for line in diff)
