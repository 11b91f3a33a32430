from __future__ import annotations

from towline.gitops.chart_beside import base_of, chart_files, chart_folder

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
    assert chart_files("a/b/c.yaml", FILES) == ("a/Chart.yaml", "a/values.yaml")
    assert chart_files("x.yaml", FILES) == ("Chart.yaml",)
    assert chart_files("x.yaml", ["y/Chart.yaml"]) == ()
    assert base_of("a/b/c.yaml", FILES) == {"image": {"tag": "1"}}
    for path in ("a/values.yaml", "x.yaml", "broken/x.yaml"):
        assert base_of(path, FILES) == {}
