from __future__ import annotations

from collections.abc import Mapping

import pytest

from towline.errors import ConfigError
from towline.gitops.candidates import Choice
from towline.gitops.helm_values import PathValues
from towline.gitops.image_parts import ImagePart, ImageParts

WEB = ImageParts(host="reg.io", name="team/web", tag="2", whole="reg.io/team/web:2")
PARAMETERS = "spec.source.helm.parameters[name=image.tag].value"
TEXT = "values: 'image: {repository: reg.io/team/web, tag: a}'"
OBJECT = "valuesObject: {image: {repository: reg.io/team/web, tag: a}}"
VALUES = {TEXT: "spec.source.helm.values", OBJECT: "spec.source.helm.valuesObject"}


def argo(*helm: str, version: str = "argoproj.io/v1alpha1") -> str:
    return f"apiVersion: {version}\nspec: {{source: {{helm: {{{', '.join(helm)}}}}}}}\n"


def parameter(name: str, value: str) -> str:
    return f"parameters: [{{name: {name}, value: '{value}'}}]"


def written(
    files: Mapping[str, str], *paths: str, file: str = "a.yaml", part: str = "tag"
) -> tuple[str, list[str]]:
    warnings: list[str] = []
    values = {path: ImagePart(image=WEB, part=part) for path in paths}
    change = PathValues(pattern=file, values=values, choice=Choice(warn=warnings.append))
    data = {path: text.encode() for path, text in files.items()}
    return change.apply(data).get(file, data[file]).decode(), warnings


@pytest.mark.parametrize("values", VALUES)
def test_a_value_under_a_parameter_of_its_name_is_refused(values: str) -> None:
    text = argo(parameter("image.tag", "1"), values)
    with pytest.raises(ConfigError) as caught:
        written({"a.yaml": text}, f"{VALUES[values]}.image.tag")
    over = "spec.source.helm.parameters[0].value"
    told = f"{VALUES[values]}.image.tag is not read, since {over} overrides it"
    assert caught.value.message == told
    both = (f"{VALUES[values]}.image.tag", PARAMETERS)
    assert "tag: a" not in written({"a.yaml": text}, *both)[0]


def test_values_as_a_text_beside_an_object_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"spec\.source\.helm\.valuesObject overrides it"):
        written({"a.yaml": argo(TEXT, OBJECT)}, f"{VALUES[TEXT]}.image.tag")
    both = [f"{one}.image.tag" for one in VALUES.values()]
    assert written({"a.yaml": argo(TEXT, OBJECT)}, *both)[0].count("tag: a") == 0


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize(
    "over",
    [
        parameter("replicas", "1"),
        parameter("image.tag", "2"),
        parameter("image.tag", "{{.tag}}"),
        parameter("web.image.tag", "1"),
        "parameters: [{name: image.tag}]",
    ],
)
def test_what_does_not_stand_over_it_is_no_matter(values: str, over: str) -> None:
    assert "tag: a" not in written({"a.yaml": argo(over, values)}, f"{VALUES[values]}.image.tag")[0]


def test_a_repository_may_stand_in_another_form_over_it() -> None:
    path = f"{VALUES[OBJECT]}.image.repository"
    ours = argo(parameter("image.repository", "team/web"), OBJECT)
    assert written({"a.yaml": ours}, path, part="repository")[0] == ours
    with pytest.raises(ConfigError, match="is not read"):
        written({"a.yaml": ours.replace("team/web'", "team/cart'")}, path, part="repository")


def test_what_is_not_of_argo_cd_is_not_judged() -> None:
    text = argo(parameter("image.tag", "1"), OBJECT, version="x.io/v1")
    assert "tag: a" not in written({"a.yaml": text}, f"{VALUES[OBJECT]}.image.tag")[0]


CHART = {
    "c/Chart.yaml": "dependencies: [{name: x, alias: shop}]\n",
    "c/values.yaml": "shop: {image: {tag: '1'}}\n",
    "c/charts/x/Chart.yaml": "name: x\n",
    "c/charts/x/values.yaml": "image: {repository: reg.io/team/web, tag: '1'}\n",
}
OWN = "c/charts/x/values.yaml"


def test_the_values_of_a_chart_around_are_told_where_they_stand_over_a_chart_s_own() -> None:
    told = [f"c/values.yaml sets shop.image.tag, which overrides the value in {OWN}"]
    asked = PathValues(pattern=OWN, values={}).wants([*CHART])
    assert asked == (OWN, "c/charts/x/Chart.yaml", "c/Chart.yaml", "c/values.yaml")
    assert written(CHART, "image.tag", file=OWN)[1] == told
    for other in ("shop: {image: {tag: '2'}}\n", "x: {image: {tag: '1'}}\n", "shop: {a: b}\n"):
        assert written({**CHART, "c/values.yaml": other}, "image.tag", file=OWN)[1] == []
    none = {path: text for path, text in CHART.items() if path != "c/Chart.yaml"}
    assert written(none, "image.tag", file=OWN)[1] == []
