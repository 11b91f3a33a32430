"""Library and program against each other: with the program of this machine where there is one,
and with Helm 3 and 4 where Go builds them (extra).

What counts are the documents. Blank lines at a document's end, and a separator before a file's
first one, change with Helm's version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from tests.engine.gitops.charts import CHART_YAML, as_bytes, chart
from tests.engine.gitops.helm.test_chart import RANDOM
from tests.engine.gitops.helm_programs import HERE, NO_HELM, VERSIONS, built
from towline.errors import RenderError
from towline.gitops.helm.chart import HelmChart, ValuesFile
from towline.gitops.helm.image_values import ImageValues
from towline.gitops.helm.manifests import RenderedDocument, is_equal, split_documents
from towline.gitops.helm.renderer import Cluster, HelmLibrary, HelmProgram, Renderer

SAME: dict[str, dict[str, str]] = {
    "plain": chart(),
    "order": chart(
        b="kind: Zebra",
        a="kind: Rollout\n---\nkind: Service\n---kind: Job\n",
        n="kind: Namespace\n\n\n",
    ),
    "hooks": chart(
        h="kind: Pod\nmetadata: {annotations: {helm.sh/hook: test}}\n",
        g="kind: Job\nmetadata:\n  annotations:\n    helm.sh/hook: pre-install\n",
        u="kind: Pod\nmetadata: {annotations: {helm.sh/hook: crd-install}}\n",
    ),
    "empty": (
        chart(
            a="---\n\n---\nkind: A\n", b="# only a comment\n", c="{{ if false }}kind: No{{ end }}"
        )
        | {"chart/app/templates/NOTES.txt": "Hello"}
    ),
    "numbers": (
        chart(a="kind: n\na: {{ .Values.a }} {{ .Values.b }} {{ .Values.c | toJson }}")
        | {"chart/app/values.yaml": "a: 10000000\nb: 1.0\nc: 0123\n"}
    ),
    "block": chart(
        a="kind: ConfigMap\ndata:\n  a: |+\n    one\n\n\n",
        b="kind: ConfigMap\ndata: {a: 'ä\U0001f600'}",
    ),
    "block inside": chart(
        a="kind: ConfigMap\ndata:\n  a: |+\n    one\n\n\n  b: >-\n    two\n\n    three\n"
    ),
    "versions": chart(
        a=(
            "kind: V\nk: {{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.KubeVersion.Minor"
            ' | int | lt 20 }}\nh: {{ .Capabilities.APIVersions.Has "batch/v1" }}\nr: {{ .Release |'
            " toJson }}"
        )
    ),
    "nothing of its own": chart(deployment=""),
}
BROKEN = {
    "nil": {"chart/app/templates/bad.yaml": "a: 1\nx: {{ .Values.a.b.c }}"},
    "yaml": {"chart/app/templates/bad.yaml": "a: b\n\tx: ["},
    "library": {"chart/app/Chart.yaml": CHART_YAML + "type: library\n"},
    "version": {"chart/app/Chart.yaml": CHART_YAML + "kubeVersion: '>=1.99.0'\n"},
    "dependency": {
        "chart/app/Chart.yaml": (
            CHART_YAML + "dependencies: [{name: redis, version: 1.0.0, repository:"
            " 'https://charts.example.com'}]\n"
        )
    },
    "values": {"chart/app/values.yaml": "a: [\n"},
    "head": {"chart/app/templates/bad.yaml": "kind: [a]\n"},
}


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("here", marks=pytest.mark.skipif(HERE is None, reason=NO_HELM)),
        *(pytest.param(major, marks=pytest.mark.extra) for major in VERSIONS),
    ],
)
def program(request: pytest.FixtureRequest) -> str:
    return str(HERE) if request.param == "here" else built(request.param)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster that the library assumes.

    A program that was built without the settings of its release assumes the oldest Kubernetes.
    """
    text = rendered(
        chart(deployment="", v="kind: V\nversion: {{ .Capabilities.KubeVersion.Version }}\n"),
        HelmLibrary(),
    )
    return Cluster(kube_version=text.rpartition("version: ")[2].strip())


def rendered(
    files: Mapping[str, str], renderer: Renderer, cluster: Cluster | None = None, *, old: str = ""
) -> str:
    one = HelmChart(
        chart_path="chart/app",
        file_path="manifest.yaml",
        release="demo",
        images={"image": ImageValues(repository="host/app", tag="1.0")},
        values_files=(ValuesFile(name="v", content=b"extra: {a: 1.5, b: null}\n"),),
        cluster=cluster or Cluster(),
        renderer=renderer,
    )
    return one.apply(as_bytes({**files, "manifest.yaml": old}))["manifest.yaml"].decode()


def given(
    files: Mapping[str, str], renderer: Renderer, cluster: Cluster | None = None
) -> list[RenderedDocument] | RenderError:
    try:
        return split_documents(rendered(files, renderer, cluster))
    except RenderError as refusal:
        return refusal


@pytest.mark.parametrize("name", SAME)
def test_library_and_program_give_the_same_documents(
    name: str, program: str, cluster: Cluster
) -> None:
    library, other = (
        given(SAME[name], HelmLibrary()),
        given(SAME[name], HelmProgram(program=program), cluster),
    )
    if isinstance(library, RenderError) or isinstance(other, RenderError):
        assert str(library) == str(other)
    else:
        assert [one.source for one in library] == [one.source for one in other]
        assert [
            one.text for one, twin in zip(library, other, strict=True) if not is_equal(one, twin)
        ] == []


@pytest.mark.parametrize("name", sorted(SAME.keys() - {"nothing of its own"}))
def test_what_one_has_rendered_the_other_leaves_as_it_is(
    name: str, program: str, cluster: Cluster
) -> None:
    old = rendered(SAME[name], HelmLibrary())
    assert rendered(SAME[name], HelmProgram(program=program), cluster, old=old) == old
    old = rendered(SAME[name], HelmProgram(program=program), cluster)
    assert rendered(SAME[name], HelmLibrary(), old=old) == old


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_program_refuses_the_library_refuses_too_at_the_same_file(
    name: str, program: str, cluster: Cluster
) -> None:
    library, other = (
        given(chart() | BROKEN[name], HelmLibrary()),
        given(chart() | BROKEN[name], HelmProgram(program=program), cluster),
    )
    assert isinstance(library, RenderError)
    assert isinstance(other, RenderError)
    assert library.where.removesuffix("/Chart.yaml") == other.where.removesuffix("/Chart.yaml")


def test_the_program_says_its_version(program: str) -> None:
    assert re.match(r"helm v[34]\.", HelmProgram(program=program).version())


@pytest.mark.parametrize("name", RANDOM)
def test_what_differs_by_itself_stays_whichever_of_them_renders(
    name: str, program: str, cluster: Cluster
) -> None:
    many = "many: {a: 1, b: 2, c: 3, d: 4}\n"
    files = chart(random=RANDOM[name]) | {"chart/app/values.yaml": many}
    old = rendered(files, HelmLibrary())
    assert rendered(files, HelmProgram(program=program), cluster, old=old) == old
    old = rendered(files, HelmProgram(program=program), cluster)
    assert rendered(files, HelmLibrary(), old=old) == old
