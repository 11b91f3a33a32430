from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from towline.errors import ConfigError
from towline.image import parse_reference
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
        caught.value.message
        == "nothing that is read in a.yaml names reg.io/team/web:2: it names docker.io/reg.io/team/web:2 (Pod p, c)"
    )
    assert (caught.value.where, caught.value.hint) == (
        "*.yaml",
        "correct the place; imageCheck: warn makes it a warning",
    )
    with pytest.raises(ConfigError, match="no image is named there"):
        said("a: b\n")


def test_the_level_makes_it_a_warning_or_nothing() -> None:
    assert said("a: b\n", level="warn") == [
        "nothing that is read in a.yaml names reg.io/team/web:2: no image is named there (correct the place)"
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
    wrong: bool,  # noqa: FBT001 - of a table
) -> None:
    values: dict[str, Any] = {"tool": "helm-values", "places": ("image",)}
    assert len(said(text, **values)) == wrong
    if wrong:
        with pytest.raises(ConfigError, match="nothing that is read"):
            said(text, listing=["Chart.yaml"], **values)
