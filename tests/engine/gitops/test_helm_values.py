from __future__ import annotations

from collections.abc import Mapping

import pytest

from towline.errors import ConfigError, RenderError
from towline.gitops.candidates import Choice
from towline.gitops.change import Change
from towline.gitops.helm_values import PathValues
from towline.gitops.image_parts import ImagePart, ImageParts, with_image, with_value
from towline.gitops.notes import Replaced
from towline.yaml.aliases import ALL, OWN, REFUSE, AliasPolicy

IMAGE = {"image.repository": "host.example/app", "image.tag": "1.20"}
WEB = ImageParts(
    host="reg.io", name="team/web", tag="2", digest="sha256:0", whole="reg.io/team/web:2"
)
USUAL = {f"image.{part}": ImagePart(image=WEB, part=part) for part in ("repository", "tag")}
TAG = {"image.tag": USUAL["image.tag"]}
HELM_RELEASE = """\
kind: HelmRelease
spec:
  chart: {spec: {chart: app, version: "1.0.0"}}
  values:
    image:
      tag: '1.0'   # ours
"""
APPLICATION = """\
kind: Application
spec:
  source:
    targetRevision: 1.0.0 # chart
    helm:
      parameters:
      - {name: image.tag, value: "1.0"}
      - name: other
        value: x
      valuesObject:
        image: {tag: a}
"""


def changed(text: str, values: Mapping[str, str | ImagePart], *, create: bool = False) -> str:
    change = PathValues(pattern="v.yaml", values=values, create=create)
    return change.apply({"v.yaml": text.encode()}).get("v.yaml", text.encode()).decode()


def test_it_is_a_change() -> None:
    change: Change = PathValues(pattern="**/v.yaml", values=IMAGE)
    assert change.wants(["a/v.yaml", "b.yaml", "v.yaml"]) == ("a/v.yaml", "v.yaml")
    with pytest.raises(ConfigError, match="no file"):
        change.wants(["b.yaml"])


def test_the_usual_keys_of_a_values_file_change_and_nothing_else() -> None:
    text = (
        "# head\nimage:\n    repository: old   # where\n    tag: 1.19\n    pullPolicy:"
        " Always\nreplicas: 2\n"
    )
    assert changed(text, IMAGE) == text.replace("old ", "host.example/app ").replace(
        "1.19", '"1.20"'
    )


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a: 1\n", 'a: 1\nimage:\n  repository: host.example/app\n  tag: "1.20"\n'),
        ("image:\na: 1\n", 'image:\n  repository: host.example/app\n  tag: "1.20"\na: 1\n'),
        ("image: {}\n", 'image: {repository: host.example/app, tag: "1.20"}\n'),
        ("{}\n", '{image: {repository: host.example/app, tag: "1.20"}}\n'),
        (
            "image:\n  tag: x # t\n  end: 1\n",
            'image:\n  tag: "1.20" # t\n  repository: host.example/app\n  end: 1\n',
        ),
        (
            "image.tag: x\nimage.repository: y\n",
            'image.tag: "1.20"\nimage.repository: host.example/app\n',
        ),
    ],
)
def test_missing_keys_are_added_in_the_style_that_is_there(text: str, result: str) -> None:
    assert changed(text, IMAGE, create=True) == result
    assert changed(result, IMAGE) == result


def test_keys_below_different_new_maps_come_together() -> None:
    assert (
        changed("x: 1\n", {"a.b.c": "p", "a.b.d": "q", "a.e": "r"}, create=True)
        == "x: 1\na:\n  b:\n    c: p\n    d: q\n  e: r\n"
    )
    with pytest.raises(ConfigError, match="a text and a map"):
        changed("x: 1\n", {"a.b": "p", "a.b.c": "q"}, create=True)


def test_a_digest_is_added_behind_the_tag_and_an_old_one_emptied_where_none_is_pinned() -> None:
    digest = f"sha256:{'a' * 64}"
    text = "image:\n  repository: r\n  tag: t\n  pullPolicy: Always\n"
    assert changed(text, {**IMAGE, "image.digest": digest}).splitlines()[2:5] == [
        '  tag: "1.20"',
        f"  digest: {digest}",
        "  pullPolicy: Always",
    ]
    assert changed(
        f"image: {{tag: t, digest: '{digest}'}}\n", TAG
    ) == "image: {tag: '2', digest: ''}\n".replace("'2'", '"2"')
    assert changed("image: {tag: '2', digest: ''}\n", TAG) == "image: {tag: '2', digest: ''}\n"


def test_a_chart_s_own_version_changes() -> None:
    text = "apiVersion: v2\nname: app\nversion: 0.1.0 # chart\nappVersion: '1.0'\n"
    assert changed(text, {"version": "0.2.0", "appVersion": "2.0"}) == text.replace(
        "0.1.0", "0.2.0"
    ).replace("1.0", "2.0")


def test_a_helm_release_and_an_application_are_edited_where_the_path_says() -> None:
    values = {"spec.values.image.tag": "2.0", "spec.chart.spec.version": "1.1.0"}
    assert changed(HELM_RELEASE, values) == HELM_RELEASE.replace("'1.0'", "'2.0'").replace(
        '"1.0.0"', '"1.1.0"'
    )
    values = {
        "spec.source.helm.parameters[name=image.tag].value": "2.0",
        "spec.source.helm.valuesObject.image.tag": "b",
        "spec.source.targetRevision": "1.1.0",
    }
    assert changed(APPLICATION, values) == APPLICATION.replace('"1.0"', '"2.0"').replace(
        "tag: a", "tag: b"
    ).replace("1.0.0", "1.1.0")


def test_what_stood_at_the_paths_is_noted() -> None:
    noted: list[Replaced] = []
    PathValues(
        pattern="*",
        values={"spec.values.image.tag": "2", "spec.values.new": "x"},
        note=noted.append,
    ).apply({"v.yaml": HELM_RELEASE.encode()})
    assert noted == [
        Replaced(file="v.yaml", name="spec.values.image.tag", old="1.0", new="2"),
        Replaced(file="v.yaml", name="spec.values.new", old="", new="x"),
    ]


def test_a_value_may_become_a_part_of_the_text_that_stands_there() -> None:
    noted: list[Replaced] = []
    writers = {"args[0]": with_image, "url": with_image, "new.image": with_image}
    change = PathValues(
        pattern="*",
        values=dict.fromkeys(writers, "h.example/web:2"),
        writers=writers,
        note=noted.append,
    )
    text = "args:\n- --image=h.example/web:1 # why\nurl: ~\nnew: {}\n"
    after = change.apply({"v.yaml": text.encode()})["v.yaml"].decode()
    assert (
        after == "args:\n- --image=h.example/web:2 # why\nurl: h.example/web:2\nnew: {image:"
        " h.example/web:2}\n"
    )
    assert [(one.old, one.new) for one in noted] == [
        ("--image=h.example/web:1", "--image=h.example/web:2"),
        ("~", "h.example/web:2"),
        ("", "h.example/web:2"),
    ]
    assert change.apply({"v.yaml": after.encode()}) == {}
    with pytest.raises(RenderError, match="holds more") as caught:
        change.apply({"v.yaml": text.replace("~", "a,b").encode()})
    assert caught.value.where == "v.yaml:3:6"


@pytest.mark.parametrize(
    "text",
    [
        "a: |\n  docker run \\\n    h.example/web:1 -p 1\nb: 1\n",
        "a: >-\n  run\n  h.example/web:1 now\n",
        'a: "run\\nh.example/web:1 \\"x\\"\\n"\n',
        "a: 'run\n\n  h.example/web:1'\n",
        "a: |+\n  h.example/web:1\n\n\n",
        "a: |\r\n  h.example/web:1\r\n",
    ],
)
def test_of_a_text_with_several_lines_only_the_image_changes(text: str) -> None:
    change = PathValues(pattern="*", values={"a": "h.example/web:2"}, writers={"a": with_image})
    assert change.apply({"v.yaml": text.encode()})["v.yaml"].decode() == text.replace(
        "web:1", "web:2"
    )


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        changed(text, IMAGE)


def test_a_template_and_a_map_are_not_written_over() -> None:
    with pytest.raises(RenderError, match="template"):
        changed("image: {tag: '{{ .x }}', repository: r}\n", IMAGE)
    with pytest.raises(RenderError, match="is not a text"):
        changed("image: {tag: {a: b}, repository: r}\n", IMAGE)


ALIASES = (
    "v: &v '1'\nd: &d sha256:old\nimage: {repository: host.example/app, tag: *v, digest: *d}\nside:"
    " {digest: *d, image: &i {tag: '1'}}\ndeep: *i\n"
)


@pytest.mark.parametrize(
    ("policy", "path", "after"),
    [
        (ALL, "image.tag", ALIASES.replace("v: &v '1'", "v: &v '1.20'")),
        (OWN, "image.tag", ALIASES.replace("tag: *v", 'tag: "1.20"')),
        (ALL, "deep.tag", ALIASES.replace("{tag: '1'}", "{tag: '1.20'}")),
        (ALL, "deep.new", ALIASES.replace("{tag: '1'}", "{tag: '1', new: \"1.20\"}")),
    ],
)
def test_a_value_behind_an_alias_changes_as_the_policy_says(
    policy: str, path: str, after: str
) -> None:
    noted: list[Replaced] = []
    change = PathValues(
        pattern="v.yaml",
        values={path: "1.20"},
        note=noted.append,
        sharing=AliasPolicy(policy=policy),
    )
    assert change.apply({"v.yaml": ALIASES.encode()})["v.yaml"].decode() == after
    assert [one.old for one in noted] == ["" if path == "deep.new" else "1"]


def test_an_old_digest_behind_an_alias_does_not_stay_unseen() -> None:
    text = ALIASES.replace("tag: *v", "tag: '1'")

    def emptied(policy: str) -> str:
        return (
            PathValues(pattern="v.yaml", values=TAG, sharing=AliasPolicy(policy=policy))
            .apply({"v.yaml": text.encode()})["v.yaml"]
            .decode()
        )

    with pytest.raises(RenderError, match=r"image\.digest stands behind the alias"):
        emptied(REFUSE)
    assert emptied(OWN) == text.replace("tag: '1', digest: *d", "tag: '2', digest: \"\"")
    assert emptied(ALL) == text.replace("sha256:old", '""').replace(
        "tag: '1', digest", "tag: '2', digest"
    )


def test_a_digest_that_a_merge_key_brings_in_is_emptied_by_a_key_of_its_own() -> None:
    text = "x: &x {digest: 'sha256:0'}\nimage:\n  <<: *x\n  tag: a\n"
    once = text.replace("tag: a", 'tag: "2"') + '  digest: ""\n'
    assert changed(text, TAG) == once
    assert changed(once, TAG) == once
    empty = text.replace("sha256:0", "").replace("tag: a", "tag: '2'")
    assert changed(empty, TAG) == empty


def test_a_text_where_a_map_is_needed_says_so() -> None:
    with pytest.raises(RenderError, match="has a value already") as caught:
        changed("image: ''\n", {"image.tag": "b"})
    assert caught.value.hint == "make it a map"


# An image in parts


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (
            "image: {registry: docker.io, repository: team/web, tag: '1'}\n",
            "image: {registry: reg.io, repository: team/web, tag: '2'}\n",
        ),
        (
            "image: {registry: docker.io, tag: '1'}\n",
            "image: {registry: reg.io, tag: '2', repository: team/web}\n",
        ),
        (
            "image: {registry: reg.io, repository: old, tag: '1'}\n",
            "image: {registry: reg.io, repository: team/web, tag: '2'}\n",
        ),
        (
            "image: {registry: reg.io/team, repository: web, tag: '1'}\n",
            "image: {registry: reg.io/team, repository: web, tag: '2'}\n",
        ),
        (
            "image: {registry: docker.io, repository: docker.io/old, tag: '1'}\n",
            "image: {registry: reg.io, repository: reg.io/team/web, tag: '2'}\n",
        ),
        (
            "image: {registry: '', repository: old, tag: '1'}\n",
            "image: {registry: '', repository: reg.io/team/web, tag: '2'}\n",
        ),
        (
            "global: {imageRegistry: reg.io}\nimage: {repository: old, tag: '1'}\n",
            "global: {imageRegistry: reg.io}\nimage: {repository: team/web, tag: '2'}\n",
        ),
        (
            "x: &x {registry: docker.io}\nimage:\n  <<: *x\n  repository: old\n  tag: '1'\n",
            (
                "x: &x {registry: docker.io}\nimage:\n  <<: *x\n  repository: team/web\n  registry:"
                " reg.io\n  tag: '2'\n"
            ),
        ),
    ],
)
def test_registry_and_repository_become_the_image_in_the_form_that_is_there(
    text: str, result: str
) -> None:
    assert changed(text, USUAL) == result
    assert changed(result, USUAL) == result


@pytest.mark.parametrize(
    ("text", "where", "key", "there"),
    [
        (
            "global: {imageRegistry: docker.io}\nimage: {repository: old, tag: '1'}\n",
            "v.yaml:1:25",
            "global.imageRegistry",
            "docker.io/team/web",
        ),
        (
            "global: {imageRegistry: docker.io}\nimage: {registry: a.io, repository: old}\n",
            "v.yaml:1:25",
            "global.imageRegistry",
            "docker.io/team/web",
        ),
        (
            "global: {imageRegistry: a.io}\nimage: {registry: reg.io, repository: reg.io/old}\n",
            "v.yaml:1:25",
            "global.imageRegistry",
            "a.io/reg.io/team/web",
        ),
    ],
)
def test_a_registry_for_all_images_that_makes_it_another_one_is_refused(
    text: str, where: str, key: str, there: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(text, USUAL)
    assert f"a chart would run {there}, not reg.io/team/web" in caught.value.message
    assert caught.value.message.startswith(key)
    assert caught.value.where == where
    assert f"set {key} to reg.io" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (
            "global: {imageRegistry: docker.io}\nimage: {repository: quay.io/old, tag: '1'}\n",
            "global: {imageRegistry: docker.io}\nimage: {repository: reg.io/team/web, tag: '2'}\n",
        ),
        (
            "global: {imageRegistry: docker.io}\nimage: {repository: '', tag: ''}\n",
            (
                "global: {imageRegistry: docker.io}\nimage: {repository: 'reg.io/team/web', tag:"
                " '2'}\n"
            ),
        ),
        (
            "global: {imageRegistry: docker.io}\nimage: {repository: PLACEHOLDER, tag: '1'}\n",
            "global: {imageRegistry: docker.io}\nimage: {repository: reg.io/team/web, tag: '2'}\n",
        ),
        (
            "global: {imageRegistry: reg.io}\nimage: {repository: '', tag: '1'}\n",
            "global: {imageRegistry: reg.io}\nimage: {repository: 'team/web', tag: '2'}\n",
        ),
        (
            "global: {imageRegistry: '{{ registry }}'}\nimage: {repository: old, tag: '1'}\n",
            "global: {imageRegistry: '{{ registry }}'}\nimage: {repository: team/web, tag: '2'}\n",
        ),
        (
            (
                "global: {imageRegistry: reg.io/team}\nimage: {registry: docker.io, repository:"
                " old, tag: '1'}\n"
            ),
            (
                "global: {imageRegistry: reg.io/team}\nimage: {registry: reg.io/team, repository:"
                " web, tag: '2'}\n"
            ),
        ),
    ],
)
def test_a_registry_for_all_images_that_does_not_stays(text: str, result: str) -> None:
    assert changed(text, USUAL) == result


def test_a_registry_for_all_images_may_be_written_with_them() -> None:
    asked = USUAL | {"global.imageRegistry": ImagePart(image=WEB, part="registry")}
    text = "global: {imageRegistry: docker.io}\nimage: {repository: old, tag: '1'}\n"
    assert (
        changed(text, asked)
        == "global: {imageRegistry: reg.io}\nimage: {repository: team/web, tag: '2'}\n"
    )
    assert (
        changed("global: {x: 1}\n" + text.split("\n", 1)[1], asked)
        == "global: {x: 1, imageRegistry: reg.io}\nimage: {repository: team/web, tag: '2'}\n"
    )


def test_a_whole_image_beside_its_registry_is_written_without_it() -> None:
    whole = {"spec.image": ImagePart(image=WEB, part="image")}
    assert (
        changed("spec: {registry: old.io, image: 'team/web:1'}\n", whole)
        == "spec: {registry: reg.io, image: 'team/web:2'}\n"
    )
    assert (
        changed("spec: {registry: old.io, image: 'a.io/web:1'}\n", whole)
        == "spec: {registry: old.io, image: 'reg.io/team/web:2'}\n"
    )


@pytest.mark.parametrize(
    "registry", ["'{{ .Values.global.registry }}'", "${REGISTRY}", "$(REGISTRY)"]
)
def test_a_registry_that_is_filled_in_later_stays(registry: str) -> None:
    text = f"image: {{registry: \"{registry}\", repository: team/old, tag: '1'}}\n"
    assert changed(text, USUAL) == text.replace("team/old", "team/web").replace("'1'", "'2'")


def test_flat_keys_have_their_registry_under_a_name_like_theirs() -> None:
    flat = {"webRepository": ImagePart(image=WEB, part="repository")}
    assert (
        changed("webRegistry: a.io\nregistry: b.io\nwebRepository: web\n", flat)
        == "webRegistry: reg.io\nregistry: b.io\nwebRepository: team/web\n"
    )


def test_a_bare_digest_is_emptied_beside_a_new_tag_and_a_commit_s_hash_is_not() -> None:
    bare = "a" * 64
    assert changed(f"image: {{tag: '1', sha: {bare}}}\n", TAG) == "image: {tag: '2', sha: \"\"}\n"
    assert changed("image: {tag: '1', sha: abc123}\n", TAG) == "image: {tag: '2', sha: abc123}\n"


@pytest.mark.parametrize(
    ("text", "values", "message", "hint"),
    [
        (
            "web: {image: {repository: r, tag: t}}\n",
            USUAL,
            "image.repository is not in v.yaml, and image is not either",
            "did you mean 'web.image.repository'?",
        ),
        (
            "server: {tag: t}\n",
            {"image.name": "x"},
            "image.name is not in v.yaml",
            "keys that an image may be in: server.tag. createPaths: true adds it",
        ),
        (
            "a: 1\n",
            {"spec.image": "x"},
            "spec.image is not in v.yaml, and spec is not either",
            "createPaths: true adds it",
        ),
        (
            "image: {name: reg.io/team/web, version: '1'}\n",
            USUAL,
            "image.repository is not in v.yaml, but image.name is there",
            "say in valuesPaths",
        ),
        (
            "image: {name: reg.io/team/web, tag: '1'}\n",
            USUAL,
            "image.repository is not in v.yaml, but image.name is there",
            "say in valuesPaths",
        ),
        (
            "image: {repo: x, ref: '1'}\n",
            {"image.tag": USUAL["image.tag"]},
            "image.tag is not in v.yaml, but image.ref is there",
            "say in valuesPaths",
        ),
    ],
)
def test_a_path_that_nobody_reads_is_refused_with_the_likely_ones(
    text: str, values: Mapping[str, str | ImagePart], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(text, values)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where.startswith("v.yaml:1")
    assert changed(text, values, create=True) != text


@pytest.mark.parametrize(
    "text",
    [
        "image: {pullPolicy: Always}\n",
        "image:\n",
        "image: ~\n",
        "image: {tag: a}\n",
        "image: {tag: a, name: web}\n",
        "image: {name: web, repository: r}\n",
    ],
)
def test_a_missing_key_beside_its_like_is_added(text: str) -> None:
    assert changed(text, USUAL).count("team/web") == 1


def test_what_the_chart_beside_has_may_be_set() -> None:
    files = {
        "c/Chart.yaml": b"name: c\n",
        "c/values.yaml": b"image: {repository: r}\n",
        "c/env/prod.yaml": b"a: 1\n",
        "prod.yaml": b"a: 1\n",
    }
    change = PathValues(pattern="c/env/*.yaml", values=USUAL)
    assert change.wants(sorted(files)) == ("c/env/prod.yaml", "c/Chart.yaml", "c/values.yaml")
    assert change.apply(files) == {
        "c/env/prod.yaml": b'a: 1\nimage:\n  repository: reg.io/team/web\n  tag: "2"\n'
    }
    called = files | {"c/values.yaml": b"image: {name: team/web, tag: t}\n"}
    with pytest.raises(
        ConfigError, match=r"image\.repository is not in c/env/prod\.yaml, but image\.name is there"
    ):
        change.apply(called)
    apart = files | {"c/values.yaml": b"image: {registry: docker.io, repository: r}\n"}
    assert change.apply(apart) == {
        "c/env/prod.yaml": b'a: 1\nimage:\n  repository: team/web\n  tag: "2"\n  registry: reg.io\n'
    }
    with pytest.raises(ConfigError, match=r"is not in prod\.yaml"):
        PathValues(pattern="prod.yaml", values=USUAL).apply(files)
    other = {"other.repository": USUAL["image.repository"]}
    with pytest.raises(ConfigError, match=r"is not in c/env/prod\.yaml"):
        PathValues(pattern="c/env/prod.yaml", values=other).apply(files)


PROVIDERS = "".join(
    f"---\nkind: Provider\nmetadata: {{name: {name}}}\nspec: {{package: 'reg.io/team/{name}:1'}}\n"
    for name in ("web", "cart")
)
PACKAGE = {"spec.package": ImagePart(image=WEB, part="image")}


def test_a_path_that_occurs_again_with_another_image_is_left_alone_there() -> None:
    assert changed(PROVIDERS, PACKAGE) == PROVIDERS.replace("team/web:1", "team/web:2")
    values = "{values: {image: {registry: reg.io, digest: 'sha256:0', repository: team/"
    releases = PROVIDERS.replace("{package: 'reg.io/team/", values).replace(":1'", ", tag: '1'}}")
    made = changed(releases, {f"spec.values.{path}": part for path, part in USUAL.items()})
    assert made == releases.replace("team/web, tag: '1'", "team/web, tag: '2'").replace(
        "sha256:0", "", 1
    )


def test_the_resource_chooses_where_a_path_occurs_again() -> None:
    change = PathValues(pattern="v.yaml", values=PACKAGE, choice=Choice(resource="Provider/cart"))
    assert change.apply({"v.yaml": PROVIDERS.encode()}) == {
        "v.yaml": PROVIDERS.replace("team/cart:1", "team/web:2").encode()
    }


def test_files_that_have_a_tag_alone_all_get_it() -> None:
    files = {f"{name}.yaml": f"image: {{tag: '{name}'}}\n".encode() for name in "ab"}
    tag = {"image.tag": ImagePart(image=WEB, part="tag")}
    assert set(PathValues(pattern="*.yaml", values=tag).apply(files).values()) == {
        b"image: {tag: '2'}\n"
    }


def test_an_optional_digest_is_looked_for_in_each_document() -> None:
    text = "".join(
        f"---\nkind: A\nmetadata: {{name: {name}}}\nimage: {{repository: reg.io/team/{name}, tag:"
        " '1'}\n"
        for name in ("web", "cart")
    )
    assert changed(text, USUAL) == text.replace("'1'", "'2'", 1)


def test_a_part_inside_of_a_whole_image_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(ConfigError, match="leads through image, which holds a text") as caught:
        changed("image: reg.io/team/web:1\n", USUAL)
    assert (
        caught.value.hint == "if that is the whole image, write it by valuesPaths: {image: image}"
    )


def warned(files: dict[str, str], path: str) -> list[str]:
    said: list[str] = []
    change = PathValues(
        pattern="*", values={path: USUAL["image.tag"]}, choice=Choice(warn=said.append)
    )
    assert {
        text.decode().count("tag: '2'")
        for text in change.apply({name: text.encode() for name, text in files.items()}).values()
    } == {text.count("tag:") for text in files.values()}
    return said


def test_places_of_which_no_image_is_known_are_all_set_with_a_warning() -> None:
    said = warned({"v.yaml": "image: {tag: '0'}\n---\nimage: {tag: '1'}\n"}, "image.tag")
    assert said == [
        "image.tag stands in 2 places without the image's name, and all of them are written: v.yaml"
    ]
    release = "kind: HelmRelease\nmetadata: {name: %s}\nspec: {values: {image: {tag: '1'}}}\n"
    releases = [release % "web", release % "cart"]
    said = warned({"r.yaml": "---\n".join(releases)}, "spec.values.image.tag")
    there = (
        "HelmRelease/web in r.yaml, HelmRelease/cart in r.yaml; resource: kind/name chooses one of"
        " them"
    )
    assert said == [
        (
            "spec.values.image.tag stands in 2 places without the image's name,"
            f" and all of them are written: {there}"
        )
    ]
    assert len(warned({"a.yaml": releases[0], "b.yaml": releases[1]}, "spec.values.image.tag")) == 1
    assert warned({"a.yaml": releases[0], "b.yaml": releases[0]}, "spec.values.image.tag") == []


def test_two_paths_that_are_named_are_both_set_whatever_stands_there() -> None:
    both = {f"{name}.{path}": part for name in ("web", "job") for path, part in USUAL.items()}
    text = (
        "web: {image: {repository: reg.io/team/web, tag: '1'}}\njob: {image: {repository:"
        " reg.io/team/job, tag: '1'}}\n"
    )
    assert changed(text, both) == text.replace("team/job", "team/web").replace("'1'", "'2'")


def test_a_tag_goes_where_the_repository_of_its_document_goes() -> None:
    source = "kind: OCIRepository\nspec: {url: 'oci://reg.io/team/%s', ref: {tag: '%s'}}\n"
    paths = {"spec.ref.tag": USUAL["image.tag"], "spec.url": USUAL["image.repository"]}
    change = PathValues(pattern="*", values=paths, writers=dict.fromkeys(paths, with_value))
    one, other, done = (source % which for which in (("web", "1"), ("cart", "1"), ("web", "2")))
    assert change.apply({"v": f"{other}---\n{one}".encode()}) == {
        "v": f"{other}---\n{done}".encode()
    }
    assert change.apply({"v": other.encode(), "w": one.encode()}) == {"w": done.encode()}


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\nstringData: {auth: 'web:hunter2'}\n",
        "kind: List\nitems: [{kind: Secret, stringData: {auth: 'web:hunter2'}}]\n",
    ],
)
def test_what_a_secret_held_is_not_noted(text: str) -> None:
    noted: list[Replaced] = []
    path = "stringData.auth" if text.startswith("kind: Secret") else "items[0].stringData.auth"
    PathValues(pattern="s.yaml", values={path: "2.4.1"}, note=noted.append).apply(
        {"s.yaml": text.encode()}
    )
    assert "hunter2" not in str(noted)


def test_a_secret_s_text_is_not_quoted_in_a_fault() -> None:
    change = PathValues(
        pattern="s.yaml",
        values={"stringData.auth": "r.example.com/web:2"},
        writers={"stringData.auth": with_image},
    )
    with pytest.raises(RenderError) as caught:
        change.apply({"s.yaml": b"kind: Secret\nstringData: {auth: 'a b hunter2'}\n"})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in caught.value.hint


@pytest.mark.parametrize(
    "beside",
    ["{name: frontend, replicas: 2}", "{path: /shop}", "{url: 'https://shop.example.com/a'}"],
)
def test_a_key_that_calls_something_else_is_no_reason_to_refuse(beside: str) -> None:
    wanted = ImageParts(host="reg.example.com", name="team/web", tag="2", digest="")
    values = {f"app.{part}": ImagePart(image=wanted, part=part) for part in ("repository", "tag")}
    changed = PathValues(pattern="v.yaml", values=values).apply(
        {"v.yaml": f"app: {beside}\n".encode()}
    )
    assert b"repository: reg.example.com/team/web" in changed["v.yaml"]


def test_the_values_of_the_charts_say_which_image_the_files_over_them_are_for() -> None:
    chart = "image: {registry: reg.io, repository: team/%s, tag: '1'}\n"
    files = {
        f"c/{name}/{file}": text.encode()
        for name in ("web", "cart")
        for file, text in (
            ("Chart.yaml", f"name: {name}\n"),
            ("values.yaml", chart % name),
            ("prod.yaml", "image: {tag: '1'}\n"),
        )
    }
    said: list[str] = []
    change = PathValues(pattern="c/*/prod.yaml", values=TAG, choice=Choice(say=said.append))
    assert change.apply(files) == {"c/web/prod.yaml": b"image: {tag: '2'}\n"}
    assert said == [
        (
            "  image.tag is left alone where another image stands: c/cart/prod.yaml"
            " (reg.io/team/cart:1)"
        )
    ]


def test_charts_of_several_names_that_have_a_tag_alone_are_told() -> None:
    charts = {f"c/{name}/Chart.yaml": f"name: {name}\n" for name in "ab"}
    said: list[str] = []
    change = PathValues(pattern="c/*/values.yaml", values=TAG, choice=Choice(warn=said.append))
    files = {**charts, **{f"c/{name}/values.yaml": "image: {tag: '1'}\n" for name in "ab"}}
    assert len(change.apply({path: text.encode() for path, text in files.items()})) == 2
    assert ["filePath" in one for one in said] == [True]
