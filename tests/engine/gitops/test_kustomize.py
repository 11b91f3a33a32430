from __future__ import annotations

import difflib
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from towline.errors import ConfigError, RenderError
from towline.gitops.candidates import Choice
from towline.gitops.change import Change
from towline.gitops.kustomize import KustomizeImage
from towline.gitops.notes import Replaced
from towline.record import replace
from towline.yaml.aliases import ALL, OWN, REFUSE, AliasPolicy

FIXTURE = Path(__file__).parent / "fixtures" / "kustomization.yaml"
DIGEST = "sha256:" + "a" * 64


def kustomize(
    text: str, name: str, tag: str = "456", digest: str = "", new_name: str = "host.example/new"
) -> str:
    data = text.encode()
    change = KustomizeImage(
        pattern="k.yaml", name=name, new_name=new_name, new_tag=tag, digest=digest
    )
    return change.apply({"k.yaml": data}).get("k.yaml", data).decode()


def changed(name: str, digest: str = "") -> list[str]:
    before = FIXTURE.read_text(encoding="utf-8")
    after = kustomize(before, name, digest=digest)
    assert kustomize(after, name, digest=digest) == after
    return [
        line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"
    ]


def test_it_is_a_change() -> None:
    change: Change = KustomizeImage(
        pattern="**/kustomization.yaml", name="a", new_name="b", new_tag="1"
    )
    assert change.wants(["a/kustomization.yaml", "a/x.yaml", "kustomization.yaml"]) == (
        "a/kustomization.yaml",
        "kustomization.yaml",
    )


def test_a_file_without_images_gets_what_kustomize_itself_writes() -> None:
    text = kustomize("resources:\n- deployment.yaml\n", "test-project", new_name="image")
    assert (
        text == "resources:\n- deployment.yaml\nimages:\n- name: test-project\n  newName: image\n "
        ' newTag: "456"\n'
    )


@pytest.mark.parametrize(
    ("name", "digest", "lines"),
    [
        (
            "shop",
            "",
            [
                "-     newName: host.example/shop",
                '-     newTag: "1.20"  # promoted',
                "+     newName: host.example/new",
                '+     newTag: "456"  # promoted',
            ],
        ),
        (
            "shop",
            DIGEST,
            [
                "-     newName: host.example/shop",
                '-     newTag: "1.20"  # promoted',
                "+     newName: host.example/new",
                f'+     digest: "{DIGEST}"  # promoted',
            ],
        ),
        (
            "database",
            "",
            [
                "+     newName: host.example/new",
                "-     newTag: v3",
                '+     newTag: "456"',
                "-     digest: sha256:0000",
            ],
        ),
        (
            "database",
            DIGEST,
            [
                "-     newTag: v3",
                "-     digest: sha256:0000",
                "+     newName: host.example/new",
                f"+     digest: {DIGEST}",
            ],
        ),
        (
            "first",
            "",
            [
                "-   - newTag: v1   # first key",
                '+   - newTag: "456"   # first key',
                "+     newName: host.example/new",
            ],
        ),
        (
            "first",
            DIGEST,
            [
                "-   - newTag: v1   # first key",
                f"+   - digest: {DIGEST}   # first key",
                "+     newName: host.example/new",
            ],
        ),
        (
            "flow",
            "",
            [
                "-   - {name: flow, newTag: 'v1'}",
                "+   - {name: flow, newName: host.example/new, newTag: '456'}",
            ],
        ),
        (
            "flow",
            DIGEST,
            [
                "-   - {name: flow, newTag: 'v1'}",
                f"+   - {{name: flow, newName: host.example/new, digest: '{DIGEST}'}}",
            ],
        ),
        ("bare", "", ["+     newName: host.example/new", '+     newTag: "456"']),
        ("bare", DIGEST, ["+     newName: host.example/new", f"+     digest: {DIGEST}"]),
        (
            "absent",
            "",
            ["+   - name: absent", "+     newName: host.example/new", '+     newTag: "456"'],
        ),
    ],
)
def test_only_the_lines_of_the_entry_change(name: str, digest: str, lines: list[str]) -> None:
    assert sorted(changed(name, digest)) == sorted(lines)


@pytest.mark.parametrize("digest", ["", DIGEST])
@pytest.mark.parametrize("name", ["shop", "database", "first", "flow", "bare", "absent"])
def test_kustomize_would_read_what_was_wanted(name: str, digest: str) -> None:
    before = FIXTURE.read_text(encoding="utf-8")
    expected = yaml.safe_load(before)
    entry = next((each for each in expected["images"] if each["name"] == name), None)
    if entry is None:
        entry = {"name": name}
        expected["images"].append(entry)
    entry.pop("digest", None)
    entry.pop("newTag", None)
    entry |= {
        "newName": "host.example/new",
        **({"digest": digest} if digest else {"newTag": "456"}),
    }
    assert yaml.safe_load(kustomize(before, name, digest=digest)) == expected


def test_the_list_is_appended_in_the_files_own_style() -> None:
    assert (
        kustomize("images: []  # none\r\n", "a", new_name="n")
        == 'images: [{name: a, newName: "n", newTag: "456"}]  # none\r\n'
    )
    assert (
        kustomize("images:\n# own\nx: 1", "a", new_name="b")
        == 'images:\n- name: a\n  newName: b\n  newTag: "456"\n# own\nx: 1'
    )
    assert (
        kustomize("images: [{name: b}]", "a", new_name="b")
        == 'images: [{name: b}, {name: a, newName: b, newTag: "456"}]'
    )


def test_crlf_and_a_missing_last_newline_stay() -> None:
    text = "images:\r\n- name: a\r\n  newName: b"
    assert (
        kustomize(text, "a", new_name="c")
        == 'images:\r\n- name: a\r\n  newName: c\r\n  newTag: "456"'
    )


def test_an_image_that_is_named_twice_is_set_twice() -> None:
    assert (
        kustomize("images:\n- name: a\n- name: a\n", "a", "x", new_name="b").count("newTag: x") == 2
    )


def test_without_a_new_name_the_old_one_stays() -> None:
    assert (
        kustomize("images:\n- name: a\n  newName: b\n  newTag: c\n", "a", "d", new_name="")
        == "images:\n- name: a\n  newName: b\n  newTag: d\n"
    )


def test_a_tag_that_reads_as_a_number_is_quoted_even_where_it_was_not() -> None:
    assert (
        kustomize("images:\n- name: a\n  newTag: 456\n", "a", new_name="")
        == 'images:\n- name: a\n  newTag: "456"\n'
    )


def test_what_holds_already_is_left_out() -> None:
    files = {
        "k.yaml": b"images:\n- {name: a, newName: b, newTag: '1'}\n",
        "l.yaml": b"images:\n- {name: a, newName: b, newTag: '2'}\n",
    }
    change = KustomizeImage(pattern="*.yaml", name="a", new_name="b", new_tag="1")
    assert change.apply(files) == {"l.yaml": b"images:\n- {name: a, newName: b, newTag: '1'}\n"}


@pytest.mark.parametrize(
    "text", ["", "- a\n", "kind: Deployment\n", "images: []\n---\nimages: []\n", "text\n"]
)
def test_a_file_that_is_no_kustomization_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a kustomization") as caught:
        kustomize(text, "a")
    assert caught.value.where == "k.yaml"


@pytest.mark.parametrize("kind", ["Kustomization", "Component"])
def test_the_kinds_of_kustomize_are_known(kind: str) -> None:
    assert "newTag" in kustomize(f"kind: {kind}\n", "a")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("images: {a: b}\n", "k.yaml:1:9"),
        ("images: x\n", "k.yaml:1:9"),
        ("images:\n- name: a\n  newTag: [1]\n", "k.yaml:3:11"),
        ("images: [\n", "k.yaml:2:1"),
        ("x: &t '1'\nimages:\n- name: a\n  newTag: *t\n", "k.yaml:4:11"),
        ("images: *i\n", "k.yaml:1:9"),
    ],
)
def test_what_cannot_be_edited_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(RenderError) as caught:
        kustomize(text, "a")
    assert caught.value.where == where


def test_no_matching_file_names_what_is_near() -> None:
    with pytest.raises(ConfigError) as caught:
        KustomizeImage(pattern="kustomisation.yaml", name="a", new_name="b", new_tag="1").wants(
            ["kustomization.yaml"]
        )
    assert "'kustomization.yaml'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("images:\n- name: a\n  name: b\n", "k.yaml:3:3"),
        ("images:\n- name: b\n  name: a\n", "k.yaml:3:3"),
        ("images:\n- name: a\n  newTag: '1'\n  newTag: '2'\n", "k.yaml:4:3"),
        ("x: &k newTag\nimages:\n- name: a\n  *k : '1'\n", "k.yaml:4:3"),
        ("x: &k name\nimages:\n- *k : a\n", "k.yaml:3:3"),
        ("images: [{name: b}]\nimages: [{name: a}]\n", "k.yaml:2:1"),
        ("x: &k images\n*k : [{name: a}]\n", "k.yaml:2:1"),
        ("kind: Component\nkind: Other\n", "k.yaml:2:1"),
    ],
)
def test_an_entry_that_parsers_read_differently_is_refused_with_its_place(
    text: str, where: str
) -> None:
    with pytest.raises(RenderError) as caught:
        kustomize(text, "a")
    assert caught.value.where == where
    assert caught.value.hint


@pytest.mark.parametrize(
    ("entry", "old"),
    [
        ("{name: app, newName: h/app, newTag: '1'}", "h/app:1"),
        ("{name: app, newTag: '1', digest: sha256:0}", "app:1@sha256:0"),
        ("{name: other}", ""),
    ],
)
def test_what_the_entry_meant_and_means_is_noted(entry: str, old: str) -> None:
    noted: list[Replaced] = []
    change = KustomizeImage(
        pattern="*", name="app", new_name="new/app", new_tag="2", note=noted.append
    )
    change.apply({"kustomization.yaml": f"images:\n- {entry}\n".encode()})
    assert noted == [Replaced(file="kustomization.yaml", name="app", old=old, new="new/app:2")]


KUBECTL = shutil.which("kubectl")


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl: kustomize itself cannot be asked")
@pytest.mark.parametrize(
    ("kustomization", "digest"),
    [
        ("resources: [pod.yaml]\n", ""),
        ("resources: [pod.yaml]\nimages:\n- name: other\n- newTag: '1'\n  name: shop # this\n", ""),
        ("images: [{name: shop, digest: 'sha256:0'}]\nresources:\n- pod.yaml\n", ""),
        ("resources: [pod.yaml]\nimages: []\n", f"sha256:{'a' * 64}"),
        (
            "resources: [pod.yaml]\nimages:\n- name: shop\n  newTag: '1' # old\n",
            f"sha256:{'b' * 64}",
        ),
    ],
)
def test_kustomize_itself_makes_of_the_entry_what_was_meant(
    kustomization: str, digest: str, tmp_path: Path
) -> None:
    change = KustomizeImage(
        pattern="kustomization.yaml",
        name="shop",
        new_name="reg.example.com:5000/team/shop",
        new_tag="1.20",
        digest=digest,
    )
    written = change.apply({"kustomization.yaml": kustomization.encode()})["kustomization.yaml"]
    (tmp_path / "kustomization.yaml").write_bytes(written)
    (tmp_path / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image:"
        " 'shop:0'}]}\n"
    )
    assert KUBECTL is not None
    built = subprocess.run(
        [KUBECTL, "kustomize", str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert f"image: reg.example.com:5000/team/shop{f'@{digest}' if digest else ':1.20'}\n" in built


ALIASES = (
    "x: {n: &n shop, v: &v old}\nimages:\n- {name: *n, newName: host.example/new, newTag: *v}\n-"
    " {name: side, newTag: *v}\n"
)


def test_an_entry_is_known_by_what_its_aliases_stand_for_and_changes_as_the_policy_says() -> None:
    def with_policy(policy: str) -> str:
        change = KustomizeImage(
            pattern="k.yaml",
            name="shop",
            new_name="host.example/new",
            new_tag="new",
            sharing=AliasPolicy(policy=policy),
        )
        return change.apply({"k.yaml": ALIASES.encode()})["k.yaml"].decode()

    assert with_policy(ALL) == ALIASES.replace("old", "new")
    assert with_policy(OWN) == ALIASES.replace("new, newTag: *v", "new, newTag: new")
    said = (
        r"images\[0\].newTag stands behind the alias \*v of the value in line 1 \(x.v\)"
        r" and repeated in line 4 \(images\[1\].newTag\)"
    )
    with pytest.raises(RenderError, match=said):
        with_policy(REFUSE)


@pytest.mark.parametrize(
    "text",
    [
        "x: &e {name: shop, newTag: a}\nimages: [*e]\n",
        "x: &l [{name: shop, newTag: a}]\nimages: *l\n",
    ],
)
def test_an_entry_behind_an_alias_is_not_appended_once_more(text: str) -> None:
    with pytest.raises(RenderError, match="behind the alias"):
        kustomize(text, "shop")


def test_an_entry_whose_name_a_merge_key_brings_in_is_no_missing_one() -> None:
    text = "x: &e {newTag: '1', name: a}\nimages: [{<<: *e}]\n"
    assert kustomize(text, "a", new_name="") == text.replace("{<<: *e}", '{<<: *e, newTag: "456"}')


@pytest.mark.parametrize(
    ("merged", "digest", "unwanted"),
    [("digest: 'sha256:0'", "", "digest"), ("newTag: '1'", DIGEST, "newTag")],
)
def test_what_a_merge_key_brings_in_beside_ours_is_refused(
    merged: str, digest: str, unwanted: str
) -> None:
    with pytest.raises(RenderError, match=f"{unwanted} of a comes from a merge key"):
        kustomize(f"x: &e {{{merged}}}\nimages:\n- <<: *e\n  name: a\n", "a", digest=digest)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_pinned_digest_does_not_become_the_tag_of_another_image(name: str) -> None:
    text = b"images:\n- name: a\n  newTag: &t '1'\n- name: b\n  newTag: *t\n"
    with pytest.raises(RenderError, match="newTag is repeated"):
        KustomizeImage(
            pattern="k",
            name=name,
            new_name="",
            new_tag="",
            digest=DIGEST,
            sharing=AliasPolicy(policy=ALL),
        ).apply({"k": text})


# Flux


FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %s}
spec:
  path: ./apps/%s
"""
SOURCE = (
    "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: flux}\n---\n"
)
ENTRY = '  images:\n  - name: web\n    newName: host.example/new\n    newTag: "456"\n'


def test_the_images_of_flux_s_kustomization_are_in_its_spec() -> None:
    text = FLUX % ("web", "web")
    assert kustomize(text, "web") == text + ENTRY
    assert kustomize(SOURCE + text + ENTRY.replace("456", "1"), "web") == SOURCE + text + ENTRY
    pinned = kustomize(text + ENTRY, "web", digest=DIGEST)
    assert pinned == text + ENTRY.replace('newTag: "456"', f'digest: "{DIGEST}"')


def test_of_several_the_one_that_has_the_image_is_meant_or_the_named_one() -> None:
    one, two = FLUX % ("a", "a"), FLUX % ("b", "b")
    assert (
        kustomize(f"{one}---\n{two}{ENTRY.replace('456', '1')}", "web") == f"{one}---\n{two}{ENTRY}"
    )
    with pytest.raises(
        ConfigError, match=r"no kustomization of k\.yaml has an image called 'web', and there are 2"
    ) as caught:
        kustomize(f"{one}---\n{two}", "web")
    assert caught.value.hint == "resource: kind/name chooses one: Kustomization/a, Kustomization/b"
    change = KustomizeImage(
        pattern="*",
        name="web",
        new_name="host.example/new",
        new_tag="456",
        choice=Choice(resource="kustomization/b"),
    )
    assert change.apply({"k.yaml": f"{one}---\n{two}".encode()}) == {
        "k.yaml": f"{one}---\n{two}{ENTRY}".encode()
    }
    other = KustomizeImage(
        pattern="*",
        name="web",
        new_name="n",
        new_tag="1",
        choice=Choice(resource="Kustomization/c"),
    )
    with pytest.raises(ConfigError, match=r"Kustomization/c is not in k\.yaml"):
        other.apply({"k.yaml": f"{one}---\n{two}".encode()})


APP = "  images: [{name: app, newName: %s, newTag: '1'}]\n"


def set_app(files: dict[str, str], resource: str = "") -> tuple[dict[str, str], list[str]]:
    said: list[str] = []
    choice = Choice(say=said.append, resource=resource)
    change = KustomizeImage(
        pattern="**",
        name="app",
        new_name="host.example/team/web",
        new_tag="2",
        check_use=False,
        choice=choice,
    )
    data = {path: text.encode() for path, text in files.items()}
    return {path: text.decode() for path, text in change.apply(data).items()}, said


def test_the_entry_of_another_image_under_the_same_name_is_left_alone() -> None:
    web, cart = (
        FLUX % ("web", "web") + APP % "host.example/team/web",
        FLUX % ("cart", "cart") + APP % "host.example/team/cart",
    )
    changed, said = set_app({"k.yaml": f"{web}---\n{cart}"})
    assert changed == {"k.yaml": f"{web.replace(chr(39) + '1', chr(39) + '2')}---\n{cart}"}
    assert said == [
        (
            "  image 'app' is left alone where another image stands: Kustomization/cart in k.yaml"
            " (host.example/team/cart:1)"
        )
    ]
    with pytest.raises(ConfigError, match="image 'app' stands in 2 places with different images"):
        set_app({"k.yaml": f"{web.replace('team/web', 'team/shop')}---\n{cart}"})


def test_over_a_pattern_entries_of_other_images_stay_and_placeholders_only_beside_them() -> None:
    def entry(fields: str) -> str:
        return f"resources: [d.yaml]\nimages:\n- name: app\n  {fields}\n"

    web, cart = (
        entry("newName: host.example/team/web\n  newTag: '1'"),
        entry("newName: host.example/team/cart\n  newTag: '1'"),
    )
    new = web.replace("'1'", "'2'")
    assert set_app({"web/k.yaml": web, "cart/k.yaml": cart})[0] == {"web/k.yaml": new}
    assert set(set_app({"web/k.yaml": web, "prod/k.yaml": entry("newTag: '1'")})[0]) == {
        "web/k.yaml",
        "prod/k.yaml",
    }
    assert set(
        set_app({"web/k.yaml": web, "cart/k.yaml": cart, "prod/k.yaml": entry("newTag: '1'")})[0]
    ) == {"web/k.yaml"}


def test_the_named_resource_chooses_in_all_files_of_a_pattern() -> None:
    files = {
        f"{name}.yaml": FLUX % (name, name) + APP % f"host.example/team/{name}"
        for name in ("web", "cart")
    }
    assert set(set_app(files, resource="Kustomization/cart")[0]) == {"cart.yaml"}
    with pytest.raises(ConfigError, match="Kustomization/other is not in"):
        set_app(files, resource="Kustomization/other")


POD = "kind: Pod\nspec: {containers: [{name: a, image: '%s:1'}]}\n"


def folder(name: str, image: str, entry: str = "") -> dict[str, str]:
    return {
        f"{name}/kustomization.yaml": f"resources: [d.yaml]\n{entry}",
        f"{name}/d.yaml": POD % image,
    }


def add_web(files: dict[str, str]) -> tuple[list[str], list[str], list[str]]:
    """The files after an image was added, the log lines, and the warnings."""
    said: list[str] = []
    warned: list[str] = []
    change = KustomizeImage(
        pattern="*/kustomization.yaml", name="web", new_name="host.example/team/web", new_tag="2"
    )
    data = {path: text.encode() for path, text in files.items()}
    changed = replace(change, choice=Choice(say=said.append), warn=warned.append).apply(data)
    assert all(b"newTag: '2'" in one or b'newTag: "2"' in one for one in changed.values())
    assert change.apply({**data, **changed}) == {}
    return sorted(path.partition("/")[0] for path in changed), said, warned


ENTRY_OF_WEB = "images: [{name: web, newName: host.example/team/web, newTag: '1'}]\n"


def test_of_several_files_only_those_that_have_the_entry_or_run_the_image_are_edited() -> None:
    web, cart = folder("web", "web", ENTRY_OF_WEB), folder("cart", "cart")
    changed, said, warned = add_web(web | cart | folder("shop", "web"))
    assert (changed, warned) == (["shop", "web"], [])
    (told,) = said
    assert (
        told == "  image 'web' gets no entry in cart/kustomization.yaml: only resources of"
        " shop/kustomization.yaml, web/kustomization.yaml are known to run it"
    )
    unreadable = {"far/kustomization.yaml": "resources: [https://x.example/y]\n"}
    assert add_web(web | unreadable)[0] == ["web"]
    assert add_web(folder("shop", "web") | unreadable)[0] == ["shop"]


def test_if_no_file_is_known_to_be_for_the_image_those_that_cannot_be_told_get_it_else_all() -> (
    None
):
    unreadable = {"far/kustomization.yaml": "resources: [https://x.example/y]\n"}
    changed, said, warned = add_web(folder("cart", "cart") | unreadable)
    assert changed == ["far"]
    assert "no entry in cart/" in said[0]
    changed, said, warned = add_web(folder("cart", "cart") | folder("shop", "shop"))
    assert (changed, said) == (["cart", "shop"], [])
    assert len(warned) == 2


def test_of_several_kustomizations_in_a_file_the_one_that_runs_the_image_is_meant() -> None:
    one, two = FLUX % ("a", "a"), FLUX % ("b", "b")
    files = {"k/kustomization.yaml": f"{one}---\n{two}"}
    apps = {
        f"apps/{path}": text
        for name, image in (("a", "cart"), ("b", "web"))
        for path, text in folder(name, image).items()
    }
    change = KustomizeImage(
        pattern="k/kustomization.yaml", name="web", new_name="host.example/new", new_tag="456"
    )
    changed = change.apply({path: text.encode() for path, text in (files | apps).items()})
    text = changed["k/kustomization.yaml"].decode()
    assert text.startswith(f"{one}---\n") and "newName: host.example/new" in text


def test_images_under_the_name_of_old_are_not_given_a_second_list() -> None:
    with pytest.raises(RenderError, match="imageTags is kustomize's old name of images") as caught:
        kustomize("resources: []\nimageTags:\n- name: web\n  newTag: '1'\n", "web")
    assert caught.value.hint == "rename imageTags to images"
