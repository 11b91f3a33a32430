from __future__ import annotations

from typing import Any

import pytest

from towline.gitops.helm.image_forms import ImageForms
from towline.gitops.helm.image_values import ImageValues

WEB = ImageValues(repository="h.io/team/web", tag="2")
POD = "---\nkind: Pod\nspec: {containers: [{name: a, image: '%s'}]}\n"


def form(base: dict[str, Any]) -> ImageForms:
    return ImageForms(base=base, images={"image": WEB})


def test_the_other_form_comes_first_then_the_registry_that_the_chart_takes_from_elsewhere() -> None:
    base = {"global": {"imageRegistry": "q.io"}, "image": {"repository": "web", "tag": "1"}}
    attempts = list(form(base).others(POD % "q.io/team/web:2"))
    image = {"repository": "team/web", "tag": "2"}
    assert [(one.values, one.key) for one in attempts] == [
        ({"image": {**image, "repository": "h.io/team/web"}}, ""),
        ({"global": {"imageRegistry": "h.io"}, "image": image}, "global.imageRegistry"),
        (
            {
                "global": {"imageRegistry": "h.io"},
                "image": {**image, "repository": "h.io/team/web"},
            },
            "global.imageRegistry",
        ),
    ]


def test_what_a_chart_puts_before_by_itself_is_left_out_of_the_repository() -> None:
    attempts = list(form({"hub": "h.io/team"}).others(POD % "h.io/team/h.io/team/web:2"))
    assert {"image": {"repository": "web", "tag": "2"}} in [one.values for one in attempts]


@pytest.mark.parametrize(("other", "better"), [("q.io/redis:7", True), ("h.io/redis:7", False)])
def test_a_registry_is_changed_only_if_nothing_else_comes_from_another_one(
    other: str,
    better: bool,
) -> None:
    one = form({"global": {"imageRegistry": "q.io"}})
    before = POD % "q.io/team/web:2" + POD % "q.io/redis:7"
    attempt = list(one.others(before))[-1]
    assert attempt.before == "q.io"
    assert one.is_better(attempt, POD % "h.io/team/web:2" + POD % other, before) is better
    assert not one.is_better(attempt, before, before)
