from __future__ import annotations

import pytest

from towline.errors import ConfigError, RenderError
from towline.gitops.validate import Validator

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: app, annotations: {since: 2026-01-02}}
spec:
  containers: [{name: app, image: app:1}]
"""
OTHERS = """\
---
{apiVersion: argoproj.io/v1alpha1, kind: Rollout}
---
{apiVersion: apps.example.com/v1, kind: Deployment}
---
[a]
---
{apiVersion: v1, kind: ../x}
"""


def check(text: str, version: str = "") -> list[str]:
    said: list[str] = []
    Validator(version, say=said.append).check("a/app.yaml", text.encode())
    return said


def test_what_fits_passes_and_unknown_kinds_are_counted() -> None:
    assert check(f"---\n{POD}{OTHERS}", "v1.30")[0] == "  a/app.yaml: 1 valid for Kubernetes 1.30, 4 of unknown kind skipped"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POD + "  restartPolice: Never\n", "document 1, Pod, spec: "),
        (f"{POD}---\n{POD.replace('app:1', '1')}", "document 2, Pod, spec.containers.0.image: 1 is not"),
        ("apiVersion: apps/v1\nkind: Deployment\nspec: {template: {}}\n", "document 1, Deployment, spec: 'selector' is a required property"),
    ],
)
def test_what_does_not_fit_is_named_by_file_document_and_path(text: str, said: str) -> None:
    with pytest.raises(RenderError) as caught:
        check(text)
    assert caught.value.message.startswith("a/app.yaml, ")
    assert said in caught.value.message


def test_the_content_of_a_secret_is_not_shown() -> None:
    with pytest.raises(RenderError) as caught:
        check("apiVersion: v1\nkind: Secret\ndata: {a: 4711}\n")
    assert "data.a: does not fit" in caught.value.message
    assert "4711" not in caught.value.message


@pytest.mark.parametrize(("text", "version", "kind"), [(POD, "latest", ConfigError), (POD, "9.99", ConfigError), ("a: {{ b }}: c\n", "", RenderError)])
def test_a_version_and_a_text_that_nobody_knows_are_faults(text: str, version: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        check(text, version)
