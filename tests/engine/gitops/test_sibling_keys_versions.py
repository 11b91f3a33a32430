from __future__ import annotations

import pytest

from towline.errors import ConfigError
from towline.gitops.helm_values import PathValues
from towline.gitops.image_parts import ImagePart, ImageParts
from towline.gitops.notes import Replaced
from towline.record import replace

OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
WEB = ImageParts(host="reg.io", name="team/web", tag="2", digest=NEW, whole="reg.io/team/web:2")
PINNED = replace(WEB, whole=f"{WEB.whole}@{NEW}")


def changed(files: dict[str, str], _image: ImageParts, **parts: str) -> str:
    """The last file with the parts of an image at the paths (with _ for a dot)."""
    name = list(files)[-1]
    values = {
        path.replace("_", "."): ImagePart(image=_image, part=part) for path, part in parts.items()
    }
    contents = {path: text.encode() for path, text in files.items()}
    change = PathValues(pattern=name, values=values)
    made = {**contents, **change.apply(contents)}
    assert change.apply(made) == {}
    return made[name].decode()


@pytest.mark.parametrize(
    "key", ["digest", "sha", "sha256", "imageDigest", "imageSha", "image-digest"]
)
@pytest.mark.parametrize(
    ("held", "there", "old"),
    [
        ("tag", "'1'", OLD),
        ("tag", "''", "a" * 64),
        ("image", "reg.io/team/web:1", OLD),
        ("image", "reg.io/team/web", "a" * 64),
    ],
)
def test_a_digest_beside_what_is_written_does_not_stay(
    key: str, held: str, there: str, old: str
) -> None:
    text = f"web:\n  {held}: {there}\n  {key}: {old}\n"
    written = "reg.io/team/web:2" if held == "image" else "'2'"
    after = f'web:\n  {held}: {written}\n  {key}: ""\n'
    assert changed({"v": text}, WEB, **{f"web_{held}": held}) == after


def test_a_pinned_image_has_its_digest_in_one_place() -> None:
    tag = f"image: {{tag: '1', digest: '{OLD}'}}\n"
    assert changed({"v": tag}, PINNED, image_tag="tag") == f"image: {{tag: '2', digest: '{NEW}'}}\n"
    bare = tag.replace("sha256:", "")
    assert changed({"v": bare}, PINNED, image_tag="tag").endswith(f"digest: '{'b' * 64}'}}\n")
    whole = f"image: 'reg.io/team/web:1'\ndigest: '{OLD}'\n"
    after = f"image: '{PINNED.whole}'\ndigest: ''\n"
    assert changed({"v": whole}, PINNED, image="image") == after


@pytest.mark.parametrize(
    "text",
    [
        f"image: {{tag: '2', cartDigest: '{OLD}'}}\n",
        f"image: {{tag: '2', sha: {'a' * 40}}}\n",
        "image: {tag: '2', digest: ~}\n",
        f"image: {{tag: '2', url: 'https://a.io/x.tgz', sha256: {'a' * 64}}}\n",
        "image: {tag: '2', digestAlgorithm: sha256}\n",
    ],
)
def test_what_is_no_digest_of_this_image_stays(text: str) -> None:
    assert changed({"v": text}, WEB, image_tag="tag") == text


def test_flat_keys_have_digests_of_their_own() -> None:
    text = f"webTag: '1'\nwebDigest: {OLD}\ncartTag: '1'\ncartDigest: {OLD}\ndigest: {OLD}\n"
    after = text.replace("'1'", "'2'", 1).replace(OLD, '""', 1)
    assert changed({"v": text}, WEB, webTag="tag") == after
    alone = f"webTag: '1'\ndigest: {OLD}\n"
    assert changed({"v": alone}, WEB, webTag="tag") == "webTag: '2'\ndigest: \"\"\n"


def test_parameters_of_a_list_lie_beside_each_other() -> None:
    text = f"p:\n- {{name: image.tag, value: '1'}}\n- {{name: image.digest, value: '{OLD}'}}\n"
    noted: list[Replaced] = []
    values = {"p[name=image.tag].value": ImagePart(image=WEB, part="tag")}
    made = PathValues(pattern="v", values=values, note=noted.append).apply({"v": text.encode()})
    assert made["v"].decode() == text.replace("'1'", "'2'").replace(OLD, "")
    assert noted[-1].name == "p[name=image.digest].value"


def test_a_digest_of_the_chart_s_own_values_is_emptied_in_the_file_over_them() -> None:
    chart = {
        "c/Chart.yaml": "name: c\n",
        "c/values.yaml": f"image: {{tag: '1', digest: '{OLD}'}}\n",
    }
    over = {**chart, "c/prod.yaml": "a: 1\n"}
    made = 'a: 1\nimage:\n  tag: "2"\n  digest: ""\n'
    assert changed(over, WEB, image_tag="tag") == made
    below = {
        "c/Chart.yaml": "name: c\n",
        "c/charts/web/values.yaml": chart["c/values.yaml"],
        "c/values.yaml": "web: {image: {tag: '1'}}\n",
    }
    after = "web: {image: {tag: '2', digest: \"\"}}\n"
    assert changed(below, WEB, web_image_tag="tag") == after


@pytest.mark.parametrize(
    ("text", "path", "part", "message"),
    [
        (
            "web:\n  image: reg.io/team/web\n  tag: '1'\n",
            "web.image",
            "image",
            "web.tag beside it has one",
        ),
        ("webImage: web\nwebTag: '1'\n", "webImage", "image", "webTag beside it has one"),
        (
            "image:\n  repository: reg.io/team/web@sha256\n  tag: abc\n",
            "image.tag",
            "tag",
            "ends with sha256",
        ),
    ],
)
def test_what_a_chart_would_join_to_no_image_is_refused(
    text: str, path: str, part: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        changed({"v": text}, WEB, **{path.replace(".", "_"): part})
    assert "valuesPaths: {" in caught.value.hint
    assert caught.value.where.startswith("v:")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("web: {image: 'reg.io/team/web:1', tag: '1'}\n", {"web_image": "image"}),
        ("web: {image: '', tag: '1'}\n", {"web_image": "image"}),
        ("web: {image: reg.io/team/web, cartTag: '1'}\n", {"web_image": "image"}),
        (
            "image: {repository: 'q.io/x@sha256', tag: abc}\n",
            {"image_repository": "repository", "image_tag": "tag"},
        ),
    ],
)
def test_other_tags_beside_an_image_are_no_fault(text: str, parts: dict[str, str]) -> None:
    assert "reg.io/team/web" in changed({"v": text}, WEB, **parts)
