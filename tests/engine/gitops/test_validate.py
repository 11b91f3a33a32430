from __future__ import annotations

import pytest

import towline.gitops.validate as module
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
    assert (
        check(f"---\n{POD}{OTHERS}", "v1.30")[0]
        == "  a/app.yaml: 1 valid for Kubernetes 1.30, 4 of unknown kind skipped"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POD + "  restartPolice: Never\n", "document 1, Pod, spec: "),
        (
            f"{POD}---\n{POD.replace('app:1', '1')}",
            "document 2, Pod, spec.containers.0.image: 1 is not",
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {}}\n",
            "document 1, Deployment, spec: 'selector' is a required property",
        ),
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


@pytest.mark.parametrize(
    ("text", "version", "kind"),
    [
        (POD, "latest", ConfigError),
        (POD, "9.99", ConfigError),
        ("a: {{ b }}: c\n", "", RenderError),
    ],
)
def test_a_version_and_a_text_that_nobody_knows_are_faults(
    text: str, version: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        check(text, version)


def nested(levels: int, uses: int) -> str:
    """A list in which each level holds the one below it `uses` times, all but the first by an
    alias.
    """
    text = "&a0 [x]"
    for level in range(1, levels):
        text = f"&a{level} [{text}{f', *a{level - 1}' * (uses - 1)}]"
    return text


def test_aliases_stand_for_no_more_than_can_be_walked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    custom = "apiVersion: example.com/v1\nkind: Other\nspec: {{a: {}}}\n"
    assert check(custom.format(nested(4, 9)))[0].endswith("1 of unknown kind skipped")
    with pytest.raises(
        RenderError, match=r"the aliases of a/app\.yaml stand for more than 500000 values"
    ) as caught:
        check(f"{POD}---\n{custom.format(nested(9, 9))}")
    assert caught.value.where == "a/app.yaml:7"
    with pytest.raises(RenderError, match="stand for more than"):
        check("apiVersion: v1\nkind: ConfigMap\ndata: &a {b: *a}\n")
    monkeypatch.setattr(module, "MAX_VALUES", 7)
    assert check("{a: &a [1], b: *a}")
    with pytest.raises(RenderError, match="stand for more than 7 values"):
        check("{a: &a [1, 1], b: *a}")


def test_what_is_nested_too_deep_is_refused_before_it_is_read() -> None:
    assert check("[" * 499 + "]" * 499)
    with pytest.raises(RenderError, match="nested deeper than 500 levels"):
        check("[" * 100_000)
