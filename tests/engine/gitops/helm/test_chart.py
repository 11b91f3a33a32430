from __future__ import annotations

import io
import json
import os
import signal
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine.gitops.charts import CHART_YAML, as_bytes, chart, fake_helm
from towline.errors import ConfigError, MachineError, RenderError
from towline.gitops.candidates import Choice
from towline.gitops.helm.chart import HelmChart, ValuesFile
from towline.gitops.helm.image_values import ImageValues
from towline.gitops.helm.renderer import Cluster, HelmLibrary, HelmProgram, Rendering
from towline.gitops.manifest_images import pods_in_file
from towline.gitops.notes import Replaced
from towline.gitops.render.process import RenderLimits
from towline.private_folder import sweep
from towline.retry import Clock


def change(**given: Any) -> HelmChart:
    image = ImageValues(repository="host/app", tag=given.pop("image_tag", "1.0"))
    return HelmChart(
        **{
            "chart_path": "chart/app",
            "file_path": "manifest.yaml",
            "release": "demo",
            "images": {"image": image},
            **given,
        }
    )


def applied(files: Mapping[str, str], **given: Any) -> str:
    one = change(**given)
    contents = as_bytes(files)
    return one.apply({path: contents[path] for path in one.wants(sorted(contents))})[
        one.file_path
    ].decode()


def fault(files: Mapping[str, str], **given: Any) -> RenderError:
    with pytest.raises(RenderError) as caught:
        applied(files, **given)
    return caught.value


# Wanted paths


def test_the_chart_s_files_the_values_of_the_repository_and_the_file_itself_are_wanted() -> None:
    listing = [
        "README.md",
        "chart/app/Chart.yaml",
        "chart/app/templates/a.yaml",
        "chart/apple/Chart.yaml",
        "manifest.yaml",
        "prod.yaml",
    ]
    one = change(
        values_files=(ValuesFile(name="prod.yaml"), ValuesFile(name="README.md", content=b""))
    )
    assert list(one.wants(listing)) == [
        "chart/app/Chart.yaml",
        "chart/app/templates/a.yaml",
        "manifest.yaml",
        "prod.yaml",
    ]


@pytest.mark.parametrize("path", ["chart/app/", "./chart/app", "/chart/app"])
def test_a_chart_path_may_be_written_with_dot_and_slashes(path: str) -> None:
    assert list(change(chart_path=path).wants(["chart/app/Chart.yaml", "x"])) == [
        "chart/app/Chart.yaml"
    ]


@pytest.mark.parametrize("path", [".", "./", ""])
def test_the_repository_itself_may_be_the_chart(path: str) -> None:
    files = {name.removeprefix("chart/app/"): text for name, text in chart().items()}
    assert 'image: "host/app:1.0"' in applied(
        files | {"manifest.yaml": "kind: {{ broken"}, chart_path=path
    )


def test_a_chart_that_is_not_there_lists_those_that_are() -> None:
    listing = [
        "charts/two/Chart.yaml",
        "helm/one/Chart.yaml",
        "helm/one/charts/sub/Chart.yaml",
        "other/Chart.yaml",
    ]
    with pytest.raises(
        ConfigError, match="chart 'deploy' does not exist in the repository"
    ) as caught:
        change(chart_path="deploy").wants(listing)
    assert caught.value.hint == "known: charts/two, helm/one, other"
    with pytest.raises(ConfigError) as caught:
        change(chart_path="helm/on").wants(listing)
    assert caught.value.hint == "did you mean 'helm/one'?"
    with pytest.raises(ConfigError) as caught:
        change().wants(["README.md"])
    assert caught.value.hint == "no folder of the repository holds a Chart.yaml"


def test_a_values_file_that_is_not_there_is_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"values file 'env/prod.yml' is neither in the workspace nor in the repository",
    ) as caught:
        change(values_files=(ValuesFile(name="env/prod.yml"),)).wants(
            ["chart/app/Chart.yaml", "env/prod.yaml"]
        )
    assert caught.value.hint == "did you mean 'env/prod.yaml'?"


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"release": "Demo"}, "deploymentName"),
        ({"release": "a" * 54}, "deploymentName"),
        ({"release": "-rf"}, "deploymentName"),
        ({"release": ""}, "deploymentName"),
        ({"namespace": "a_b"}, "namespace"),
        ({"namespace": "a" * 64}, "namespace"),
        ({"image_tag": ""}, "containerImageNameTag"),
        ({"image_tag": "sha256:" + "a" * 64}, "containerImageNameTag"),
        ({"file_path": "chart/app/templates/manifest.yaml"}, "filePath"),
        ({"file_path": "chart/app/charts/sub/manifest.yaml"}, "filePath"),
    ],
)
def test_what_helm_cannot_take_is_refused_before_anything_is_read(
    given: dict[str, str], where: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        change(**given).wants(["chart/app/Chart.yaml"])
    assert caught.value.where == where


@pytest.mark.parametrize("path", ["../chart", "chart/../../x", "chart//app"])
def test_a_chart_path_outside_of_the_repository_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="not a path inside the repository"):
        change(chart_path=path).wants(["chart/app/Chart.yaml"])


# Renderings


def test_the_chart_is_rendered_with_the_image_release_and_namespace() -> None:
    text = applied(chart(), namespace="prod")
    assert text.startswith("---\n# Source: app/templates/deployment.yaml\napiVersion: apps/v1\n")
    assert "name: demo\n  namespace: prod\n" in text
    assert "replicas: 2\n" in text
    assert text.endswith('image: "host/app:1.0"\n')


def test_no_namespace_is_helm_s_default() -> None:
    assert "namespace: default\n" in applied(chart(), namespace="")


def test_a_second_rendering_gives_the_same_bytes_whatever_the_file_holds() -> None:
    files = chart(service="kind: Service\n", config="kind: ConfigMap\n")
    first = applied(files)
    assert applied(files | {"manifest.yaml": first}) == first


def test_what_is_written_is_no_part_of_the_chart_that_it_comes_from() -> None:
    files = {
        name.removeprefix("chart/app/"): text
        for name, text in chart(
            old='kind: Old\nsize: {{ len (.Files.Get "manifest.yaml") }}\n'
        ).items()
    }
    assert "size: 0\n" in applied(
        files | {"manifest.yaml": "what was rendered before"}, chart_path="."
    )


@pytest.mark.parametrize(
    "tag",
    [
        "1.0,replicas=9",
        "1.0\nevil",
        "{{ .Values }}",
        "1.0@sha256:" + "a" * 64,
        "007",
        "true",
        'a"b\\',
    ],
)
def test_an_image_s_tag_is_one_text_whatever_is_in_it(tag: str) -> None:
    files = chart(deployment="", tag="kind: Tag\ntag: {{ .Values.image.tag | toJson }}\n")
    line = next(
        line for line in applied(files, image_tag=tag).splitlines() if line.startswith("tag: ")
    )
    assert json.loads(line.removeprefix("tag: ")) == tag


def test_values_files_lie_over_the_chart_s_and_under_the_image_in_their_order() -> None:
    one = ValuesFile(name="env/prod.yaml")
    two = ValuesFile(name="local.yaml", content=b"replicas: 5\nimage: {tag: other}\n")
    files = chart() | {"env/prod.yaml": "replicas: 4\n"}
    assert "replicas: 4\n" in applied(files, values_files=(two, one))
    text = applied(files, values_files=(one, two))
    assert "replicas: 5\n" in text
    assert "host/app:1.0" in text


def test_a_chart_that_renders_to_nothing_is_refused() -> None:
    files = {path: text for path, text in chart().items() if "templates" not in path}
    assert fault(files).message == "chart 'chart/app' renders to nothing"


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    applied(chart())
    fault(chart(bad="{{ .Values.a.b }}"))
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_leads_outside_of_the_chart_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ConfigError, match="not a path inside the repository"):
        change().apply(as_bytes(chart() | {"chart/app/../../../../evil": "x"}))
    assert list(tmp_path.rglob("evil")) == []


@pytest.mark.parametrize(
    ("template", "where", "message"),
    [
        (
            "a: 1\nx: {{ .Values.a.b.c }}",
            "chart/app/templates/bad.yaml:2",
            "nil pointer evaluating",
        ),
        (
            'a: 1\n\nx: {{ required "name the host" .Values.host }}',
            "chart/app/templates/bad.yaml:3",
            "name the host",
        ),
        ("a: 1\nx: {{ nofunction 1 }}", "chart/app/templates/bad.yaml:2", "not defined"),
        ("a: b\n\tx: [", "chart/app/templates/bad.yaml", "rendered document is not valid"),
    ],
)
def test_a_template_that_fails_is_named_by_its_path_in_the_repository_and_line(
    template: str, where: str, message: str
) -> None:
    found = fault(chart(bad=template))
    assert found.where == where
    assert message in found.message
    assert "\n" not in found.message


def test_a_fault_in_a_subchart_is_named_there() -> None:
    sub = {
        "chart/app/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        "chart/app/charts/sub/templates/a.yaml": "{{ .Values.a.b }}",
    }
    assert fault(chart() | sub).where == "chart/app/charts/sub/templates/a.yaml:1"


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"chart/app/Chart.yaml": "a: [\n"}, "chart/app"),
        (
            {"chart/app/Chart.yaml": CHART_YAML + "kubeVersion: '>=1.99.0'\n"},
            "chart/app/Chart.yaml",
        ),
        ({"chart/app/values.yaml": "a: [\n"}, "chart/app"),
    ],
)
def test_a_chart_that_cannot_be_loaded_is_named(files: dict[str, str], where: str) -> None:
    found = fault(chart() | files)
    assert found.where == where
    assert "/tmp" not in found.message


def test_a_long_chain_of_templates_is_cut_to_its_beginning_and_its_end() -> None:
    found = fault(chart(bad='{{ define "r" }}{{ include "r" . }}{{ end }}{{ include "r" . }}'))
    assert len(found.message) <= 700
    assert found.message.endswith(
        "rendering template has a nested reference name: r: unable to execute template"
    )


def test_a_chart_that_loops_is_named(tmp_path: Path) -> None:
    looping = HelmLibrary(limits=RenderLimits(seconds=1))
    found = fault(
        chart(bad="{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}"),
        renderer=looping,
    )
    assert (found.message, found.where) == (
        "rendering took longer than 1 seconds and was stopped",
        "chart/app",
    )


def test_without_the_library_and_a_program_the_error_says_how_to_get_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    monkeypatch.delitem(sys.modules, "helm_python", raising=False)  # another test has loaded it
    with pytest.raises(MachineError) as caught:
        applied(chart())
    assert "extra `helm`" in caught.value.hint
    assert "PATH" in caught.value.hint


# Several charts and images


def charts(*names: str) -> dict[str, str]:
    return {
        path.replace("chart/app/", f"charts/{name}/"): text.replace("name: app", f"name: {name}")
        for name in names
        for path, text in chart().items()
    }


def test_every_chart_that_fits_is_rendered_one_after_the_other() -> None:
    files = charts("b", "a") | {
        "charts/a/charts/sub/Chart.yaml": CHART_YAML,
        "charts/a/charts/sub/templates/x.yaml": "kind: X\n",
        "other/x.yaml": "",
    }
    assert list(change(chart_path="charts/*").wants(sorted(files))) == sorted(
        path for path in files if path.startswith("charts/")
    )
    text = applied(files, chart_path="charts/*")
    assert text == applied(files, chart_path="charts/**"), "those inside of others are theirs"
    sources = [line for line in text.splitlines() if line.startswith("# Source")]
    assert sources == [
        "# Source: a/templates/deployment.yaml",
        "# Source: a/charts/app/templates/x.yaml",
        "# Source: b/templates/deployment.yaml",
    ]
    assert text.count("---\n") == 3


class Counting(HelmLibrary):
    """The library renderer, which counts its calls."""

    asked = 0

    def render(self, rendering: Rendering) -> str:
        """Count, and render as usual."""
        type(self).asked += 1
        return super().render(rendering)


JOINED = "{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}"
ALONE = "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
APART = "image: {registry: docker.io, repository: lib/x}"


@pytest.mark.parametrize(
    ("forms", "processes"),
    [
        ([("image: {repository: x}", ALONE), (APART, JOINED)], 2),
        ([(APART, JOINED), ("image: {repository: x}", ALONE)], 2),
        ([(APART, JOINED), (APART, ALONE)], 4),
        ([("image: {repository: x}", ALONE), ("image: {repository: y}", JOINED)], 4),
        (
            [
                (APART, JOINED),
                (APART, JOINED),
                ("image: {registry: docker.io, repository: y}", JOINED),
            ],
            1,
        ),
    ],
)
def test_each_chart_gets_the_image_in_its_own_form(
    forms: list[tuple[str, str]], processes: int
) -> None:
    files: dict[str, str] = {}
    for name, (values, template) in zip("abc", forms, strict=False):
        pod = (
            f"kind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image:"
            f" '{template}'}}]}}\n"
        )
        files |= charts(name) | {
            f"charts/{name}/values.yaml": values,
            f"charts/{name}/templates/deployment.yaml": pod,
        }
    Counting.asked = 0
    text = applied(
        files,
        chart_path="charts/*",
        renderer=Counting(),
        images={"image": ImageValues(repository="h.io/team/web", tag="2.4.1")},
    )
    assert [pod.images for pod in pods_in_file(text.encode())] == [
        (("c", "h.io/team/web:2.4.1"),)
    ] * len(forms)
    assert Counting.asked == processes


def test_a_chart_with_another_image_under_the_key_keeps_it_beside_one_that_has_ours() -> None:
    files = charts("cart", "new", "web")
    for name in ("cart", "web"):
        files[f"charts/{name}/values.yaml"] = f"image: {{repository: h.io/team/{name}, tag: '1'}}\n"
    said, told = list[str](), list[str]()
    given: dict[str, Any] = {
        "chart_path": "charts/*",
        "choice": Choice(say=said.append),
        "warn": told.append,
    }
    text = applied(
        files, images={"image": ImageValues(repository="h.io/team/web", tag="2")}, **given
    )
    assert [image for pod in pods_in_file(text.encode()) for _, image in pod.images] == [
        "h.io/team/cart:1",
        "h.io/team/web:2",
        "h.io/team/web:2",
    ]
    assert said == [
        (
            "  image is left alone where another image stands: charts/cart/values.yaml"
            " (h.io/team/cart:latest)"
        )
    ]
    assert told == []
    shop: dict[str, Any] = {
        "images": {"image": ImageValues(repository="h.io/team/shop", tag="2")},
        **given,
    }
    assert applied(files, **shop).count("h.io/team/shop:2") == 1
    files["charts/new/values.yaml"] = "image: {repository: placeholder}\n"
    assert applied(files, **shop).count("h.io/team/shop:2") == 1
    files["charts/new/values.yaml"] = "image: {repository: h.io/team/new}\n"
    with pytest.raises(ConfigError, match=r"none of them belongs to h\.io/team/shop:2") as caught:
        applied(files, **shop)
    assert (caught.value.hint, told) == (
        "name one of the charts in chartPath, or correct their values",
        [],
    )
    files = {path: text.replace("h.io/team", "x.io") for path, text in files.items()}
    assert applied(files, **shop).count("h.io/team/shop:2") == 3
    assert [line.endswith("; all of them are rendered with it") for line in told] == [True]


def test_a_chart_that_runs_one_of_the_images_gets_that_one_in_its_form() -> None:
    pod = "kind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{name: c, image: '{}'}}]}}\n"
    files: dict[str, str] = {}
    for name, template in (("a", ALONE), ("b", ALONE.replace("image", "side"))):
        files |= charts(name) | {
            f"charts/{name}/values.yaml": f"{APART}\n{APART.replace('image', 'side')}",
            f"charts/{name}/templates/deployment.yaml": pod.format(template),
        }
    images = {
        "image": ImageValues(repository="h.io/web", tag="1"),
        "side": ImageValues(repository="h.io/side", tag="2"),
    }
    text = applied(files, chart_path="charts/*", images=images)
    assert [image for pod in pods_in_file(text.encode()) for _, image in pod.images] == [
        "h.io/web:1",
        "h.io/side:2",
    ]


def test_the_chart_that_fails_among_several_is_named() -> None:
    files = charts("a", "b", "c") | {"charts/b/templates/bad.yaml": '{{ fail "no" }}'}
    assert fault(files, chart_path="charts/*").where == "charts/b/templates/bad.yaml:1"


def test_a_pattern_that_no_chart_fits_lists_the_charts() -> None:
    with pytest.raises(ConfigError, match=r"chart 'helm/\*' does not exist") as caught:
        change(chart_path="helm/*").wants(["charts/a/Chart.yaml"])
    assert caught.value.hint == "known: charts/a"


def test_several_images_stand_under_their_keys_with_their_digests() -> None:
    files = chart(deployment="", values="kind: V\nall: {{ .Values | toJson }}\n")
    images = {
        "image": ImageValues(repository="h/a", tag="1"),
        "proxy.image": ImageValues(repository="h/p", tag="2", digest="sha256:0"),
        "x\\.y": ImageValues(repository="r", tag="t"),
    }
    assert json.loads(applied(files, images=images).splitlines()[-1].removeprefix("all: ")) == {
        "image": {"repository": "h/a", "tag": "1"},
        "proxy": {"image": {"repository": "h/p", "tag": "2", "digest": "sha256:0"}},
        "replicas": 2,
        "x.y": {"repository": "r", "tag": "t"},
    }


def test_a_key_that_is_a_place_in_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a key of a chart"):
        change(images={"a[0]": ImageValues(repository="r", tag="t")}).wants(
            ["chart/app/Chart.yaml"]
        )


def test_what_was_rendered_before_and_now_is_noted() -> None:
    noted: list[Replaced] = []
    old = applied(chart(), image_tag="0.9")
    applied(chart() | {"manifest.yaml": old}, note=noted.append)
    assert noted == [
        Replaced(
            file="manifest.yaml",
            name="Deployment demo, app",
            old="host/app:0.9",
            new="host/app:1.0",
        )
    ]


def test_what_a_rendering_drops_from_a_file_that_was_there_is_said() -> None:
    warnings: list[str] = []
    old = (
        "kind: Service\nmetadata: {name: shop}\n---\nkind: Secret\nmetadata: {name:"
        " login}\nstringData: {password: hidden-value}\n"
    )
    new = applied(chart() | {"manifest.yaml": old}, warn=warnings.append)
    assert warnings == [
        (
            "no longer in manifest.yaml, which chart chart/app writes as a whole: Service/shop,"
            " Secret/login"
        )
    ]
    applied(chart() | {"manifest.yaml": new}, warn=warnings.append, image_tag="2")
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("values", "template"),
    [
        (
            "image: {registry: docker.io, repository: team/web, tag: '1'}",
            "{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}",
        ),
        (
            "image: {registry: docker.io, repository: docker.io/team/web}",
            "{{ .Values.image.repository }}:{{ .Values.image.tag }}",
        ),
        (
            "image: {registry: docker.io, repository: team/web}",
            "{{ .Values.image.repository }}:{{ .Values.image.tag }}",
        ),
        (
            "image: {registry: '', repository: team/web}",
            (
                "{{ with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository"
                " }}:{{ .Values.image.tag }}"
            ),
        ),
        (
            "global: {imageRegistry: h.io}\nimage: {repository: old}",
            (
                "{{ .Values.global.imageRegistry }}/{{ .Values.image.repository }}:{{"
                " .Values.image.tag }}"
            ),
        ),
        (
            "global: {imageRegistry: h.io}\nimage: {repository: old}",
            "{{ .Values.image.repository }}:{{ .Values.image.tag }}",
        ),
        (
            "global: {imageRegistry: q.io}\nimage: {registry: q.io, repository: team/web}",
            (
                "{{ .Values.global.imageRegistry | default .Values.image.registry }}/{{"
                " .Values.image.repository }}:{{ .Values.image.tag }}"
            ),
        ),
        (
            "hub: q.io/\nimage: {repository: web}",
            "{{ .Values.hub }}{{ .Values.image.repository }}:{{ .Values.image.tag }}",
        ),
        (
            "hub: h.io/team\nimage: {repository: web}",
            "{{ .Values.hub }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}",
        ),
        ("image: h.io/team/old:1", "{{ .Values.image }}"),
        (
            "image: {repository: r, digest: 'sha256:0'}",
            (
                "{{ .Values.image.repository }}:{{ .Values.image.tag }}{{ with .Values.image.digest"
                " }}@{{ . }}{{ end }}"
            ),
        ),
    ],
)
def test_what_is_rendered_is_the_image_whatever_form_the_chart_s_values_have(
    values: str, template: str
) -> None:
    files = chart(
        deployment=f"kind: Pod\nspec: {{containers: [{{name: app, image: '{template}'}}]}}\n"
    ) | {"chart/app/values.yaml": values}
    text = applied(files, images={"image": ImageValues(repository="h.io/team/web", tag="2.4.1")})
    assert [pod.images for pod in pods_in_file(text.encode())] == [
        (("app", "h.io/team/web:2.4.1"),)
    ]


SHARED = (
    "kind: Pod\nspec: {containers: [{name: app, image: '%s'}, {name: side, image: '{{"
    " .Values.global.imageRegistry }}/redis:7'}]}\n"
)


def test_a_registry_that_other_images_come_from_is_left_as_it_is() -> None:
    said: list[str] = []
    template = (
        "{{ .Values.global.imageRegistry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}"
    )
    files = chart(deployment=SHARED % template) | {
        "chart/app/values.yaml": "global: {imageRegistry: q.io}\nimage: {repository: team/web}\n"
    }
    image = ImageValues(repository="h.io/team/web", tag="2")
    text = applied(files, images={"image": image}, say=said.append)
    assert [pod.images for pod in pods_in_file(text.encode())] == [
        (("app", "q.io/team/web:2"), ("side", "q.io/redis:7"))
    ]
    assert said == []
    alone = "kind: Pod\nspec: {containers: [{name: app, image: '%s'}]}\n"
    files["chart/app/templates/deployment.yaml"] = alone % template
    text = applied(files, images={"image": image}, say=said.append)
    assert [pod.images for pod in pods_in_file(text.encode())] == [(("app", "h.io/team/web:2"),)]
    assert said == [
        (
            "  chart chart/app/ has q.io in global.imageRegistry, and puts it before the image: it"
            " is rendered with the image's registry there"
        )
    ]


def test_a_cluster_s_version_goes_to_the_program_and_the_library_refuses_it(tmp_path: Path) -> None:
    cluster = Cluster(kube_version="1.31.0", api_versions=("a/v1", "b/v2/Kind"))
    program = HelmProgram(
        program=fake_helm(tmp_path, "print('kind: Args\\nargs:', json.dumps(sys.argv))")
    )
    text = applied(chart(), cluster=cluster, renderer=program)
    words = json.loads(text.splitlines()[1].removeprefix("args: "))
    assert words[words.index("--kube-version") + 1] == "1.31.0"
    assert [words[number + 1] for number, word in enumerate(words) if word == "--api-versions"] == [
        "a/v1",
        "b/v2/Kind",
    ]
    with pytest.raises(MachineError, match="need the `helm` program"):
        applied(chart(), cluster=cluster, renderer=HelmLibrary())


# Random values

RANDOM = {
    "password": (
        "kind: Secret\nmetadata: {name: s}\nstringData: {pw: {{ randAlphaNum 16 | quote }}}\n"
    ),
    "coded": (
        "kind: Secret\nmetadata: {name: s}\ndata:\n  pw: {{ randAscii 24 | b64enc }}\n  id: {{"
        " uuidv4 | b64enc | quote }}\n"
    ),
    "certificate": (
        """\
{{ $ca := genCA "ca" 30 }}{{ $names := list "a.example.com" -}}
{{ $c := genSignedCert "a.example.com" nil $names 30 $ca }}
kind: Secret
metadata: {name: s}
data: {tls.crt: {{ $c.Cert | b64enc }}, tls.key: {{ $c.Key | b64enc }}}
stringData:
  ca: |
{{ $ca.Cert | indent 4 }}
"""
    ),
    "hash": (
        'kind: Secret\nmetadata: {name: s}\nstringData: {auth: {{ htpasswd "user" "password" |'
        " quote }}}\n"
    ),
    "time": (
        """\
kind: ConfigMap
metadata: {name: s}
data:
  a: {{ now | date "2006-01-02T15:04:05Z07:00" | quote }}
  b: {{ now | unixEpoch | quote }}
  c: {{ now | date "Monday" }}
  d: {{ now.UTC }}
"""
    ),
    "order": (
        """\
kind: ConfigMap
metadata: {name: s}
data:
  keys: {{ keys .Values.many | join "," | quote }}
  values: {{ values .Values.many | toJson | quote }}
list: {{ keys .Values.many | toJson }}
"""
    ),
    "checksum": (
        """\
{{ $s := randAlphaNum 8 }}
kind: Secret
metadata: {name: s}
stringData: {pw: "{{ $s }}"}
---
kind: Deployment
metadata:
  name: d
  annotations: {checksum/secret: {{ sha256sum $s }}, roll: {{ randAlphaNum 5 | quote }}}
"""
    ),
    "name": "kind: Job\nmetadata: {name: job-{{ randAlphaNum 5 | lower }}}\n",
}


@pytest.mark.parametrize("name", RANDOM)
def test_a_second_run_finds_what_the_first_one_has_written_and_a_new_image_changes_nothing_else(
    name: str,
) -> None:
    said: list[str] = []
    files = chart(random=RANDOM[name]) | {
        "chart/app/values.yaml": (
            f"many: {json.dumps({f'k{number}': number for number in range(30)})}\n"
        )
    }
    first = applied(files)
    assert first != applied(files), "it is about charts that differ"
    assert applied(files | {"manifest.yaml": first}, warn=said.append) == first
    later = applied(files | {"manifest.yaml": first}, image_tag="2.0", warn=said.append)
    assert later == first.replace("host/app:1.0", "host/app:2.0")
    replicas = {"chart/app/values.yaml": files["chart/app/values.yaml"] + "replicas: 3\n"}
    assert applied(files | replicas | {"manifest.yaml": first}, warn=said.append) == first.replace(
        "replicas: 1", "replicas: 3"
    )
    assert said == []


def test_what_is_kept_is_said_without_what_it_holds() -> None:
    said: list[str] = []
    files = chart(random=RANDOM["password"])
    first = applied(files)
    applied(files | {"manifest.yaml": first}, say=said.append)
    (text,) = said
    assert (
        text
        == "  chart chart/app renders random values, and manifest.yaml keeps its own in Secret s"
        " (app/templates/random.yaml); remove them there to renew them"
    )


def test_what_is_around_it_and_cannot_be_kept_is_a_warning_without_what_it_holds() -> None:
    said: list[str] = []
    files = chart(
        random=(
            'kind: Secret\nmetadata: {name: s}\nstringData: {url: "redis://{{ randAlphaNum 16'
            ' }}@one/0"}\n'
        )
    )
    first = applied(files)
    moved = {path: text.replace("@one", "@two") for path, text in files.items()}
    second = applied(moved | {"manifest.yaml": first}, warn=said.append)
    assert "@two/0" in second
    (text,) = said
    assert (
        text
        == "chart chart/app renders random values, and the text around them has changed, so this"
        " commit has new ones in Secret s (app/templates/random.yaml)"
    )
    assert applied(moved | {"manifest.yaml": second}) == second


def counting(folder: Path, text: str) -> tuple[HelmProgram, Path]:
    """A program that prints `text` with the number of its call for {}, and its counter file."""
    count = folder / "calls"
    count.write_text("")
    body = (
        f"open({str(count)!r}, 'a').write('x')\nprint({text!r}.replace('{{}}',"
        f" str(os.path.getsize({str(count)!r}))))"
    )
    return HelmProgram(program=fake_helm(folder, body)), count


@pytest.mark.parametrize(
    ("old", "calls"),
    [
        (None, 1),
        ("kind: A\nx: 1\nspec: {containers: [{image: 'host/app:1.0'}]}\n", 1),
        ("kind: A\nx: 1\nspec: {containers: [{image: 'host/app:0.9'}]}\n", 1),
        ("kind: A\nx: '1'\n\n", 2),
    ],
)
def test_it_is_rendered_once_more_only_if_more_than_the_image_is_another(
    tmp_path: Path, old: str | None, calls: int
) -> None:
    program, count = counting(
        tmp_path, "kind: A\nx: 1\nspec: {containers: [{image: 'host/app:1.0'}]}\n"
    )
    applied(chart() | ({"manifest.yaml": old} if old else {}), renderer=program)
    assert len(count.read_text()) == calls


@pytest.mark.parametrize(
    ("template", "waits"),
    [
        ("{{/* it is now known */}}", 1),
        ("{{ ago $.Values.x }}", 1),
        ("{{ htmlDate 0 }}", 1),
        ("# known, agony, update", 0),
        ("", 0),
    ],
)
def test_it_waits_for_the_next_second_once_if_a_template_may_ask_for_the_time(
    tmp_path: Path, template: str, waits: int
) -> None:
    program, count = counting(tmp_path, "kind: A\nx: '{}'\nlist: [a, b, c]\n")
    slept: list[float] = []
    files = chart(random=template) | {
        "chart/app/README.md": "now",
        "manifest.yaml": "kind: A\nx: '0'\nlist: [c, b, a]\n",
    }
    applied(files, renderer=program, clock=Clock(wall=lambda: 1000.25, sleep=slept.append))
    assert slept == [0.75] * waits
    assert len(count.read_text()) > 2


# Where a chart's files come from


def packed(files: Mapping[str, str]) -> bytes:
    """The chart in `chart/app`, as `helm package` makes an archive of it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(path.removeprefix("chart/"))
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return archive.getvalue()


def read_and_applied(contents: Mapping[str, bytes], **given: Any) -> str:
    one, listing = change(**given), sorted(contents)
    files = {path: contents[path] for path in one.wants(listing) if path in contents}
    while more := [
        path for path in one.dependencies(listing, files) if path not in files and path in contents
    ]:
        files |= {path: contents[path] for path in more}
    return one.apply(files)[one.file_path].decode()


def test_a_packed_chart_renders_as_its_folder_does() -> None:
    files = chart(a='kind: Secret\ntext: {{ .Files.Get "x.txt" }}\n') | {"chart/app/x.txt": "hello"}
    contents = {
        "charts/app-1.0.0.tgz": packed(files),
        "charts/app-0.9.0.tgz": b"",
        "README.md": b"",
    }
    assert read_and_applied(contents, chart_path="charts/app-1.0.0.tgz") == applied(files)
    assert list(change(chart_path="charts/app-1.0.0.tgz").wants(sorted(contents))) == [
        "charts/app-1.0.0.tgz"
    ]
    bad = chart(bad="a: 1\nx: {{ .Values.a.b.c }}")
    with pytest.raises(RenderError) as caught:
        read_and_applied({"app.tgz": packed(bad)}, chart_path="app.tgz")
    assert caught.value.where == "app.tgz/templates/bad.yaml:2"
    with pytest.raises(ConfigError) as missing:
        change(chart_path="charts/app-2.0.0.tgz").wants(sorted(contents))
    assert "charts/app-1.0.0.tgz" in missing.value.hint


def test_a_chart_of_the_repository_that_another_one_depends_on_is_rendered_with_it() -> None:
    common = {
        "libs/common/Chart.yaml": "apiVersion: v2\nname: common\nversion: 1.0.0\n",
        "libs/common/templates/a.yaml": "kind: Common\nname: {{ .Values.name }}\n",
        "libs/common/values.yaml": "name: one\n",
    }
    depends = (
        CHART_YAML
        + "dependencies: [{name: common, version: 1.x.x, repository: 'file://../../libs/common'}]\n"
    )
    files = (
        chart()
        | common
        | {
            "chart/app/Chart.yaml": depends,
            "chart/app/values.yaml": "common: {name: two}\n",
        }
    )
    text = read_and_applied(as_bytes(files))
    assert "# Source: app/charts/common/templates/a.yaml\nkind: Common\nname: two\n" in text


def test_a_dependency_from_elsewhere_is_named_with_what_to_do() -> None:
    files = chart() | {
        "chart/app/Chart.yaml": (
            CHART_YAML + "dependencies: [{name: redis, version: 1.0.0, repository:"
            " 'https://charts.example.com'}]\n"
        )
    }
    with pytest.raises(RenderError, match=r"lacks what Chart[.]yaml depends on: redis") as caught:
        read_and_applied(as_bytes(files))
    assert caught.value.where == "chart/app/Chart.yaml"
    assert "helm dependency build" in caught.value.hint


def test_a_chart_at_the_root_of_a_large_repository_does_not_read_the_rest() -> None:
    files = {name.removeprefix("chart/app/"): text for name, text in chart().items()} | {
        f"docs/{number}": "" for number in range(10)
    }
    one = change(chart_path=".")
    assert list(one.wants(sorted(files))) == [
        "Chart.yaml",
        "templates/deployment.yaml",
        "values.yaml",
    ]
    assert "host/app:1.0" in read_and_applied(as_bytes(files), chart_path=".")


def test_a_rendering_of_more_than_ten_million_bytes_is_written_and_found_again() -> None:
    files = chart(
        big=(
            "{{ range $i := until 1500 }}\n---\nkind: ConfigMap\nmetadata: {name: c{{ $i }}}\ndata:"
            ' {a: "{{ repeat 1200 "0123456" }}"}\n{{ end }}'
        )
    )
    first = applied(files)
    assert len(first) > 12_000_000
    later = applied(files | {"manifest.yaml": first}, image_tag="2.0")
    assert later == first.replace("host/app:1.0", "host/app:2.0")


# Schemas of values


@pytest.mark.parametrize(
    "reference", ["file:///etc/hostname", "http://169.254.169.254/", "file:///etc/no-such-file"]
)
@pytest.mark.parametrize(
    "path", ["chart/app/values.schema.json", "chart/app/charts/sub/values.schema.json"]
)
def test_a_schema_that_leads_outside_does_not_come_as_far_as_helm(
    tmp_path: Path, path: str, reference: str
) -> None:
    helm = fake_helm(tmp_path, f"open({str(tmp_path / 'called')!r}, 'w')")
    found = fault(
        {
            **chart(),
            "chart/app/charts/sub/Chart.yaml": CHART_YAML,
            path: json.dumps({"$ref": reference}),
        },
        renderer=HelmProgram(program=helm),
    )
    assert (found.where, reference in found.message) == (path, True)
    assert not (tmp_path / "called").exists()


def test_what_a_killed_run_has_of_a_chart_is_swept_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    child = os.fork()
    if child == 0:
        renderer = HelmLibrary()
        monkeypatch.setattr(HelmLibrary, "render", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        applied(chart(), renderer=renderer)
        os._exit(0)
    os.waitpid(child, 0)
    assert list(tmp_path.rglob("Chart.yaml"))
    sweep({"TMPDIR": str(tmp_path)})
    assert not list(tmp_path.iterdir())
