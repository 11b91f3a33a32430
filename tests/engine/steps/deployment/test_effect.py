from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from towline.errors import ConfigError
from towline.image import parse_reference
from towline.record import replace
from towline.steps.deployment.effect import Effect

WEB = parse_reference("reg.io/team/web:2")
POD = "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: %s}]}\n"


def said(text: str, *, listing: Sequence[str] = (), **given: Any) -> list[str]:
    warnings: list[str] = []
    effect = Effect(
        **{"pattern": "*.yaml", "images": (WEB,), "tool": "kubectl", "level": "error", **given}
    )
    effect.check({"a.yaml": text.encode(), "other.txt": b""}, listing, warnings.append)
    return warnings


def test_an_image_that_is_named_is_fine() -> None:
    assert said(POD % "reg.io/team/web:2") == []


def test_an_image_that_is_nowhere_is_an_error_that_says_what_is_there() -> None:
    with pytest.raises(ConfigError) as caught:
        said(POD % "docker.io/reg.io/team/web:2")
    assert (
        caught.value.message == "no value that is read in a.yaml names reg.io/team/web:2: it names"
        " docker.io/reg.io/team/web:2 (Pod p, c)"
    )
    assert (caught.value.where, caught.value.hint) == (
        "*.yaml",
        "correct the place of the image; imageCheck: warn makes it a warning",
    )
    with pytest.raises(ConfigError, match="nor any image"):
        said("a: b\n")


def test_the_level_makes_it_a_warning_or_nothing() -> None:
    assert said("a: b\n", level="warn") == [
        (
            "no value that is read in a.yaml names reg.io/team/web:2, nor any image"
            " (correct the place of the image)"
        )
    ]
    assert said("a: b\n", level="off") == said("a: b\n", images=()) == []


def test_what_cannot_be_read_is_not_judged() -> None:
    assert said("a: [\n") == []


def test_of_a_chart_every_container_is_looked_at() -> None:
    text = (
        POD % "reg.io/team/web:2"
        + "---\n"
        + POD.replace("name: p", "name: q") % "reg.io/team/web:1"
        + "---\n"
        + POD % "other:1"
    )
    assert said(text, tool="helm") == [
        "Pod q, c in a.yaml runs reg.io/team/web:1, not reg.io/team/web:2"
    ]
    assert said(text) == []


def test_of_a_chart_another_text_is_not_enough_while_a_container_runs_another_version() -> None:
    text = (
        POD % "docker.io/reg.io/team/web:2"
        + "---\nkind: ConfigMap\ndata: {web: 'reg.io/team/web:2'}\n"
    )
    with pytest.raises(ConfigError) as caught:
        said(text, tool="helm")
    assert (
        caught.value.message
        == "no container in a.yaml names reg.io/team/web:2: it names docker.io/reg.io/team/web:2"
        " (Pod p, c)"
    )
    assert len(said(text, tool="helm", level="warn")) == 2
    assert said(text) == []


def test_an_annotation_is_not_read() -> None:
    text = POD.replace("name: p", "name: p, annotations: {was: 'reg.io/team/web:2'}") % "x/web:2"
    with pytest.raises(ConfigError, match=r"no value that is read .* names x/web:2"):
        said(text, tool="helm")


@pytest.mark.parametrize("name", ["web", "team/web"])
def test_an_unknown_chart_may_put_a_registry_before_a_name_that_has_none(name: str) -> None:
    text = f"image: {{repository: {name}, tag: '2'}}\n"

    def told(one: str, *, whole: bool = False, listing: Sequence[str] = ()) -> list[str]:
        given = {"tool": "helm-values", "level": "warn", "value_paths": ("image",)}
        return said(one, whole=whole, listing=listing, **given)

    assert told(text) == []
    (warning,) = told(text, whole=True)
    assert f"names reg.io/team/web:2: it names {name}:2 (image)" in warning
    assert told(text, listing=["Chart.yaml"]) == [warning]
    for other in ("eb", "web/web", "m.io/team/web"):
        assert f"it names {other}:2" in told(text.replace(name, other))[0]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("image: {tag: '2'}\n", False),
        ("image: {repository: reg.io/team/web, tag: '2'}\n", False),
        ("image: {repository: mirror.io/web, tag: '2'}\n", True),
        ("x: {repository: mirror.io/web, tag: '2'}\n", False),
        ("image: {}\n", True),
    ],
)
def test_of_values_it_counts_what_stands_where_the_image_was_written(
    text: str,
    wrong: bool,
) -> None:
    values: dict[str, Any] = {"tool": "helm-values", "value_paths": ("image",)}
    assert len(said(text, **values)) == wrong
    if wrong:
        with pytest.raises(ConfigError, match="no value that is read"):
            said(text, listing=["Chart.yaml"], **values)


def test_values_of_which_the_tag_alone_is_written_are_a_warning_at_most() -> None:
    text = "image: {repository: mirror.io/web, tag: '2'}\n"
    values: dict[str, Any] = {"tool": "helm-values", "value_paths": ("image",), "whole": False}
    assert len(said(text, listing=["Chart.yaml"], **values)) == 1


TWO = "web: {image: {repository: reg.io/team/web, tag: '2'}}\n"


@pytest.mark.parametrize(
    ("image", "wrong"),
    [
        ("{repository: reg.io/team/cart, tag: '2'}", True),
        ("{registry: reg.io, repository: team/cart, tag: '2'}", True),
        ("{repository: reg.io/team/cart, tag: '1'}", False),  # it was left alone
        ("{repository: mirror.io/team/cart, tag: '2'}", False),
        ("{repository: reg.io/other/web, tag: '2'}", False),
        ("{name: cart, tag: '2'}", False),
        ("{tag: '2'}", False),
    ],
)
def test_each_place_of_several_is_judged_for_itself(
    image: str,
    wrong: bool,
) -> None:
    text = f"{TWO}cart: {{image: {image}}}\n"
    placed = (("web.image", WEB), ("cart.image", WEB))
    values: dict[str, Any] = {"tool": "helm-values", "value_paths": ("web.image", "cart.image")}
    if wrong:
        with pytest.raises(
            ConfigError, match=r"cart\.image belongs to another image: reg\.io/team"
        ):
            said(text, placed=placed, **values)
        assert len(said(text, placed=placed, level="warn", **values)) == 1
    else:
        assert said(text, placed=placed, **values) == []


@pytest.mark.parametrize(
    ("base", "wrong"),
    [
        ("image: {repository: reg.io/team/cart, tag: '1'}\n", True),
        ("image: {registry: reg.io, repository: team/cart}\n", True),
        ("image: {repository: reg.io/team/web}\n", False),
        ("image: {repository: mirror.io/team/cart}\n", False),
        ("image: {repository: ''}\nother: {repository: reg.io/team/cart}\n", False),
        ("", False),
    ],
)
def test_a_tag_in_a_values_file_is_judged_with_the_repository_of_its_chart(
    base: str,
    wrong: bool,
) -> None:
    effect = Effect(
        pattern="c/prod.yaml",
        images=(WEB,),
        tool="helm-values",
        level="error",
        value_paths=("image",),
        placed=(("image", WEB),),
        whole=False,
    )
    texts = {
        "c/Chart.yaml": "name: c\n",
        "c/values.yaml": base,
        "c/prod.yaml": "image: {tag: '2'}\n",
    }
    files = {path: text.encode() for path, text in texts.items()}
    warnings: list[str] = []
    if wrong:
        with pytest.raises(ConfigError, match=r"image belongs to another image: reg\.io/team/cart"):
            effect.check(files, sorted(files), warnings.append)
        replace(effect, level="warn").check(files, sorted(files), warnings.append)
        assert len(warnings) == 1
    else:
        effect.check(files, sorted(files), warnings.append)
        assert warnings == []


def test_where_one_of_several_places_of_a_path_has_the_image_the_others_may_have_theirs() -> None:
    text = (
        f"image: {{repository: reg.io/team/cart, tag: '2'}}\n---\n{TWO.removeprefix('web: {')[:-2]}"
    )
    values: dict[str, Any] = {"tool": "helm-values", "value_paths": ("image",)}
    assert said(text, placed=(("image", WEB),), **values) == []


def test_one_file_that_cannot_be_read_leaves_it_open_unless_another_one_tells() -> None:
    effect = Effect(pattern="*", images=(WEB,), tool="kubectl", level="error")
    effect.check({"a": b"[", "b": b"x: y\n"}, (), print)
    effect.check({"a": b"x: reg.io/team/web:2\n", "b": b"x: y\n"}, (), print)


def test_the_keys_that_the_chart_s_values_have_are_named() -> None:
    effect = Effect(pattern="out", images=(WEB,), tool="helm", level="error")
    files = {"c/values.yaml": b"web: {image: {repository: a}}\n", "out": b"a: 1\n"}
    with pytest.raises(ConfigError) as caught:
        effect.check(files, (), print)
    assert "its values have web.image; imageCheck" in caught.value.hint


def test_a_template_that_does_not_name_the_image_is_a_warning_about_the_template() -> None:
    (text,) = said("x: 1\n", tool="helm-values")
    assert text.endswith("nor any image (name the image in the template)")
