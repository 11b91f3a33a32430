"""The library's output, compared with the output of `helm template` (Helm 4.2.3).

`test_helm_programs` compares both.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.gitops.charts import CHART_YAML, chart, write
from towline.errors import RenderError
from towline.gitops.render.process import RenderLimits, render_document

IMAGE = json.dumps({"image": {"repository": "host/app", "tag": "1.0"}})


def rendered(
    folder: Path,
    files: dict[str, str],
    *values: tuple[str, str],
    limits: RenderLimits | None = None,
) -> str:
    path = write(folder, files) / "chart" / "app"
    request = {
        "charts": [str(path)],
        "release": "demo",
        "namespace": "prod",
        "values": [*values, ("image", IMAGE)],
    }
    return render_document("helm_library", request, limits=limits or RenderLimits())


def fault(folder: Path, files: dict[str, str], *values: tuple[str, str]) -> RenderError:
    with pytest.raises(RenderError) as caught:
        rendered(folder, files, *values)
    return caught.value


def test_a_chart_is_printed_as_helm_template_prints_it(tmp_path: Path) -> None:
    files = chart(
        service="kind: Service\nname: {{ .Release.Name }}\n",
        hook="kind: Pod\nmetadata: {annotations: {helm.sh/hook: test}}\n",
    )
    files |= {
        "chart/app/templates/NOTES.txt": "Hello",
        "chart/app/templates/_helpers.tpl": "kind: No",
        "chart/app/crds/crd.yaml": "kind: Crd\n",
    }
    text = rendered(tmp_path, files)
    assert text.startswith(
        "---\n# Source: app/templates/service.yaml\nkind: Service\nname: demo\n\n---\n# Source:"
        " app/templates/deployment.yaml\n"
    )
    assert text.endswith(
        'image: "host/app:1.0"\n---\n# Source: app/templates/hook.yaml\nkind: Pod\nmetadata:'
        " {annotations: {helm.sh/hook: test}}\n\n"
    )
    assert "Hello" not in text
    assert "Crd" not in text


def test_later_values_win_maps_merge_and_null_deletes(tmp_path: Path) -> None:
    files = chart(values="kind: Values\nall: {{ .Values | toJson }}\n") | {
        "chart/app/values.yaml": "a: {x: 1, w: 2}\nlist: [1, 2]\ngone: 1\n"
    }
    text = rendered(
        tmp_path,
        files,
        ("one.yaml", "a: {w: 3, z: 4}\nlist: [3]\n"),
        ("two.yaml", "a: {z: 5}\ngone: null\n"),
    )
    line = next(line for line in text.splitlines() if line.startswith("all: "))
    values = json.loads(line.removeprefix("all: "))
    assert values == {
        "a": {"x": 1, "w": 3, "z": 5},
        "list": [3],
        "image": {"repository": "host/app", "tag": "1.0"},
    }


def test_a_subchart_is_switched_by_its_condition(tmp_path: Path) -> None:
    files = chart() | {
        "chart/app/Chart.yaml": (
            CHART_YAML + "dependencies: [{name: sub, version: 1.0.0, repository: '', condition:"
            " sub.enabled}]\n"
        ),
        "chart/app/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        "chart/app/charts/sub/templates/a.yaml": "kind: Sub\n",
    }
    assert "# Source: app/charts/sub/templates/a.yaml\nkind: Sub\n" in rendered(tmp_path, files)
    assert "kind: Sub" not in rendered(tmp_path, files, ("v", "sub: {enabled: false}"))


def test_a_dependency_that_is_not_there_is_named(tmp_path: Path) -> None:
    files = chart() | {
        "chart/app/Chart.yaml": (
            CHART_YAML + "dependencies: [{name: redis, version: 1.0.0, repository:"
            " 'https://charts.example.com'}]\n"
        )
    }
    found = fault(tmp_path, files)
    assert (found.message, found.where) == (
        "charts/ lacks what Chart.yaml depends on: redis",
        "Chart.yaml",
    )
    assert "helm dependency build" in found.hint


def test_a_library_chart_is_refused(tmp_path: Path) -> None:
    assert (
        "library chart"
        in fault(
            tmp_path, chart() | {"chart/app/Chart.yaml": CHART_YAML + "type: library\n"}
        ).message
    )


def test_a_chart_for_another_kubernetes_is_refused_with_the_way_out(tmp_path: Path) -> None:
    found = fault(
        tmp_path, chart() | {"chart/app/Chart.yaml": CHART_YAML + "kubeVersion: '>=1.99.0'\n"}
    )
    assert "needs Kubernetes >=1.99.0" in found.message
    assert "`helm` on PATH" in found.hint


def test_a_chart_for_this_kubernetes_renders(tmp_path: Path) -> None:
    files = chart(
        versions=(
            '{{ if semverCompare ">=1.19-0" .Capabilities.KubeVersion.GitVersion }}kind: Fits{{'
            " end }}"
        )
    )
    assert "kind: Fits" in rendered(
        tmp_path, files | {"chart/app/Chart.yaml": CHART_YAML + "kubeVersion: '>=1.19.0-0'\n"}
    )


def test_values_that_are_no_yaml_name_their_file(tmp_path: Path) -> None:
    found = fault(tmp_path, chart(), ("environments/prod.yaml", "a: [\n"))
    assert found.message.startswith("not a values file: ")
    assert found.where == "environments/prod.yaml"
    assert "line 1" in found.message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("x: {{ .Values.a.b.c }}", "app/templates/bad.yaml:1:13"),
        ('x: {{ required "name the host" .Values.host }}', "name the host"),
        ('x: {{ include "nothing" . }}', "nothing"),
        ("x: {{ nofunction 1 }}", '"nofunction" not defined'),
        ('{{ define "r" }}{{ include "r" . }}{{ end }}{{ include "r" . }}', "nested reference"),
    ],
)
def test_a_template_that_fails_says_what_helm_says(
    tmp_path: Path, template: str, message: str
) -> None:
    assert message in fault(tmp_path, chart(bad=template)).message


def test_a_document_that_is_no_yaml_names_its_template(tmp_path: Path) -> None:
    found = fault(tmp_path, chart(bad="a: b\n\tx: ["))
    assert found.message.startswith("rendered document is not valid: ")
    assert found.where == "app/templates/bad.yaml"


def test_values_that_break_the_chart_s_schema_name_the_key(tmp_path: Path) -> None:
    schema = {"properties": {"replicas": {"type": "integer"}}}
    files = chart() | {"chart/app/values.schema.json": json.dumps(schema)}
    assert "/replicas" in fault(tmp_path, files, ("v", "replicas: many")).message


def test_what_helmignore_names_is_left_out(tmp_path: Path) -> None:
    assert "kind: No" not in rendered(
        tmp_path, chart(ignored="kind: No") | {"chart/app/.helmignore": "templates/ignored.yaml\n"}
    )


def test_a_chart_that_loops_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="took longer than 1 seconds"):
        rendered(
            tmp_path,
            chart(bad="{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}"),
            limits=RenderLimits(seconds=1),
        )


def test_a_chart_that_eats_memory_is_stopped(tmp_path: Path) -> None:
    assert "more memory" in fault(tmp_path, chart(bad='{{ repeat 2000000000 "x" }}')).message
