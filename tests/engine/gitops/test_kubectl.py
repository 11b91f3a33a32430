from __future__ import annotations

import difflib
import shutil
import subprocess
from pathlib import Path

import pytest

from towline.errors import ConfigError, RenderError
from towline.gitops.candidates import Choice
from towline.gitops.change import Change
from towline.gitops.kubectl import ContainerImage
from towline.gitops.notes import Replaced
from towline.yaml.aliases import ALL, OWN, AliasPolicy

KUBECTL = shutil.which("kubectl")
FIXTURES = Path(__file__).parent / "fixtures"
NEW = f"host.example:5000/app:1.20@sha256:{'0' * 64}"


def changed(name: str, container: str, image: str = NEW) -> list[str]:
    """The lines that the change removes from a fixture and adds, line ends included."""
    before = (FIXTURES / name).read_bytes()
    after = set_image(before, container, image, name=name)
    lines = difflib.ndiff(
        before.decode().splitlines(keepends=True), after.decode().splitlines(keepends=True)
    )
    return [line for line in lines if line[0] in "+-"]


def set_image(data: bytes, container: str, image: str = NEW, name: str = "x.yaml") -> bytes:
    return (
        ContainerImage(pattern=name, container=container, image=image)
        .apply({name: data})
        .get(name, data)
    )


def refusal(name: str, container: str) -> RenderError:
    with pytest.raises(RenderError) as caught:
        changed(name, container)
    assert caught.value.hint
    return caught.value


def test_it_is_a_change() -> None:
    change: Change = ContainerImage(pattern="*.yaml", container="app", image=NEW)
    assert change.wants(["a.yaml", "b.txt", "c/d.yaml", "e.yaml"]) == ("a.yaml", "e.yaml")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("deployment.yaml", "\n"),
        ("crlf.yaml", "\r\n"),
        ("bom.yaml", "\n"),
        ("no-final-newline.yaml", "\n"),
    ],
)
def test_only_the_line_of_the_container_changes(name: str, end: str) -> None:
    line = '        image: "{}"   # {{"$marker": "keep"}}' + end
    assert changed(name, "app") == [
        "- " + line.format("host.example/app:1.0"),
        "+ " + line.format(NEW),
    ]


def test_an_init_container_is_a_container() -> None:
    assert changed("crlf.yaml", "init") == [
        "-       - image: host.example/init:0.9   # runs first\r\n",
        f"+       - image: {NEW}   # runs first\r\n",
    ]


@pytest.mark.parametrize(
    ("name", "container", "lines"),
    [
        ("deployment.yaml", "side", [f"+         image: {NEW}\n"]),
        ("crlf.yaml", "side", [f"+         image: {NEW}\r\n"]),
        ("four-spaces.yaml", "side", [f"+                     image: {NEW}\n"]),
    ],
)
def test_a_missing_image_is_inserted_below_the_name(
    name: str, container: str, lines: list[str]
) -> None:
    assert changed(name, container) == lines


def test_blanks_behind_the_image_stay() -> None:
    assert changed("four-spaces.yaml", "app") == [
        "-                     image: host.example/app:1.0    \n",
        f"+                     image: {NEW}    \n",
    ]


def test_every_document_with_the_container_is_edited_and_no_other() -> None:
    flow = "          containers: [{{name: app, image: '{}', args: [a, b]}}]  # nightly\n"
    block = "        - image: {}\n"
    old = "host.example/app:1.0"
    assert sorted(changed("many-documents.yaml", "app")) == sorted(
        [
            "- " + flow.format(old),
            "+ " + flow.format(NEW),
            "- " + block.format(old),
            "+ " + block.format(NEW),
        ]
    )


def test_json_in_a_list_of_objects_is_edited_alike() -> None:
    line = '  {{"kind": "Pod", "spec": {{"containers": [{{"name": "app", "image": "{}"}}]}}}},\n'
    assert changed("list.yaml", "app") == [
        "- " + line.format("host.example/app:1.0"),
        "+ " + line.format(NEW),
    ]


def test_a_charts_template_is_edited_where_it_holds_text() -> None:
    line = "          image: {} # {{{{ .Values.comment }}}}\n"
    assert changed("chart-template.yaml", "side") == [
        "- " + line.format("host.example/side:1.0"),
        "+ " + line.format(NEW),
    ]


@pytest.mark.parametrize(
    ("container", "where"),
    [("{{ .Chart.Name }}", "chart-template.yaml:14:18"), ("late", "chart-template.yaml:22:17")],
)
def test_a_template_is_not_written_over(container: str, where: str) -> None:
    assert refusal("chart-template.yaml", container).where == where


@pytest.mark.parametrize(
    ("container", "lines"),
    [
        (
            "alone",
            [
                "-         image: &unused host.example/alone:1.0\n",
                f"+         image: &unused {NEW}\n",
            ],
        ),
        ("merged", [f"+         image: {NEW}\n"]),
        ("plain", ["-         image: host.example/plain:1.0\n", f"+         image: {NEW}\n"]),
    ],
)
def test_beside_anchors_only_the_container_changes(container: str, lines: list[str]) -> None:
    assert changed("anchors.yaml", container) == lines


@pytest.mark.parametrize(
    ("container", "where", "says"),
    [
        ("same", "anchors.yaml:15:16", r"alias \*image"),
        (
            "app",
            "anchors.yaml:9:23",
            r"aliases in line 15 \(spec.*\.image\) and line 16 \(spec.*<<\)",
        ),
    ],
)
def test_an_image_shared_through_an_alias_is_refused_with_its_place(
    container: str, where: str, says: str
) -> None:
    found = refusal("anchors.yaml", container)
    assert found.where == where
    with pytest.raises(RenderError, match=says):
        raise found


def test_a_list_or_an_entry_behind_an_alias_is_refused_not_overlooked() -> None:
    text = (
        b"x: &list [{name: app, image: old}]\ny: &entry {name: solo, image: old}\nspec:"
        b" {containers: *list, initContainers: [*entry]}\n"
    )
    for container in ("app", "solo"):
        with pytest.raises(RenderError, match="behind the alias"):
            set_image(text, container)


@pytest.mark.parametrize(
    "name",
    [
        "bom.yaml",
        "crlf.yaml",
        "deployment.yaml",
        "four-spaces.yaml",
        "list.yaml",
        "many-documents.yaml",
        "no-final-newline.yaml",
    ],
)
def test_a_second_run_changes_nothing(name: str) -> None:
    once = set_image((FIXTURES / name).read_bytes(), "app")
    assert ContainerImage(pattern=name, container="app", image=NEW).apply({name: once}) == {}


def test_an_image_that_reads_as_a_number_is_quoted() -> None:
    assert (
        set_image(b"spec: {containers: [{name: a, image: 1.19}]}", "a", "1.20")
        == b'spec: {containers: [{name: a, image: "1.20"}]}'
    )


def test_what_stands_around_an_image_stays_and_a_list_of_others_is_refused() -> None:
    text = b"spec: {containers: [{name: app, image: ' old/app:1'}, {name: list, image: 'a,b'}]}\n"
    assert set_image(text, "app") == text.replace(b"old/app:1", NEW.encode())
    with pytest.raises(RenderError, match="holds more than an image") as caught:
        set_image(text, "list")
    assert caught.value.where == "x.yaml"


def test_a_missing_container_lists_those_that_are_there() -> None:
    with pytest.raises(ConfigError) as caught:
        changed("deployment.yaml", "ap")
    assert caught.value.message == "container 'ap' is not in deployment.yaml"
    assert caught.value.hint == "did you mean 'app'? known containers: app, init, side"


def test_a_missing_container_in_a_chart_lists_templates_as_written() -> None:
    with pytest.raises(ConfigError) as caught:
        changed("chart-template.yaml", "other")
    assert caught.value.hint == "known containers: late, side, {{ .Chart.Name }}"


@pytest.mark.parametrize(
    "text",
    [
        "kind: Service\nspec: {ports: [{name: app}]}\n",
        "",
        "just text\n",
        "spec:\n  containers:\n    type: array\n",
        "containers: [{name: app}]\n",
        "spec: {containers: [{image: app}]}\n",
    ],
)
def test_a_file_without_named_containers_says_so(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        set_image(text.encode(), "app")
    assert "no container has a name" in caught.value.hint


def test_a_container_in_one_of_several_files_is_enough() -> None:
    files = {"a.yaml": b"kind: Service\n", "b.yaml": b"spec:\n  containers:\n  - name: app\n"}
    assert ContainerImage(pattern="*.yaml", container="app", image="x").apply(files) == {
        "b.yaml": files["b.yaml"] + b"    image: x\n"
    }


def test_no_matching_file_names_what_is_near() -> None:
    with pytest.raises(ConfigError) as caught:
        ContainerImage(pattern="app/deploment.yaml", container="app", image=NEW).wants(
            ["app/deployment.yaml", "b.yaml"]
        )
    assert "'app/deployment.yaml'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "where"), [("spec: [\n", "x.yaml:2:1"), ("spec:\n\tcontainers: []\n", "x.yaml:2:1")]
)
def test_a_file_that_is_no_yaml_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(RenderError) as caught:
        set_image(text.encode(), "app")
    assert caught.value.where == where


def test_aliases_that_turn_in_a_circle_end() -> None:
    with pytest.raises(ConfigError):
        set_image(b"spec: {containers: [&a [*a], &b {<<: *b}, &c {<<: [*b, *c]}]}\n", "app")


def test_kinds_are_not_listed() -> None:
    template = "{metadata: {name: p}, spec: {containers: [{name: app, image: old}]}}"
    text = f"kind: Own\nspec:\n  deep:\n  - {{pods: [{template}]}}\n---\n{template}\n"
    assert set_image(text.encode(), "app", "new").decode() == text.replace("old", "new")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("spec:\n  containers:\n  - name: app\n    image: old\n    name: other\n", "x.yaml:5:5"),
        ("spec:\n  containers:\n  - name: other\n    image: old\n    name: app\n", "x.yaml:5:5"),
        ("spec:\n  containers:\n  - name: app\n    image: a\n    image: b\n", "x.yaml:5:5"),
        ("k: &k image\nspec:\n  containers:\n  - name: app\n    *k : a:1\n", "x.yaml:5:5"),
        ("k: &k name\nspec:\n  containers:\n  - *k : app\n    image: a\n", "x.yaml:4:5"),
        ("k: &k name\nspec:\n  containers:\n  - name: other\n    *k : app\n", "x.yaml:5:5"),
        ("spec: {containers: [{name: app}]}\nspec: {containers: []}\n", "x.yaml:2:1"),
        ("spec:\n  containers: [{name: other}]\n  containers: [{name: app}]\n", "x.yaml:3:3"),
        ("k: &k spec\n*k : {containers: [{name: app}]}\n", "x.yaml:2:1"),
        ("k: &k own\n*k : {spec: {containers: [{name: app}]}}\n", "x.yaml:2:1"),
        ("b: &b {name: x, name: app}\nspec:\n  containers:\n  - <<: *b\n", "x.yaml:1:17"),
    ],
)
def test_a_container_that_parsers_read_differently_is_refused_with_its_place(
    text: str, where: str
) -> None:
    with pytest.raises(RenderError) as caught:
        set_image(text.encode(), "app")
    assert caught.value.where == where
    assert caught.value.hint


def test_a_document_behind_an_open_template_is_not_overlooked() -> None:
    pod = "spec: {containers: [{name: app, image: old}]}\n"
    with pytest.raises(RenderError) as caught:
        set_image(f"# use {{{{ here\n---\n{pod}# closing }}}}\n---\n{pod}".encode(), "app")
    assert caught.value.where == "x.yaml:1:7"


def test_what_stood_there_is_noted_for_every_place() -> None:
    noted: list[Replaced] = []
    text = (
        b"spec: {containers: [{name: a, image: x:1}, {name: b, image: y}]}\n---\nspec:"
        b" {initContainers: [{name: a}]}\n"
    )
    ContainerImage(pattern="*", container="a", image=NEW, note=noted.append).apply({"x.yaml": text})
    assert noted == [
        Replaced(file="x.yaml", name="a", old="x:1", new=NEW),
        Replaced(file="x.yaml", name="a", old="", new=NEW),
    ]


def shared(text: bytes, policy: str) -> tuple[str, list[str], list[str]]:
    """The file, the log and the old image after container `app` gets the image `new`."""
    said: list[str] = []
    noted: list[str] = []
    sharing = AliasPolicy(policy=policy, say=said.append)
    change = ContainerImage(
        pattern="x.yaml",
        container="app",
        image="new",
        note=lambda one: noted.append(one.old),
        sharing=sharing,
    )
    return change.apply({"x.yaml": text}).get("x.yaml", text).decode(), said, noted


IMAGES = b"""\
x: &image old
spec:
  template: {spec: {containers: [{name: app, image: *image}]}}
---
x: &list [&app {name: app, image: old}]
spec:
  containers: *list
  initContainers: [{<<: *app}]
"""


def test_an_image_behind_an_alias_changes_for_all_where_that_is_wanted() -> None:
    after, said, noted = shared(IMAGES, ALL)
    assert after == IMAGES.decode().replace("old", "new").replace(
        "{<<: *app}", "{<<: *app, image: new}"
    )
    assert said == [
        (
            "x.yaml:1:11: x is shared, and changes for line 3"
            " (spec.template.spec.containers[0].image), too"
        ),
        (
            "x.yaml:5:35: x[0].image is shared, and changes for line 7 (spec.containers) and line 8"
            " (spec.initContainers[0].<<), too"
        ),
    ]
    assert noted == ["old", "old", ""]


def test_an_image_behind_an_alias_is_written_out_where_that_is_wanted() -> None:
    first = IMAGES.partition(b"---")[0]
    assert shared(first, OWN) == (
        first.decode().replace("image: *image", "image: new"),
        [],
        ["old"],
    )
    with pytest.raises(RenderError, match=r"behind the alias \*list"):
        shared(IMAGES, OWN)


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl: it cannot be asked what it reads")
@pytest.mark.parametrize("keys", [("name: a", "<<: *b"), ("<<: *b", "name: a")])
def test_kubectl_reads_the_image_that_was_inserted_beside_a_merge_key(
    keys: tuple[str, str],
) -> None:
    listed = "  - {}\n    {}\n".format(*keys)
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nx: &b {image: old}\nspec:\n "
        f" containers:\n{listed}"
    )
    words = [
        str(KUBECTL),
        "patch",
        "--local",
        "--filename=-",
        "--patch={}",
        "--output=jsonpath={.spec.containers[0].image}",
    ]
    done = subprocess.run(
        words, input=set_image(text.encode(), "a"), check=True, capture_output=True
    )
    assert done.stdout.decode() == NEW


def test_an_image_in_front_of_a_merge_key_that_has_one_too_is_refused() -> None:
    with pytest.raises(RenderError, match="has that key too") as caught:
        set_image(
            b"b: &b {image: old}\nspec:\n  containers:\n  - name: a\n    image: x\n    <<: *b\n",
            "a",
        )
    assert caught.value.where == "x.yaml:5:5"


TWO = "".join(
    f"---\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: app, image:"
    f" {image}}}]}}\n"
    for name, image in (("web", "reg.io/team/web:1"), ("cart", "reg.io/team/cart:1"))
)


def test_a_container_of_the_same_name_that_runs_another_image_is_left_alone() -> None:
    said: list[str] = []
    change = ContainerImage(
        pattern="*", container="app", image="reg.io/team/web:2", choice=Choice(say=said.append)
    )
    files = {"a.yaml": TWO.encode(), "b.yaml": TWO.replace("name: web", "name: web-b").encode()}
    changed = change.apply(files)
    assert changed == {path: data.replace(b"web:1", b"web:2") for path, data in files.items()}
    assert said[0].endswith(
        "Deployment/cart in a.yaml (reg.io/team/cart:1), Deployment/cart in b.yaml"
        " (reg.io/team/cart:1)"
    )
    assert change.apply(changed) == {}


def test_the_resource_chooses_among_containers_of_the_same_name() -> None:
    change = ContainerImage(
        pattern="*", container="app", image="x.io/new:1", choice=Choice(resource="Deployment/cart")
    )
    assert change.apply({"a.yaml": TWO.encode()}) == {
        "a.yaml": TWO.replace("reg.io/team/cart:1", "x.io/new:1").encode()
    }
    with pytest.raises(ConfigError, match="stands in 2 places"):
        ContainerImage(pattern="*", container="app", image="x.io/new:1").apply(
            {"a.yaml": TWO.encode()}
        )


def test_resources_of_one_name_are_told_apart_by_their_namespaces() -> None:
    text = TWO.replace("name: cart", "name: web, namespace: shop").replace(
        "{name: web}", "{name: web, namespace: team}"
    )
    for resource, old in (
        ("Deployment/shop/web", "reg.io/team/cart:1"),
        ("deployment/team/web", "reg.io/team/web:1"),
    ):
        change = ContainerImage(
            pattern="*", container="app", image="x.io/new:1", choice=Choice(resource=resource)
        )
        assert change.apply({"a.yaml": text.encode()}) == {
            "a.yaml": text.replace(old, "x.io/new:1").encode()
        }
    change = ContainerImage(
        pattern="*", container="app", image="x.io/new:1", choice=Choice(resource="Deployment/web")
    )
    with pytest.raises(ConfigError, match=r"Deployment/team/web in a\.yaml"):
        change.apply({"a.yaml": text.encode()})
