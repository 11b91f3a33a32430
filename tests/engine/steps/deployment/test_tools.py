from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine.steps.deployment.test_images import ONE, PUSHED, TWO, images
from tests.trust import addressees
from towline.console import Console
from towline.contract import Build
from towline.errors import ConfigError, MachineError, RenderError
from towline.gitops.deployment_history import BranchHistory
from towline.gitops.helm.chart import HelmChart
from towline.gitops.helm.renderer import Cluster, HelmProgram
from towline.gitops.notes import Notes
from towline.steps.deployment.tools import TargetPlan, plan_target
from towline.steps.task import Task

IMAGE = "reg.example.com/team/app"
VALUES = (
    b"image:\n  repository: old\n  tag: '1'\nproxy: {image: {repository: old, tag: '1', digest:"
    b" sha256:old}}\n"
)


def planned(
    folder: Path, environ: Mapping[str, str] | None = None, **parameters: Any
) -> TargetPlan:
    environment = {**PUSHED, "artifactVersion": "2.0+7"}
    settings = images(environment, **{"containerName": "", **parameters}).settings
    task = Task(
        settings=settings,
        pipeline_environment=environment,
        stage="",
        build=Build(),
        folder=folder,
        environ=environ or {},
        console=Console(log),
        dry_run=False,
        addressees=addressees(settings),
    )
    return plan_target(task, notes, BranchHistory())


notes = Notes()
log = io.StringIO()


def changed(folder: Path, files: Mapping[str, bytes], **parameters: Any) -> dict[str, str]:
    change = planned(folder, **parameters).change
    wanted = {path: files[path] for path in change.wants(sorted(files))}
    return {path: data.decode() for path, data in change.apply(wanted).items()}


def refusal(folder: Path, **parameters: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        planned(folder, **parameters)
    assert caught.value.hint
    return caught.value


def test_kubectl_sets_each_container_its_image_in_every_file_that_fits(tmp_path: Path) -> None:
    pod = b"spec: {containers: [{name: web, image: a}, {name: side, image: b}]}\n"
    found = changed(
        tmp_path,
        {"a.yaml": pod, "b/c.yaml": pod, "d.txt": pod},
        filePath="**/*.yaml",
        containers={"web": "app", "side": "side"},
    )
    result = (
        pod.decode()
        .replace("image: a", f"image: {IMAGE}:2.0")
        .replace("image: b", "image: reg.example.com/team/tools/side:2.0")
    )
    assert found == {"a.yaml": result, "b/c.yaml": result}


def test_kubectl_sets_an_image_at_a_path_of_another_shape(tmp_path: Path) -> None:
    data = b"kind: Database\nspec:\n  image: old:1 # here\n"
    assert changed(tmp_path, {"f": data}, imagePath="spec.image") == {
        "f": data.decode().replace("old:1", f"{IMAGE}:2.0")
    }


def test_kustomize_writes_name_and_tag_or_the_pinned_digest(tmp_path: Path) -> None:
    data = b"images:\n- name: x\n  newTag: '1'\n"
    call: dict[str, Any] = {"tool": "kustomize", "deploymentName": "x"}
    assert set(changed(tmp_path, {"f": data}, **call)["f"].splitlines()) == {
        "images:",
        "- name: x",
        "  newTag: '2.0'",
        f"  newName: {IMAGE}",
    }
    pinned = changed(tmp_path, {"f": data}, **call, pinDigest=True)["f"]
    assert f"digest: '{ONE}'" in pinned
    assert "newTag" not in pinned
    several = changed(tmp_path, {"f": data}, **call, containers={"x": "app", "y": "side"})["f"]
    assert several.count("newName") == 2


def test_helm_is_given_images_cluster_and_values_files_of_both_places(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text("a: 1\n")
    change = planned(
        tmp_path,
        tool="helm",
        deploymentName="d",
        chartPath="/c/",
        containers={"image": "app", "p.image": "side"},
        pinDigest=True,
        helmValues=["here.yaml", "there.yaml"],
        kubeVersion="1.31",
        apiVersions=["a/v1"],
        namespace="n",
    ).change
    assert isinstance(change, HelmChart)
    assert {key: (one.repository, one.tag, one.digest) for key, one in change.images.items()} == {
        "image": (IMAGE, "2.0", ONE),
        "p.image": ("reg.example.com/team/tools/side", "2.0", TWO),
    }
    assert [(one.name, one.content) for one in change.values_files] == [
        ("here.yaml", b"a: 1\n"),
        ("there.yaml", None),
    ]
    assert (change.chart_path, change.namespace, change.cluster) == (
        "c",
        "n",
        Cluster(kube_version="1.31", api_versions=("a/v1",)),
    )


@pytest.mark.parametrize("program", ["{here}/bin/helm", "bin/helm", "helm", "{link}"])
def test_helm_is_not_run_from_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    here, link = tmp_path / "workspace", tmp_path / "helm"
    here.mkdir()
    link.symlink_to(here / "bin" / "helm")
    monkeypatch.chdir(here)
    call: dict[str, Any] = {"tool": "helm", "deploymentName": "d", "chartPath": "c"}
    with pytest.raises(MachineError, match="helm is not run from the workspace"):
        planned(here, {"TOWLINE_HELM": program.format(here=here, link=link)}, **call)
    assert planned(here, {"TOWLINE_HELM": "/opt/helm"}, **call).renderer == HelmProgram(
        program="/opt/helm"
    )


def test_helm_values_sets_the_usual_keys(tmp_path: Path) -> None:
    assert changed(tmp_path, {"f": VALUES}, tool="helm-values") == {
        "f": VALUES.decode().replace("old", IMAGE, 1).replace("'1'", "'2.0'", 1)
    }


def test_helm_values_sets_the_keys_of_several_images_and_leaves_no_old_digest(
    tmp_path: Path,
) -> None:
    found = changed(
        tmp_path,
        {"f": VALUES},
        tool="helm-values",
        containers={"image": "app", "proxy.image": "side"},
    )["f"]
    assert (
        "proxy: {image: {repository: reg.example.com/team/tools/side, tag: '2.0', digest: \"\"}}"
        in found
    )
    pinned = changed(
        tmp_path,
        {"f": VALUES},
        tool="helm-values",
        containers={"image": "app", "proxy.image": "side"},
        pinDigest=True,
    )["f"]
    assert f"  tag: '2.0'\n  digest: {ONE}\n" in pinned
    assert f"digest: {TWO}}}" in pinned


def test_helm_values_writes_what_paths_ask_for(tmp_path: Path) -> None:
    parts = {
        "a": "image",
        "b": "repository",
        "c": "registry",
        "d": "name",
        "e": "tag",
        "f": "digest",
        "g": "tag of side",
        "v": "version",
    }
    found = changed(tmp_path, {"f": b"z: 1\n"}, tool="helm-values", valuesPaths=parts)["f"]
    assert found.splitlines() == [
        "z: 1",
        f"a: {IMAGE}:2.0",
        f"b: {IMAGE}",
        "c: reg.example.com",
        "d: team/app",
        'e: "2.0"',
        f"f: {ONE}",
        'g: "2.0"',
        "v: 2.0+7",
    ]


def test_a_value_that_holds_more_than_an_image_keeps_it(tmp_path: Path) -> None:
    data = (
        b"spec: {source: {kustomize: {images: ['web:1', other=x]}, url: 'docker://old/app:1',"
        b" version: '>=1, <2'}}\n"
    )
    paths = {
        "spec.source.kustomize.images[0]": "image of app",
        "spec.source.url": "repository of app",
        "spec.source.version": "version",
    }
    after = (
        data.decode()
        .replace("'web:1'", f"'web={IMAGE}:2.0'")
        .replace("old/app:1", IMAGE)
        .replace(">=1, <2", "2.0+7")
    )
    assert changed(tmp_path, {"f": data}, tool="helm-values", valuesPaths=paths) == {"f": after}
    assert changed(tmp_path, {"f": data}, imagePath="spec.source.url")[
        "f"
    ] == data.decode().replace("old/app:1", f"{IMAGE}:2.0")
    usual = changed(
        tmp_path, {"f": b"image: {repository: 'oci://old/app', tag: ' 1'}\n"}, tool="helm-values"
    )["f"]
    assert usual == f"image: {{repository: 'oci://{IMAGE}', tag: ' 2.0'}}\n"


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        ({"a": "tagg"}, "is not a part"),
        ({"a": "tag of nobody"}, "no image is called 'nobody'"),
    ],
)
def test_a_path_that_asks_for_nothing_known_is_refused(
    tmp_path: Path, paths: dict[str, str], says: str
) -> None:
    assert says in refusal(tmp_path, tool="helm-values", valuesPaths=paths).message


def test_a_part_that_an_image_does_not_have_is_refused(tmp_path: Path) -> None:
    assert (
        "the tag of reg.example.com"
        in refusal(
            tmp_path,
            tool="helm-values",
            valuesPaths={"a": "tag"},
            containerImageNameTag=f"app@{ONE}",
        ).message
    )


def test_a_template_is_given_the_image_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("x: {{ image.reference }} {{ image.digest }}\n")
    call: dict[str, Any] = {"tool": "helm-values", "valuesTemplate": "t.j2"}
    assert changed(tmp_path, {}, **call) == {"f": f"x: {IMAGE}:2.0 {ONE}\n"}
    assert changed(tmp_path, {}, **call, pinDigest=True) == {"f": f"x: {IMAGE}:2.0@{ONE} {ONE}\n"}


SHARED = (
    b"x: &image old\nspec: {containers: [{name: one, image: *image}, {name: two, image: *image}]}\n"
)


def test_what_becomes_of_aliases_is_the_projects_word(tmp_path: Path) -> None:
    alone: dict[str, Any] = {
        "filePath": "x.yaml",
        "containerName": "one",
        "containerImageNameTag": "app:1",
    }
    with pytest.raises(RenderError, match="repeated in line 2"):
        changed(tmp_path, {"x.yaml": SHARED}, **alone)
    image = "reg.example.com/team/app:1"
    assert changed(tmp_path, {"x.yaml": SHARED}, **alone, yamlAliases="all") == {
        "x.yaml": SHARED.decode().replace("old", image)
    }
    assert changed(tmp_path, {"x.yaml": SHARED}, **alone, yamlAliases="own") == {
        "x.yaml": SHARED.decode().replace("*image", image, 1)
    }


def test_two_images_for_what_aliases_share_are_refused_and_one_is_not(tmp_path: Path) -> None:
    several: dict[str, Any] = {"filePath": "x.yaml", "yamlAliases": "all"}
    with pytest.raises(RenderError, match="two different values for one place"):
        changed(tmp_path, {"x.yaml": SHARED}, **several, containers={"one": "app", "two": "side"})
    notes.clear()
    assert list(
        changed(tmp_path, {"x.yaml": SHARED}, **several, containers={"one": "app", "two": "app"})
    ) == ["x.yaml"]
    assert [one.old for one in notes.replaced] == ["old", notes.replaced[0].new], (
        "what is only checked notes nothing"
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"filePath": "../x", "containerName": "c"},
        {"tool": "helm-values", "filePath": "f", "valuesTemplate": "../x.j2"},
    ],
)
def test_a_path_that_is_none_is_refused_with_the_place_of_its_parameter(
    tmp_path: Path, parameters: dict[str, Any]
) -> None:
    assert refusal(tmp_path, **parameters).where == "parameter of the call"


def test_a_path_outside_of_the_workspace_is_said_to_be_none_of_it(tmp_path: Path) -> None:
    assert (
        "is not a path inside the workspace"
        in refusal(tmp_path, tool="helm-values", valuesTemplate="/etc/x.j2").message
    )


def test_a_path_of_the_registry_that_does_not_count_is_a_warning(
    tmp_path: Path,
) -> None:
    planned(tmp_path, containerName="c", containerRegistryUrl="https://reg.example.com/other")
    assert (
        "the path 'other' of containerRegistryUrl is ignored (parameter of the call)"
        in log.getvalue()
    )


def test_the_check_that_all_edits_hold_notes_nothing(tmp_path: Path) -> None:
    pod = b"spec: {containers: [{name: web, image: a}, {name: side, image: b}]}\n"
    notes.clear()
    several = {"web": "app", "side": "side"}
    assert list(changed(tmp_path, {"x.yaml": pod}, filePath="x.yaml", containers=several))
    assert [one.old for one in notes.replaced] == ["a", "b"]
