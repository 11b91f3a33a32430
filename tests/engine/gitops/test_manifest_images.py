from __future__ import annotations

import pytest

from towline.gitops.manifest_images import (
    FoundImage,
    compose_image,
    images_in_file,
    is_same_image,
    is_used,
    nearest_images,
    stale_containers,
)
from towline.image import Reference, parse_reference

DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
WEB = parse_reference("reg.example.com/team/web:2.4.1")


def found(text: str) -> tuple[FoundImage, ...]:
    listed = images_in_file(text.encode(), {"web"})
    assert listed is not None
    return listed


def named(text: str, wanted: Reference = WEB) -> bool:
    return any(is_same_image(one, wanted) for one in found(text))


POD = "spec: {%s: [{name: a, image: %s}], containers: []}\n"


@pytest.mark.parametrize(
    "text",
    [
        POD % ("initContainers", "reg.example.com/team/web:2.4.1"),
        POD % ("ephemeralContainers", "'reg.example.com/team/web:2.4.1'"),
        (
            "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{image:"
            " reg.example.com/team/web:2.4.1}]}}}}}\n"
        ),
        (
            "kind: List\nitems:\n- kind: Pod\n  spec: {containers: [{image:"
            " reg.example.com/team/web:2.4.1}]}\n"
        ),
        "kind: Database\nspec:\n  image: reg.example.com/team/web:2.4.1\n",
        "kind: ConfigMap\ndata: {image: reg.example.com/team/web:2.4.1}\n",
        f"image: reg.example.com/team/web:2.4.1@{DIGEST}\n".replace(f"@{DIGEST}", ""),
        "args: [--sidecar=reg.example.com/team/web:2.4.1]\n",
        "args: ['a=b,web=reg.example.com/team/web:2.4.1,c']\n",
        "url: docker://reg.example.com/team/web:2.4.1\n",
        "image: {registry: reg.example.com, repository: team/web, tag: 2.4.1}\n",
        "image: {registry: reg.example.com, repository: reg.example.com/team/web, tag: 2.4.1}\n",
        "image: {repository: reg.example.com/team/web, tag: '2.4.1', digest: ''}\n",
        "imageRepository: reg.example.com/team/web\nimageTag: 2.4.1\n",
        (
            "global: {imageRegistry: reg.example.com}\nweb: {image: {repository: team/web, tag:"
            " 2.4.1}}\n"
        ),
        "images:\n- name: web\n  newName: reg.example.com/team/web\n  newTag: 2.4.1\n",
        (
            "parameters:\n- {name: image.repository, value: reg.example.com/team/web}\n- {name:"
            " image.tag, value: 2.4.1}\n"
        ),
        "values: |\n  image:\n    repository: reg.example.com/team/web\n    tag: 2.4.1\n",
        "x: &x {repository: reg.example.com/team/web}\nimage: {<<: *x, tag: 2.4.1}\n",
        (
            "{{- if .a }}\nspec: {containers: [{name: a, image:"
            " reg.example.com/team/web:2.4.1}]}\n{{- end }}\n"
        ),
    ],
)
def test_the_image_is_found_where_it_is_read(text: str) -> None:
    assert named(text)


@pytest.mark.parametrize(
    "text",
    [
        "image: reg.example.com/team/web:2.4.10\n",
        "image: xreg.example.com/team/web:2.4.1\n",
        "image: docker.io/reg.example.com/team/web:2.4.1\n",
        "# reg.example.com/team/web:2.4.1\nimage: other\n",
        f"image: reg.example.com/team/web:2.4.1@{OTHER}\n",
        "image: {registry: docker.io, repository: reg.example.com/team/web, tag: 2.4.1}\n",
        f"image: {{repository: reg.example.com/team/web, tag: 2.4.1, digest: '{OTHER}'}}\n",
        (
            "global: {imageRegistry: mirror.io}\nimage: {registry: reg.example.com, repository:"
            " team/web, tag: 2.4.1}\n"
        ),
        "image: {name: reg.example.com/team/web, version: 1.0.0, repository: x, tag: '2'}\n",
        "images: [{name: web, newName: reg.example.com/team/web}]\n",
        "image: team/web:2.4.1\n",
        "kind: Pod\nmetadata: {annotations: {was: reg.example.com/team/web:2.4.1}}\n",
        (
            "kind: D\nspec: {template: {metadata: {annotations: {a:"
            " reg.example.com/team/web:2.4.1}}}}\n"
        ),
        "metadata:\n  annotations:\n    last-applied: |\n      a: reg.example.com/team/web:2.4.1\n",
        "commonAnnotations: {was: reg.example.com/team/web:2.4.1}\n",
        "metadata: {labels: {registry: reg.example.com, name: team/web, version: 2.4.1}}\n",
    ],
)
def test_what_only_looks_like_it_is_another_image(text: str) -> None:
    assert not named(text)


@pytest.mark.parametrize(
    ("text", "wanted", "same"),
    [
        ("web:1", "docker.io/library/web:1", True),
        ("index.docker.io/team/web:1", "docker.io/team/web:1", True),
        ("team/web:1", "docker.io/team/web:1", True),
        ("web:1", "docker.io/team/web:1", False),
        (f"reg.io/web@{DIGEST}", f"reg.io/web:1@{DIGEST}", True),
        (f"reg.io/web:1@{OTHER}", f"reg.io/web:1@{DIGEST}", False),
        ("reg.io/web:1", f"reg.io/web:1@{DIGEST}", True),
        ("reg.io/web", f"reg.io/web@{DIGEST}", False),
        ("reg.io:5000/web:1", "reg.io/web:1", False),
    ],
)
def test_references_are_compared_as_a_runtime_reads_them(
    text: str,
    wanted: str,
    same: bool,
) -> None:
    assert is_same_image(FoundImage(location="", text=text), parse_reference(wanted)) is same


def test_what_cannot_be_read_is_none() -> None:
    assert images_in_file(b"a: [", {"web"}) is None
    assert images_in_file(b"\xff{{", {"web"}) is None


def test_containers_of_the_same_name_with_another_image_are_strays_and_others_are_not() -> None:
    images = [
        "reg.example.com/team/web:1",
        "docker.io/reg.example.com/team/web:2.4.1",
        "team/web:2.4.1",
        "other/web:1",
        "reg.example.com/team/cart:1",
        "reg.example.com/team/web:2.4.1",
    ]
    text = "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n" + "".join(
        f"  - {{name: c, image: '{image}'}}\n" for image in images
    )
    assert [one.text for one in stale_containers(found(text), WEB)] == images[:3]


@pytest.mark.parametrize(
    ("pods", "read"),
    [
        (["docker.io/reg.example.com/team/web:2.4.1"], False),
        (["reg.example.com/team/web:2.4.1", "reg.example.com/team/web:1"], True),
        (["other:1"], True),
        ([], True),
    ],
)
def test_another_text_counts_only_where_no_container_runs_another_version(
    pods: list[str],
    read: bool,
) -> None:
    text = "kind: ConfigMap\ndata: {web: reg.example.com/team/web:2.4.1}\n" + "".join(
        f"---\nkind: Pod\nspec: {{containers: [{{image: '{image}'}}]}}\n" for image in pods
    )
    assert is_used(found(text), WEB) is read
    assert not is_used(found("a: b\n"), WEB)


def test_the_likely_ones_are_named_first() -> None:
    text = (
        "kind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: a, image: x/cart:1}, {name:"
        " b, image: y/web:1}]\n"
    )
    text += "image: {repository: z/web, tag: '2'}\n"
    assert nearest_images(found(text), WEB) == [
        "y/web:1 (Pod p, b)",
        "z/web:2 (image)",
        "x/cart:1 (Pod p, a)",
    ]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("", "a/b", "1", ""), "a/b:1"),
        (("r", "b", "", DIGEST), f"r/b@{DIGEST}"),
        (("r", "r/b", "1", "a" * 64), f"r/b:1@sha256:{'a' * 64}"),
        (("r:5", "b:2", "1", ""), "r:5/b:2"),
    ],
)
def test_parts_come_together_as_charts_join_them(
    parts: tuple[str, str, str, str], text: str
) -> None:
    assert compose_image(*parts) == text


def test_what_aliases_repeat_is_read_once_and_a_circle_not_at_all() -> None:
    nested = "a0: &a0 [x/web:1]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)
    )
    assert [one.text for one in found(nested)] == ["x/web:1"]
    assert images_in_file(b"a: &a [*a, x/web:1]\n", {"web"}) is None


def test_each_list_of_parameters_is_read_however_many_there_are() -> None:
    names = [f"x/web{number}" for number in range(9)]
    text = "sources:\n" + "".join(
        "- helm:\n    parameters:\n"
        f"    - {{name: app.image.repository, value: {name}}}\n"
        "    - {name: app.image.tag, value: '1'}\n"
        for name in names
    )
    assert [one.text for one in found(text)] == [f"{name}:1" for name in names]


SECRETS = """
kind: Secret
stringData: {auth: "web:hunter2", url: "x.example.com/web:s3cr3t-token"}
---
kind: List
items: [{kind: Secret, stringData: {auth: "web:hunter2"}}]
---
kind: ConfigMap
data: {inner: "kind: Secret\\nstringData: {auth: 'web:hunter2'}\\n"}
---
secretGenerator: [{name: web, literals: ["auth=web:hunter2"]}]
"""


def test_what_a_secret_holds_is_never_shown() -> None:
    found = images_in_file(SECRETS.encode(), {"web"})
    assert found
    assert all(one.secret for one in found)
    shown = " ".join([*map(str, found), *nearest_images(found, WEB)])
    assert "hunter2" not in shown
    assert "s3cr3t" not in shown


def test_an_image_in_a_secret_counts_as_named() -> None:
    found = images_in_file(
        b"kind: Secret\nstringData: {image: 'reg.example.com/team/web:2.4.1'}\n", {"web"}
    )
    assert found
    assert is_same_image(found[0], WEB)


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("{spec: {img: a/b:1}}", False),
        ("{spec: {template: {spec: {img: a/b:1}}}}", False),
        ("{metadata: {img: a/b:1}}", False),
        ("{spec: {template: {spec: {volumes: [{image: {reference: a/b:1}}]}}}}", True),
        ("{spec: {template: {spec: {containers: [{args: [--img=a/b:1]}]}}}}", True),
    ],
)
def test_of_a_workload_what_a_cluster_drops_is_not_read(path: str, *, read: bool) -> None:
    known = f"{{apiVersion: apps/v1, kind: Deployment, {path[1:]}".encode()
    assert bool(images_in_file(known, {"b"})) is read
    assert images_in_file(known.replace(b"apps/v1", b"example.com/v1"), {"b"})


CUSTOM = "apiVersion: example.com/v1\nkind: App\nspec: {%s}\n"
BASE = "baseImage: reg.example.com/team/web"


@pytest.mark.parametrize(
    ("spec", "read"),
    [
        (f"{BASE}, version: 2.4.1", True),
        (f"{BASE}, version: 1.0.0", False),
        (f"{BASE}, version: 2.4.1, tag: v1", False),
        (f"{BASE}, version: 2.4.1, sha: {'a' * 64}", False),
        ("image: {repository: reg.example.com/team/web, version: 2.4.1}", True),
        ("image: {repository: reg.example.com/team/web, version: 2.4.1, tag: v1}", False),
        ("env: [{name: IMAGE, value: reg.example.com/team/web}, {name: TAG, value: 2.4.1}]", True),
        (
            (
                "env: [{name: A}, {name: I, value: reg.example.com/team/web}, {name: TAG, value:"
                " 2.4.1}]"
            ),
            True,
        ),
        ("args: [--image=reg.example.com/team/web, --tag=2.4.1]", True),
        ("args: [--image=reg.example.com/team/web, --tag=2.4.0]", False),
        ("images: [{name: reg.example.com/team/web, newName: mirror/web, newTag: 2.4.1}]", False),
    ],
)
def test_of_a_resource_repository_and_tag_in_keys_of_any_name_are_read_together(
    spec: str, *, read: bool
) -> None:
    assert named(CUSTOM % spec) is read
    values = (CUSTOM % spec).replace("kind: App\n", "").replace("apiVersion: example.com/v1\n", "")
    assert not any(one.assembled for one in found(values))


@pytest.mark.parametrize(
    "text",
    [
        "{name: frontend, imageRepo: reg.example.com/team/web, tag: 2.4.1}",
        "{apiVersion: v2, name: web, version: 0.1.0}",
    ],
)
def test_what_something_else_is_called_is_no_image(text: str) -> None:
    assert [str(one) for one in found(text) if one.location == "the file"] == []
