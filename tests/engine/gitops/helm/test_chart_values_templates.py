from __future__ import annotations

import pytest

from towline.gitops.helm.chart_values import (
    prepends_global_registry,
    reader_folders,
    registry_template_paths,
    unread_keys,
)

CHART = {
    "c/Chart.yaml": b"name: app\n",
    "c/values.yaml": b"replicas: 1\n",
    "c/prod.yaml": b"imagee: {tag: '1'}\n",
    "c/templates/a.yaml": b"image: {{ .Values.image.repository }}\n{{ $.Values.other }}\n",
}


def told(more: dict[str, bytes], path: str = "c/prod.yaml", key: str = "imagee") -> list[str]:
    files = {one: data for one, data in {**CHART, **more}.items() if data != b"gone"}
    return unread_keys(path, [key], files, sorted({**CHART, **more}))[0]


def test_a_key_that_no_template_reads_is_told_with_what_they_read() -> None:
    assert unread_keys("c/prod.yaml", ["imagee", "image"], CHART, sorted(CHART)) == (
        ["imagee"],
        {"image", "other"},
    )
    assert told({}, key="replicas") == told({}, key="global") == told({}, key="image") == []


@pytest.mark.parametrize(
    "more",
    [
        {"c/templates/b.yaml": b"{{ toYaml .Values }}"},
        {"c/templates/b.yaml": b'{{ index .Values "imagee" }}'},
        {"c/templates/b.yaml": b"{{ tpl .Values.image . }}"},
        {"c/templates/b.yaml": b'{{ .Files.Get "prod.yaml" }}'},
        {"c/templates/b.yaml": b"gone"},
        {"c/charts/x/Chart.yaml": b"name: x\n"},
        {"c/requirements.yaml": b""},
        {"c/Chart.yaml": b"dependencies: [{name: common}]\n"},
        {"c/Chart.yaml": b"gone"},
        {"c/templates/a.yaml": b"gone"},
        {"c/prod.yaml": b"kind: HelmRelease\n"},
    ],
)
def test_where_something_else_may_read_it_nothing_is_told(more: dict[str, bytes]) -> None:
    assert told(more) == []


def test_the_templates_are_looked_at_only_where_they_may_tell_something() -> None:
    folders = {"c/templates/", "c/charts/"}
    assert reader_folders("c/prod.yaml", ["image"], CHART, new=False) == folders
    assert reader_folders("c/prod.yaml", ["replicas"], CHART, new=False) == set()
    assert reader_folders("c/values.yaml", ["replicas"], CHART, new=False) == set()
    assert reader_folders("c/values.yaml", ["replicas"], CHART, new=True) == folders
    assert reader_folders("c/templates/a.yaml", ["image"], CHART, new=True) == set()
    assert (
        reader_folders("d/prod.yaml", ["image"], {**CHART, "d/prod.yaml": b"a: b\n"}, new=True)
        == set()
    )


def joined(more: dict[str, bytes]) -> bool | None:
    return prepends_global_registry("c/prod.yaml", {**CHART, **more})


def test_whether_a_chart_puts_a_registry_before_all_images_is_read_in_all_its_templates() -> None:
    reads = b"{{ (.Values.global).imageRegistry }}"
    below = {"c/Chart.yaml": b"dependencies: [{name: x}]\n", "c/charts/x/templates/a": b"a"}
    assert joined({}) is False
    assert joined({"c/templates/b": reads}) is joined({**below, "c/charts/x/templates/b": reads})
    assert joined({"c/templates/b": reads}) is True
    assert joined({"c/charts/x/README.md": reads}) is joined(below) is False
    assert joined({"c/Chart.yaml": b"dependencies: [{name: x}]\n"}) is None
    assert prepends_global_registry("d/prod.yaml", CHART) is None


def test_its_templates_are_looked_at_only_where_values_have_such_a_registry() -> None:
    listing = [*CHART, "c/charts/x/templates/a", "c/charts/x/README.md", "d/templates/b"]
    assert registry_template_paths("c/prod.yaml", CHART, listing) == set()
    files = {**CHART, "c/values.yaml": b"global: {imageRegistry: x}\n"}
    assert registry_template_paths("c/prod.yaml", files, listing) == {
        "c/charts/",
        "c/charts/x/templates/a",
        "c/templates/",
        "c/templates/a.yaml",
    }
