"""The parts of the sample project fit each other; README, demo and Groovy test use it."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from towline.gitops.helm.chart import HelmChart, ValuesFile
from towline.gitops.helm.image_values import ImageValues
from towline.gitops.values_template import TemplateImage, TemplateVariables, ValuesTemplate

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "azure-demo-k8s-go"
LISTING = sorted(str(path.relative_to(SAMPLE)) for path in SAMPLE.rglob("*") if path.is_file())
CONFIG: dict[str, Any] = yaml.safe_load((SAMPLE / ".pipeline/config.yml").read_text())
STEP = CONFIG["steps"]["gitOpsUpdateDeployment"]
REPOSITORY = (
    CONFIG["steps"]["imagePushToRegistry"]["targetRegistryUrl"].removeprefix("https://")
    + "/azure-demo-k8s-go"
)
STAGES = [name for name, section in CONFIG["stages"].items() if "filePath" in section]


def rendered(file_path: str = "manifest.yaml", *, tag: str, values: str = "") -> str:
    change = HelmChart(
        chart_path=STEP["chartPath"],
        file_path=file_path,
        release=STEP["deploymentName"],
        images={"image": ImageValues(repository=REPOSITORY, tag=tag)},
        values_files=(ValuesFile(name="values", content=values.encode()),),
    )
    return change.apply({path: (SAMPLE / path).read_bytes() for path in change.wants(LISTING)})[
        file_path
    ].decode()


def values_of(template: str, **image: str) -> str:
    named = {
        "registry": "registry.example.com:5000",
        "repository": "team/demo",
        "tag": "1.0.0",
        "digest": "",
    } | image
    variables = TemplateVariables(
        image=TemplateImage(**named, reference="unused"),
        stage="Preview",
        deployment=STEP["deploymentName"],
    )
    change = ValuesTemplate(
        template_name=template,
        template_text=(SAMPLE / template).read_text(),
        file_path="values.yaml",
        variables=variables,
    )
    return change.apply({})["values.yaml"].decode()


def test_the_configuration_is_the_published_sample_byte_for_byte() -> None:
    digest = hashlib.sha256((SAMPLE / ".pipeline/config.yml").read_bytes()).hexdigest()
    assert digest == "3220f00c67f8d8cd1915cf446f9d3d8fa3289a7d8d9f68993033f2cd348b69c7"


def test_the_jenkinsfile_is_the_library_and_one_line() -> None:
    assert (
        SAMPLE / "Jenkinsfile"
    ).read_text() == "@Library('towline') _\ntowlinePipeline script: this\n"


def test_three_stages_deploy() -> None:
    assert sorted(STAGES) == ["Acceptance", "Performance", "Release"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_s_manifest_is_what_the_chart_renders_for_the_version_before(stage: str) -> None:
    path = CONFIG["stages"][stage]["filePath"]
    assert (SAMPLE / path).read_text() == rendered(path, tag="0.9.0")


def test_the_next_version_changes_the_image_s_line_and_no_other() -> None:
    changes = list(
        difflib.ndiff(rendered(tag="0.9.0").splitlines(), rendered(tag="1.0.0").splitlines())
    )
    assert [line for line in changes if line[0] in "+-"] == [
        f'-           image: "{REPOSITORY}:0.9.0"',
        f'+           image: "{REPOSITORY}:1.0.0"',
    ]


def test_the_chart_gives_a_service_account_a_service_and_a_deployment_that_fit_each_other() -> None:
    account, service, deployment = yaml.safe_load_all(rendered(tag="1.0.0"))
    assert [one["kind"] for one in (account, service, deployment)] == [
        "ServiceAccount",
        "Service",
        "Deployment",
    ]
    pod = deployment["spec"]["template"]
    assert (
        deployment["spec"]["selector"]["matchLabels"]
        == pod["metadata"]["labels"]
        == service["spec"]["selector"]
    )
    assert (
        pod["spec"]["serviceAccountName"] == account["metadata"]["name"] == STEP["deploymentName"]
    )
    container = pod["spec"]["containers"][0]
    assert (
        service["spec"]["ports"][0]["targetPort"]
        == container["ports"][0]["name"]
        == container["livenessProbe"]["httpGet"]["port"]
    )


def test_what_the_chart_offers_beyond_that_renders_too() -> None:
    ingress_values = (
        "ingress: {enabled: true, className: nginx, tlsSecretName: tls, annotations: {a: b}}\n"
    )
    values = (
        "serviceAccount: {create: false}\nimagePullSecrets: [{name: target}]\n" + ingress_values
    )
    _, deployment, ingress = yaml.safe_load_all(rendered(tag="1.0.0", values=values))
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == "default"
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "target"}]
    assert ingress["spec"]["tls"][0]["hosts"] == [ingress["spec"]["rules"][0]["host"]]


def test_the_preview_has_a_template_and_no_values_yet() -> None:
    assert [path for path in LISTING if path.startswith("environments/")] == [
        "environments/preview/values.yaml.j2"
    ]


def test_the_preview_s_values_are_values_of_the_chart() -> None:
    text = values_of("environments/preview/values.yaml.j2", digest="sha256:" + "a" * 64)
    values = yaml.safe_load(text)
    assert values["image"] == {
        "repository": "registry.example.com:5000/team/demo",
        "tag": "1.0.0",
        "digest": "sha256:" + "a" * 64,
    }
    known = yaml.safe_load((SAMPLE / STEP["chartPath"] / "values.yaml").read_text())
    assert set(values) <= set(known)
    assert all(set(values[key]) <= set(known[key]) for key in ("image", "ingress"))
    ingress = list(yaml.safe_load_all(rendered(tag="1.0.0", values=text)))[-1]
    assert ingress["spec"]["rules"][0]["host"] == "azure-demo-k8s-go.preview.example.com"


def test_without_a_digest_the_preview_s_values_name_none() -> None:
    assert "digest" not in yaml.safe_load(values_of("environments/preview/values.yaml.j2"))["image"]
