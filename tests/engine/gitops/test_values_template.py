from __future__ import annotations

from typing import Any

import pytest
import yaml

from towline.errors import RenderError
from towline.files import resource_text
from towline.gitops.render.process import RenderLimits
from towline.gitops.values_template import (
    TemplateBuild,
    TemplateImage,
    TemplateVariables,
    ValuesTemplate,
)

DIGEST = "sha256:" + "a" * 64


HOST = "registry.example.com:5000"


def variables(*, tag: str = "1.0", digest: str = "", stage: str = "Preview") -> TemplateVariables:
    image = TemplateImage(
        registry=HOST,
        repository="team/app",
        tag=tag,
        digest=digest,
        reference=f"{HOST}/team/app:{tag}",
    )
    return TemplateVariables(
        image=image,
        stage=stage,
        deployment="app",
        build=TemplateBuild(number="7", url="https://ci.example.com/7", commit="abc"),
    )


def change(text: str, **given: Any) -> ValuesTemplate:
    defaults: dict[str, Any] = {
        "template_name": "env/values.yaml.j2",
        "file_path": "env/values.yaml",
        "variables": variables(),
    }
    return ValuesTemplate(template_text=text, **(defaults | given))


def applied(text: str, **given: Any) -> str:
    return change(text, **given).apply({})["env/values.yaml"].decode()


def fault(text: str, **given: Any) -> RenderError:
    with pytest.raises(RenderError) as caught:
        applied(text, **given)
    return caught.value


def test_only_the_file_itself_is_wanted_where_it_is_there() -> None:
    assert list(change("").wants(["env/values.yaml", "env/values.yaml.j2"])) == ["env/values.yaml"]
    assert list(change("").wants([])) == []


def test_every_variable_that_is_documented_is_there() -> None:
    expected = {
        "image.registry": HOST,
        "image.repository": "team/app",
        "image.tag": "1.0",
        "image.digest": "",
        "image.reference": f"{HOST}/team/app:1.0",
        "stage": "Preview",
        "deployment": "app",
        "build.number": "7",
        "build.url": "https://ci.example.com/7",
        "build.commit": "abc",
    }
    assert (
        yaml.safe_load(applied("".join(f"{name}: {{{{ {name} | yaml }}}}\n" for name in expected)))
        == expected
    )


def test_what_the_file_held_before_makes_no_difference() -> None:
    one = change("tag: {{ image.tag | yaml }}\n")
    assert (
        one.apply({"env/values.yaml": b"tag: old\n"})
        == one.apply({})
        == {"env/values.yaml": b'tag: "1.0"\n'}
    )


def test_a_value_with_a_line_break_cannot_add_a_key() -> None:
    text = applied("stage: {{ stage | yaml }}\n", variables=variables(stage="x\nreplicaCount: 0"))
    assert yaml.safe_load(text) == {"stage": "x\nreplicaCount: 0"}


def test_a_fault_of_the_template_names_its_line() -> None:
    found = fault("a: 1\nb: {{ image.tga }}\n")
    assert (found.where, found.hint) == ("env/values.yaml.j2:2", "did you mean 'tag'?")


def test_what_is_no_yaml_is_refused_at_its_line_of_the_result() -> None:
    found = fault("a: 1\nb: {{ stage }}\n", variables=variables(stage="x: y"))
    assert found.where.startswith("env/values.yaml:2:")
    assert "filter `yaml`" in found.hint


@pytest.mark.parametrize("text", ["", "# a comment\n", "{% if image.digest %}a: 1{% endif %}\n"])
def test_an_empty_result_is_refused(text: str) -> None:
    assert fault(text).message == "the template gives an empty file"


def test_a_template_that_loops_is_stopped_and_named() -> None:
    found = fault(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        limits=RenderLimits(seconds=1),
    )
    assert found.where == "env/values.yaml.j2"


def test_the_template_that_comes_along_gives_values_for_a_chart() -> None:
    text = resource_text("templates/values.yaml.j2")
    assert (
        applied(text, variables=variables(tag="1.20"))
        == "# Written by gitOpsUpdateDeployment from a template; edit the template instead.\n"
        'image:\n  repository: "registry.example.com:5000/team/app"\n  tag: "1.20"\n'
    )
    assert (
        yaml.safe_load(applied(text, variables=variables(digest=DIGEST)))["image"]["digest"]
        == DIGEST
    )


def test_a_file_that_is_called_json_becomes_json() -> None:
    text = '{"tag": {{ image.tag | tojson }}}\n'
    assert change(text, file_path="env/v.json").apply({}) == {"env/v.json": b'{"tag": "1.0"}\n'}
    found = fault("tag: {{ image.tag | tojson }}\n", file_path="env/v.json")
    assert found.message == "the template does not give JSON for env/v.json"
    assert "tojson" in found.hint
