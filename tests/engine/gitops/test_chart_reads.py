from __future__ import annotations

import pytest

from towline.gitops.chart_reads import looks, unread

CHART = {
    "c/Chart.yaml": b"name: app\n",
    "c/values.yaml": b"replicas: 1\n",
    "c/prod.yaml": b"imagee: {tag: '1'}\n",
    "c/templates/a.yaml": b"image: {{ .Values.image.repository }}\n{{ $.Values.other }}\n",
}


def told(more: dict[str, bytes], path: str = "c/prod.yaml", key: str = "imagee") -> list[str]:
    files = {one: data for one, data in {**CHART, **more}.items() if data != b"gone"}
    return unread(path, [key], files, sorted({**CHART, **more}))[0]


def test_a_key_that_no_template_reads_is_told_with_what_they_read() -> None:
    assert unread("c/prod.yaml", ["imagee", "image"], CHART, sorted(CHART)) == (
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
    assert looks("c/prod.yaml", ["image"], CHART, new=False) == folders
    assert looks("c/prod.yaml", ["replicas"], CHART, new=False) == set()
    assert looks("c/values.yaml", ["replicas"], CHART, new=False) == set()
    assert looks("c/values.yaml", ["replicas"], CHART, new=True) == folders
    assert looks("c/templates/a.yaml", ["image"], CHART, new=True) == set()
    assert looks("d/prod.yaml", ["image"], {**CHART, "d/prod.yaml": b"a: b\n"}, new=True) == set()
