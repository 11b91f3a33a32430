from __future__ import annotations

import pytest

from tests.engine.gitops.targets import WEB, targets
from towline.errors import ConfigError
from towline.gitops.candidates import Choice
from towline.gitops.helm_values import PathValues
from towline.gitops.image_parts import ImagePart
from towline.gitops.manifest_images import images_in_file
from towline.gitops.sibling_keys import part_texts, registry_warnings
from towline.gitops.value_targets import ValueTarget, candidate_of, group_by_map
from towline.yaml.paths import find_matches, parse_dotted
from towline.yaml.source import read_source


def test_spots_of_one_map_come_together_and_their_registry_is_set_once() -> None:
    text = "a: {registry: h.io, repository: x, tag: '1'}\nb: {repository: y}\n"
    groups = group_by_map(
        targets(text, a_repository="repository", b_repository="repository", a_tag="tag")
    )
    assert [[target.text for target in group] for _, group in groups] == [
        ["a.repository", "a.tag"],
        ["b.repository"],
    ]
    texts, more = part_texts(groups[0][1], {})
    assert texts == {"a.repository": "team/web", "a.tag": "2"}
    assert [(one.old, one.edit.path, one.edit.value) for one in more] == [
        ("h.io", ("a", "registry"), "reg.io")
    ]


def test_a_registry_that_is_asked_for_itself_is_not_set_twice() -> None:
    group = targets(
        "a: {registry: h.io, repository: x}", a_repository="repository", a_registry="registry"
    )
    assert part_texts(group, {}) == ({"a.repository": "team/web", "a.registry": "reg.io"}, [])


def test_the_chart_s_own_values_tell_the_form_where_the_file_does_not() -> None:
    base = {"a": {"registry": "docker.io", "repository": "old"}}
    texts, more = part_texts(targets("a: {tag: '1'}", a_repository="repository"), base)
    assert texts == {"a.repository": "team/web"}
    assert [(one.old, one.edit.path, one.edit.value) for one in more] == [
        ("", ("a", "registry"), "reg.io")
    ]
    common = {"global": {"imageRegistry": "reg.io"}, "a": {"repository": "old"}}
    assert part_texts(targets("a: {tag: '1'}", a_repository="repository"), common) == (
        {"a.repository": "team/web"},
        [],
    )


def test_a_registry_for_all_images_in_the_chart_s_own_values_is_refused_as_the_file_s() -> None:
    base = {"global": {"imageRegistry": "docker.io"}, "a": {"repository": "old"}}
    with pytest.raises(ConfigError, match=r"global.imageRegistry is docker.io") as caught:
        part_texts(targets("a: {tag: '1'}", a_repository="repository"), base)
    assert caught.value.where == "f"


@pytest.mark.parametrize("own", ["''", "~"])
def test_a_registry_of_the_chart_s_own_values_that_the_file_empties_is_put_before_no_image(
    own: str,
) -> None:
    for key in ("imageRegistry", "registry"):
        base = {"global": {key: "reg.io/team"}, "a": {"registry": "", "repository": "web"}}
        group = targets(f"a: {{tag: '1'}}\nglobal: {{{key}: {own}}}\n", a_repository="repository")
        assert part_texts(group, base, joined=True)[0] == {"a.repository": "reg.io/team/web"}


def test_a_name_that_the_file_empties_is_not_the_one_of_the_chart_s_own_values() -> None:
    base = {"a": {"registry": "", "repository": "reg.io/team/web"}}
    group = targets(
        "a: {repository: ''}\nglobal: {imageRegistry: reg.io}\n", a_repository="repository"
    )
    assert part_texts(group, base, joined=True) == ({"a.repository": "team/web"}, [])
    group = targets("a: {repository: '', registry: q.io}\n", a_repository="repository")
    texts, more = part_texts(group, base, joined=False)
    assert (texts, [one.new for one in more]) == ({"a.repository": "team/web"}, ["reg.io"])


@pytest.mark.parametrize("empty", ["", "''", "~", "null", "Null"])
def test_a_registry_that_is_null_is_none(empty: str) -> None:
    """Charts have null in their values to leave the registry to the deployer."""
    for text in (
        f"a: {{repository: team/web}}\nglobal: {{imageRegistry: {empty}}}",
        f"a: {{repository: team/web, registry: {empty}}}",
    ):
        assert part_texts(targets(text, a_repository="repository"), {}) == (
            {"a.repository": "reg.io/team/web"},
            [],
        )
    texts, _ = part_texts(
        targets("a: {repository: team/web, registry: 'null'}", a_repository="repository"), {}
    )
    assert texts == {"a.repository": "team/web"}


@pytest.mark.parametrize(
    ("above", "name", "told"),
    [
        (
            "{registry: q.io/x}",
            "web",
            (
                "a chart that puts the registry of its values before it would run"
                " q.io/x/reg.io/team/web"
            ),
        ),
        ("{registry: q.io/x}", "q.io/x/web", ""),
        ("{registry: q.io/x}", "''", ""),
        ("{registry: '{{ x }}'}", "web", ""),
        ("{registry: reg.io}", "team/web", ""),
        ("{other: q.io}", "web", ""),
    ],
)
def test_a_name_that_another_registry_of_the_values_may_be_put_before_is_told(
    above: str, name: str, told: str
) -> None:
    group = targets(f"a: {{repository: {name}}}\nglobal: {above}\n", a_repository="repository")
    for joined in (None, False):
        found = registry_warnings(group, {}, group, joined=joined)
        assert [told in one for one in found] == ([True] if told else [])


def test_parameters_of_a_list_are_a_map_by_their_names() -> None:
    values = {
        "image.registry": "a.io",
        "image.repository": "web",
        "x.registry": "b.io",
        "image.tag": "'1'",
    }
    text = "p:\n" + "".join(
        f"- {{name: {name}, value: {value}}}\n" for name, value in values.items()
    )
    source = read_source("f", text.encode())
    asked = {
        f"p[name=image.{part}].value": ImagePart(image=WEB, part=part)
        for part in ("repository", "tag")
    }
    group = [
        ValueTarget(text=path, file=source, path_match=path_match, wanted=part)
        for path, part in asked.items()
        for path_match in find_matches(source, parse_dotted(path))
    ]
    assert len(group_by_map(group)) == 1
    assert candidate_of(group).image == "a.io/web:1"
    texts, (registry,) = part_texts(group, {})
    assert list(texts.values()) == ["team/web", "2"]
    assert registry.edit.path == ("p", 0, "value")


def test_a_registry_that_is_right_is_left() -> None:
    group = targets("a: {registry: reg.io, repository: x}", a_repository="repository")
    assert part_texts(group, {}) == ({"a.repository": "team/web"}, [])


VALUES = "global: {imageRegistry: mirror.io}\nimage: {repository: %s, tag: '1'}\n"
PLAIN = "image: {{ .Values.image.repository }}:{{ .Values.image.tag }}\n"
JOINED = "image: {{ .Values.global.imageRegistry }}/{{ .Values.image.repository }}\n"
COMMON = (
    '{{ include "common.images.image" (dict "imageRoot" .Values.image "global" .Values.global) }}'
)


def made(repository: str, template: str, more: str = "") -> tuple[str, list[str]]:
    """The values of a chart with this template after the change, and the log."""
    files = {
        "c/Chart.yaml": f"name: c\n{more}".encode(),
        "c/values.yaml": (VALUES % repository).encode(),
        "c/templates/d.yaml": template.encode(),
    }
    files = {path: data for path, data in files.items() if data}
    said: list[str] = []
    parts = {f"image.{part}": ImagePart(image=WEB, part=part) for part in ("repository", "tag")}
    change = PathValues(pattern="c/values.yaml", values=parts, choice=Choice(warn=said.append))
    wanted = change.wants(sorted(files))
    shown = {path: files[path] for path in wanted}
    seen = change.context(sorted(files), shown)
    after = {**shown, **{path: files[path] for path in seen if path in files}}
    return change.apply(after)["c/values.yaml"].decode(), said


@pytest.mark.parametrize("repository", ["''", "team/web", "old/web"])
def test_a_registry_for_all_images_that_the_templates_do_not_read_is_none(repository: str) -> None:
    text, said = made(repository, PLAIN)
    assert text.splitlines()[1].replace("'", "") == "image: {repository: reg.io/team/web, tag: 2}"
    assert said == []
    assert [one.text for one in images_in_file(text.encode(), ["web"], joined=False) or ()] == [
        "reg.io/team/web:2"
    ]


@pytest.mark.parametrize("template", [JOINED, COMMON])
@pytest.mark.parametrize("repository", ["''", "team/web"])
def test_one_that_they_put_before_it_is_told_with_the_way_out(
    repository: str, template: str
) -> None:
    with pytest.raises(ConfigError, match=r"global\.imageRegistry is mirror\.io") as caught:
        made(repository, template)
    assert "valuesPaths may have {global.imageRegistry: registry}" in caught.value.hint


@pytest.mark.parametrize(
    ("template", "more"), [("", ""), (PLAIN, "dependencies: [{name: common}]\n")]
)
def test_of_a_chart_that_is_not_known_it_is_a_doubt(template: str, more: str) -> None:
    text, said = made("''", template, more)
    assert "reg.io/team/web" in text
    assert [one.partition(";")[0] for one in said] == [
        "image.repository was empty, and gets reg.io/team/web"
    ]


def test_a_map_that_is_missing_lies_below_the_registry_for_all_images_too() -> None:
    files = {
        "c/Chart.yaml": b"name: c\n",
        "c/values.yaml": b"global: {imageRegistry: reg.io}\nweb: {image: {repository: x}}\n",
        "c/prod.yaml": b"a: 1\n",
    }
    parts = {"web.image.repository": ImagePart(image=WEB, part="repository")}
    change = PathValues(pattern="c/prod.yaml", values=parts)
    assert change.apply(files) == {
        "c/prod.yaml": b"a: 1\nweb:\n  image:\n    repository: team/web\n"
    }


def test_two_missing_maps_get_a_registry_each() -> None:
    base = b"a: {registry: x.io, repository: y}\nb: {registry: x.io, repository: y}\n"
    files = {"c/Chart.yaml": b"name: c\n", "c/values.yaml": base, "c/prod.yaml": b"z: 1\n"}
    parts = {f"{key}.repository": ImagePart(image=WEB, part="repository") for key in "ab"}
    made = PathValues(pattern="c/prod.yaml", values=parts).apply(files)["c/prod.yaml"]
    each = "  repository: team/web\n  registry: reg.io\n"
    assert made.decode() == f"z: 1\na:\n{each}b:\n{each}"


@pytest.mark.parametrize(
    "above",
    [
        "registry: reg.io\n",
        "imageRegistry: reg.io/\n",
        "global: {registry: reg.io}\n",
        "global: {image: {registry: reg.io}}\n",
    ],
)
def test_a_name_that_is_the_image_behind_a_registry_above_it_stays_as_it_is(above: str) -> None:
    text = f"{above}web: {{image: {{repository: team/web, tag: '1'}}}}\n"
    paths = {f"web.image.{part}": part for part in ("repository", "tag")}
    parts = {path: ImagePart(image=WEB, part=part) for path, part in paths.items()}
    made = PathValues(pattern="v", values=parts).apply({"v": text.encode()})["v"]
    assert made.decode() == text.replace("'1'", "'2'")
    assert "reg.io/team/web:2" in [one.text for one in images_in_file(made, ["web"]) or ()]
    other = PathValues(pattern="v", values=parts).apply(
        {"v": text.replace("reg.io", "x.io").encode()}
    )
    assert b"repository: reg.io/team/web" in other["v"]


def test_a_registry_beside_another_image_is_not_above_this_one() -> None:
    text = b"a: {registry: reg.io, port: 1}\nb: {repository: team/web, tag: '2'}\n"
    assert [one.text for one in images_in_file(text, ["web"]) or ()] == ["team/web:2"]
