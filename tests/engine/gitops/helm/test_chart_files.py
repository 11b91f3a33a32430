from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.engine.gitops.charts import CHART_YAML, as_bytes
from towline.errors import ConfigError
from towline.gitops.helm.chart_files import chart_tree, further_paths, structural_paths


def depends(*lines: str) -> str:
    return CHART_YAML + "dependencies:\n" + "".join(f"- {{{line}}}\n" for line in lines)


def all_of(chart: str, files: Mapping[str, str]) -> list[str]:
    """The files that a change reads in the end, asked for as a repository does."""
    contents, listing = as_bytes(files), sorted(files)
    read = {path: contents[path] for path in structural_paths(chart, listing)}
    while more := [
        path
        for path in further_paths(chart, listing, read)
        if path in contents and path not in read
    ]:
        read |= {path: contents[path] for path in more}
    return sorted(read)


ROOT = {
    "Chart.yaml": CHART_YAML,
    "values.yaml": "",
    "templates/a.yaml": "",
    "charts/sub/Chart.yaml": "",
    "docs/large.bin": "",
    "src/main.go": "",
    ".helmignore": "",
}


def test_of_a_repository_that_is_a_chart_only_what_a_rendering_uses_is_read() -> None:
    assert all_of("", ROOT) == [
        ".helmignore",
        "Chart.yaml",
        "charts/sub/Chart.yaml",
        "templates/a.yaml",
        "values.yaml",
    ]


def test_of_a_folder_with_few_files_all_are_read_at_once_and_of_one_with_many_what_is_used() -> (
    None
):
    chart = {f"c/{path}": text for path, text in ROOT.items()}
    assert structural_paths("c/", sorted(chart)) == sorted(chart)
    assert all_of("c/", chart | {f"c/docs/{number}.md": "" for number in range(300)}) == sorted(
        path for path in chart if "docs" not in path and "src" not in path
    )


@pytest.mark.parametrize(
    "files",
    [
        {"templates/_helpers.tpl": '{{ .Files.Get "docs/large.bin" }}'},
        {"charts/lib/templates/_a.tpl": '{{ (index $ "Files").Get "x" }}'},
        {"charts/lib-1.0.tgz": "packed"},
    ],
)
def test_where_a_template_may_ask_for_files_all_are_read_that_are_not_ignored(
    files: dict[str, str],
) -> None:
    ignore = "# docs\n*.go\n/vendor/\nbuild/*.o\nnode_modules/\n!keep\n**/x\n"
    others = dict.fromkeys(
        (
            "vendor/a/b",
            "sub/vendor/c",
            "build/x.o",
            "build/sub/x.o",
            "web/node_modules/x/y",
            "node_modules",
            "x",
        ),
        "",
    )
    found = all_of("", ROOT | others | files | {".helmignore": ignore})
    assert set(ROOT) | set(others) | set(files) == {
        *found,
        "src/main.go",
        "vendor/a/b",
        "build/x.o",
        "web/node_modules/x/y",
    }


LOCAL = {
    "apps/web/Chart.yaml": depends(
        "name: common, version: 1.0.0, repository: 'file://../../libs/common'"
    ),
    "libs/common/Chart.yaml": depends("name: base, version: 1.0.0, repository: 'file://../base/'"),
    "libs/common/templates/_a.tpl": "a",
    "libs/base/Chart.yaml": CHART_YAML,
    "libs/base/values.yaml": "x: 1\n",
    "libs/other/Chart.yaml": CHART_YAML,
}


def test_charts_of_the_repository_come_with_those_that_they_depend_on() -> None:
    assert all_of("apps/web/", LOCAL) == sorted(path for path in LOCAL if "other" not in path)
    found = chart_tree("apps/web/", as_bytes(LOCAL))
    assert sorted(found.files) == [
        "Chart.yaml",
        "charts/common/Chart.yaml",
        "charts/common/charts/base/Chart.yaml",
        "charts/common/charts/base/values.yaml",
        "charts/common/templates/_a.tpl",
    ]
    assert found.missing == ()


@pytest.mark.parametrize(
    "there",
    [
        "charts/common/Chart.yaml",
        "charts/x/Chart.yaml",
        "charts/common-1.0.0.tgz",
        "charts/common.tgz",
    ],
)
def test_what_charts_has_already_is_taken_from_there(there: str) -> None:
    files = LOCAL | {f"apps/web/{there}": "name: common\nversion: 1.0.0\n"}
    assert [path for path in all_of("apps/web/", files) if path.startswith("libs/")] == []
    assert sorted(chart_tree("apps/web/", as_bytes(files)).files) == sorted(["Chart.yaml", there])


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        ("file://../../../x", "which is not inside the repository"),
        ("file:///etc", "which is not inside the repository"),
        ("file://../..", "is not inside the repository"),
        ("file://../no", "apps/no/Chart.yaml is not in the repository"),
    ],
)
def test_a_chart_that_is_not_in_the_repository_is_named(repository: str, said: str) -> None:
    files = as_bytes(
        {"apps/web/Chart.yaml": depends(f"name: x, version: 1.0.0, repository: '{repository}'")}
    )
    with pytest.raises(ConfigError, match=said) as caught:
        chart_tree("apps/web/", files)
    assert caught.value.where == "apps/web/Chart.yaml"


def test_charts_that_depend_on_each_other_come_to_an_end() -> None:
    files = {
        "a/Chart.yaml": depends("name: b, repository: 'file://../b'"),
        "b/Chart.yaml": depends("name: a, repository: 'file://../a'"),
    }
    assert all_of("a/", files) == sorted(files)
    with pytest.raises(ConfigError) as caught:
        chart_tree("a/", as_bytes(files))
    assert caught.value.message == "the chart in a/ depends on itself, by way of b/"
    assert caught.value.where == "b/Chart.yaml"
    with pytest.raises(ConfigError, match=r"^the chart in a/ depends on itself$"):
        chart_tree("a/", as_bytes({"a/Chart.yaml": depends("name: a, repository: 'file://.'")}))


def chain(length: int, *, wide: int = 1) -> dict[str, str]:
    """Charts, each of which depends `wide` times on the next."""
    return {
        f"c{number}/Chart.yaml": depends(
            *(f"name: n{one}, repository: 'file://../c{number + 1}'" for one in range(wide))
        )
        for number in range(length)
    } | {f"c{length}/Chart.yaml": CHART_YAML}


def test_a_row_of_charts_that_is_too_long_is_called_that() -> None:
    assert len(chart_tree("c0/", as_bytes(chain(10))).files) == 11
    assert len(all_of("c0/", chain(30))) == 31
    with pytest.raises(
        ConfigError, match="more than 10 charts depend on each other in a row"
    ) as caught:
        chart_tree("c0/", as_bytes(chain(11)))
    assert caught.value.where == "c10/Chart.yaml"


def test_charts_that_many_depend_on_are_read_once_and_not_brought_in_without_end() -> None:
    files = chain(10, wide=10)
    assert all_of("c0/", files) == sorted(files)
    with pytest.raises(ConfigError, match="bring more than 1000 charts"):
        chart_tree("c0/", as_bytes(files))


LOCK = (
    "dependencies: [{name: redis, repository: 'http://127.0.0.1:18971', version: 18.1.2}]\n"
    "digest: sha256:5c02b5691ea4429d80d71f107f4b291f5b338c9e0adb3bbc9b8af193daf42508\n"
)


def test_a_lock_for_other_dependencies_is_refused() -> None:
    files = as_bytes(
        {
            "c/Chart.yaml": depends("name: redis, version: ^19, repository: 'https://x'"),
            "c/Chart.lock": LOCK,
        }
    )
    with pytest.raises(ConfigError, match="made for other dependencies") as caught:
        chart_tree("c/", files)
    assert caught.value.where == "c/Chart.lock"


def test_what_comes_from_elsewhere_is_missing_with_the_version_that_is_locked() -> None:
    files = {
        "c/requirements.yaml": (
            "dependencies: [{name: old, version: '1', repository: '@stable'}, {name: none}, {name:"
            " ../x, repository: y}, 5]\n"
        ),
        "c/Chart.lock": LOCK,
        "c/Chart.yaml": depends(
            "name: redis, version: 18.x.x, repository: 'http://127.0.0.1:18971'"
        ),
        "l/Chart.yaml": depends("name: c, repository: 'file://../c'"),
    }
    assert [
        (one.folder, one.name, one.version, one.locked, one.repository)
        for one in chart_tree("l/", as_bytes(files)).missing
    ] == [
        ("charts/c/", "redis", "18.x.x", "18.1.2", "http://127.0.0.1:18971"),
        ("charts/c/", "old", "1", "", "@stable"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "dependencies: 5", "- a", "a: [", "dependencies: {a: b}", "dependencies: [{name: [a]}]"],
)
def test_what_is_no_list_of_dependencies_is_left_to_helm(text: str) -> None:
    assert chart_tree("c/", {"c/Chart.yaml": text.encode()}).missing == ()
