from __future__ import annotations

from towline.gitops.helm.chart_values import (
    chart_folder,
    chart_value_paths,
    default_values,
    effective_values,
    subchart_value_paths,
)
from towline.yaml.plain_data import first_mapping

FILES = {
    "Chart.yaml": b"",
    "a/Chart.yaml": b"",
    "a/values.yaml": b"image: {tag: '1'}\n",
    "a/b/c.yaml": b"",
    "broken/Chart.yaml": b"",
    "broken/values.yaml": b"[",
}


def test_the_innermost_chart_above_a_file_is_its_own() -> None:
    paths = ("a/b/c.yaml", "a/values.yaml", "x/y.yaml", "z.yaml")
    assert [chart_folder(path, FILES) for path in paths] == ["a/", "a/", "", ""]
    assert chart_folder("a/b/c.yaml", ["b/Chart.yaml", "a/b/c/Chart.yaml"]) is None


def test_the_chart_s_own_values_are_known_if_they_can_be_read() -> None:
    assert chart_value_paths("a/b/c.yaml", FILES) == ("a/Chart.yaml", "a/values.yaml")
    assert chart_value_paths("x.yaml", FILES) == ("Chart.yaml",)
    assert chart_value_paths("x.yaml", ["y/Chart.yaml"]) == ()
    assert default_values("a/b/c.yaml", FILES) == {"image": {"tag": "1"}}
    for path in ("a/values.yaml", "x.yaml", "broken/x.yaml"):
        assert default_values(path, FILES) == {}


def test_the_values_of_subcharts_lie_below_their_names_and_under_the_chart_s() -> None:
    files = {
        "c/values.yaml": b"a: 1\nsub: {image: {registry: x}}\n",
        "c/charts/sub/values.yaml": b"image: {registry: y, tag: '1'}\n",
        "c/charts/sub/charts/deep/values.yaml": b"z: 1\n",
        "c/templates/values.yaml": b"no: 1\n",
        "d/values.yaml": b"other: 1\n",
        "c/charts/odd/x/values.yaml": b"n: 1",
    }
    assert effective_values(files, "c/", [b"a: 2\n", b"b: {{ no }}\n"]) == {
        "a": "2",
        "sub": {"image": {"registry": "x", "tag": "1"}, "deep": {"z": "1"}},
    }


def test_the_values_of_subcharts_lie_below_the_chart_s_own_values_file_too() -> None:
    files = {
        "c/Chart.yaml": b"",
        "c/values.yaml": b"own: 1\n",
        "c/charts/web/values.yaml": b"image: {tag: '1'}\n",
    }
    below = "c/charts/web/values.yaml"
    listing = [*files, "c/charts/web/templates/values.yaml", "c/x/charts/web/values.yaml"]
    assert chart_value_paths("c/values.yaml", listing) == ("c/Chart.yaml", "c/values.yaml", below)
    assert default_values("c/values.yaml", files) == {"web": {"image": {"tag": "1"}}}
    assert default_values("c/prod.yaml", files) == {"own": "1", "web": {"image": {"tag": "1"}}}


def test_charts_that_a_chart_depends_on_are_looked_for_where_a_key_is_for_them() -> None:
    chart = {"c/Chart.yaml": b"dependencies: [{name: web}]\n", "c/values.yaml": b""}
    below = "c/charts/web/values.yaml"

    def looked(path: str, key: str) -> set[str]:
        return subchart_value_paths(path, [key], chart, [*chart, below])

    assert looked("c/prod.yaml", "web") == {"c/charts/", below, *chart}
    assert looked("c/prod.yaml", "image") == looked("d/prod.yaml", "web") == set()


def test_what_aliases_multiply_in_values_and_in_those_over_them_is_merged_once() -> None:
    lines = [
        f"a{n}: &a{n} {{{f'l: *a{n - 1}, r: *a{n - 1}' if n else 'x: %s'}}}\n" for n in range(60)
    ]
    weak, strong = ("".join(lines).replace("%s", text).encode() for text in ("old", "new"))
    values = effective_values({"values.yaml": weak}, "", [strong])
    assert values["a59"]["l"] is values["a59"]["r"]
    assert (values["a0"], values["a1"]["r"]) == ({"x": "new"}, {"x": "new"})
    assert first_mapping(weak)["a0"] == {"x": "old"}


def test_the_values_of_a_chart_lie_below_each_alias_that_it_is_given() -> None:
    files = {
        "c/Chart.yaml": b"dependencies: [{name: x, alias: shop}, {name: x}, {name: y, alias: z}]\n",
        "c/values.yaml": b"shop: {tag: '2'}\n",
        "c/charts/x/Chart.yaml": b"dependencies: [{name: deep, alias: well}]\n",
        "c/charts/x/values.yaml": b"tag: '1'\n",
        "c/charts/x/charts/deep/values.yaml": b"a: b\n",
        "c/charts/y/values.yaml": b"tag: '3'\n",
    }
    assert effective_values(files, "c/", []) == {
        "shop": {"tag": "2", "well": {"a": "b"}},
        "x": {"tag": "1", "well": {"a": "b"}},
        "z": {"tag": "3"},
    }


def test_a_chart_that_is_called_by_an_alias_is_looked_at_for_it() -> None:
    files = {"c/Chart.yaml": b"dependencies: [{name: x, alias: shop}]\n"}
    listing = [*files, "c/values.yaml", "c/charts/x/values.yaml"]
    assert "c/charts/x/values.yaml" in subchart_value_paths(
        "c/values.yaml", ["shop"], files, listing
    )
    assert subchart_value_paths("c/values.yaml", ["x"], files, listing) == set()


def test_aliases_in_aliases_come_to_an_end() -> None:
    many = "".join(f"- {{name: x, alias: a{n}}}\n" for n in range(500)).encode()
    folders = ["c/" + "charts/x/" * depth for depth in range(4)]
    files = {f"{folder}Chart.yaml": b"dependencies:\n" + many for folder in folders}
    values = effective_values(files | {f"{folders[-1]}values.yaml": b"a: b\n"}, "c/", [])
    assert values["a0"]["a0"]["a499"] == {"a": "b"}
