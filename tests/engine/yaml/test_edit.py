from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from towline.errors import RenderError
from towline.yaml.aliases import ALL, OWN, REFUSE, AliasPolicy
from towline.yaml.edit import ValueEdit, edit, path_text
from towline.yaml.marks import Path
from towline.yaml.source import read_source

TEXT = """\
# head
a: {b: old, c: [x, y]} # flow
d:
  - e: "old"   # first
    f: 'old'
  - 1
---
g: old"""


def change(text: str, *edits: ValueEdit) -> str:
    return edit(read_source("x.yaml", text.encode()), edits).decode()


def refusal(text: str, *edits: ValueEdit) -> RenderError:
    with pytest.raises(RenderError) as caught:
        change(text, *edits)
    assert caught.value.hint
    return caught.value


def test_several_edits_of_several_documents_change_nothing_else() -> None:
    edits = [
        ValueEdit(path=("g",), value="1.20", document=1),
        ValueEdit(path=("a", "c", 1), value="new"),
        ValueEdit(path=("d", 0, "f"), value="it's"),
        ValueEdit(path=("a", "b"), value="x: y"),
        ValueEdit(path=("d", 0, "e"), value="new"),
        ValueEdit(path=("d", 1), value="new"),
    ]
    assert (
        change(TEXT, *edits)
        == """\
# head
a: {b: "x: y", c: [x, new]} # flow
d:
  - e: "new"   # first
    f: 'it''s'
  - new
---
g: "1.20\""""
    )


def test_two_keys_inserted_behind_the_same_one_keep_their_order() -> None:
    edits = [
        ValueEdit(path=("b",), value="1", after="a"),
        ValueEdit(path=("c",), value="x", after="a"),
    ]
    assert change("a: 0\nz: 0\n", *edits) == 'a: 0\nb: "1"\nc: x\nz: 0\n'


def test_a_key_can_be_renamed_with_its_value() -> None:
    assert (
        change(
            "- newTag: '1' # c\n  name: a\n",
            ValueEdit(path=(0, "newTag"), value="x", rename="digest"),
        )
        == "- digest: 'x' # c\n  name: a\n"
    )


def test_what_holds_already_gives_the_very_same_bytes() -> None:
    data = "\ufeffa:  'x'\r\n# c\r\nb: {c: z}".encode()
    assert (
        edit(
            read_source("x.yaml", data),
            [
                ValueEdit(path=("a",), value="x"),
                ValueEdit(path=("b", "c"), value="z"),
                ValueEdit(path=("n",), value=None),
            ],
        )
        == data
    )


def test_a_dotted_key_is_not_a_path() -> None:
    assert (
        change("a.b: old\na: {b: old}\n", ValueEdit(path=("a.b",), value="new"))
        == "a.b: new\na: {b: old}\n"
    )


def test_a_document_that_is_not_there_is_refused() -> None:
    assert "document" in refusal(TEXT, ValueEdit(path=("a",), value="new", document=2)).message
    assert "document" in refusal("# nothing\n", ValueEdit(path=("a",), value="new")).message


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (("n", "m"), "x.yaml"),
        (("a", "b", "c"), "x.yaml:2:8"),
        (("d", 5), "x.yaml:4:3"),
        (("d", "e"), "x.yaml:4:3"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: Path, where: str) -> None:
    assert refusal(TEXT, ValueEdit(path=path, value="new")).where == where


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\na: 2\nb: {c: old}\n", "x.yaml:2:1"),
        ("b: {c: old, d: 1, 'd': 2}\n", "x.yaml:1:19"),
        ("b: {c: old}\nb: {c: old}\n", "x.yaml:2:1"),
        ("x: &k c\nb:\n  *k : old\n", "x.yaml:3:3"),
        ("x: &k c\nb:\n  *k : old\n  c: old\n", "x.yaml:3:3"),
        ("x: &k y\n*k : 1\nb: {c: old}\n", "x.yaml:2:1"),
        ("x: &m {y: 1}\nb: {c: old, <<: *m, <<: *m}\n", "x.yaml:2:21"),
    ],
)
def test_a_mapping_that_parsers_read_differently_is_not_edited(text: str, where: str) -> None:
    assert refusal(text, ValueEdit(path=("b", "c"), value="new")).where == where
    assert refusal(text, ValueEdit(path=("b", "new"), value="new")).where == where


def test_keys_that_stand_twice_elsewhere_do_not_matter() -> None:
    assert (
        change("a: {x: 1, x: 2, y: &k z, *k : 1}\nb: old\n", ValueEdit(path=("b",), value="new"))
        == "a: {x: 1, x: 2, y: &k z, *k : 1}\nb: new\n"
    )


def test_keys_that_are_templates_are_not_the_same_for_being_as_long() -> None:
    text = "a:\n  {{ .x }}: 1\n  {{ .y }}: 2\n  b: old\n"
    assert change(text, ValueEdit(path=("a", "b"), value="new")) == text.replace("old", "new")


def test_an_alias_is_not_edited_as_a_value_nor_on_the_way() -> None:
    text = "a: &x {b: old}\nc: *x\nd: &y old\ne: *y\n"
    assert refusal(text, ValueEdit(path=("e",), value="new")).where == "x.yaml:4:4"
    assert refusal(text, ValueEdit(path=("c", "b"), value="new")).where == "x.yaml:2:4"


@pytest.mark.parametrize("path", [("d",), ("a", "b"), ("a", "new")])
def test_what_an_alias_repeats_is_not_edited_and_the_alias_is_named(path: Path) -> None:
    found = refusal("a: &x {b: old}\nc: *x\nd: &y old\ne: *y\n", ValueEdit(path=path, value="new"))
    assert f"by an alias in line {4 if path == ('d',) else 2}" in found.message


def shared(text: str, *edits: ValueEdit, policy: str) -> tuple[str, list[str]]:
    """The result of an edit under a policy for aliases, and the log."""
    said: list[str] = []
    return (
        edit(
            read_source("x.yaml", text.encode()), edits, AliasPolicy(policy=policy, say=said.append)
        ).decode(),
        said,
    )


SHARED = "a: &i 'old' # here\nb: *i # there\nc: {d: *i, e: &m {f: old}}\ng: *m\nh: {<<: *m}\n"


def test_a_refusal_names_every_place_that_would_change_and_the_way_out() -> None:
    found = refusal(SHARED, ValueEdit(path=("a",), value="new"))
    assert (
        found.message
        == "a is repeated by aliases in line 2 (b) and line 3 (c.d), which would change too"
    )
    assert "yamlAliases" in found.hint
    found = refusal(SHARED, ValueEdit(path=("b",), value="new"))
    assert (
        found.message
        == "b stands behind the alias *i of the value in line 1 (a) and repeated in line 3 (c.d)"
    )


@pytest.mark.parametrize("path", [("a",), ("b",), ("c", "d")])
def test_with_all_the_text_that_aliases_stand_for_changes_and_they_are_named(path: Path) -> None:
    after, said = shared(SHARED, ValueEdit(path=path, value="new"), policy=ALL)
    assert after == SHARED.replace("'old'", "'new'")
    assert said == ["x.yaml:1:7: a is shared, and changes for line 2 (b) and line 3 (c.d), too"]
    assert shared(after, ValueEdit(path=path, value="new"), policy=ALL) == (after, [])


@pytest.mark.parametrize("path", [("g", "f"), ("c", "e", "f")])
def test_with_all_what_stands_inside_of_it_changes_merge_keys_included(path: Path) -> None:
    after, said = shared(SHARED, ValueEdit(path=path, value="new"), policy=ALL)
    assert after == SHARED.replace("{f: old}", "{f: new}")
    assert said == [
        "x.yaml:3:22: c.e.f is shared, and changes for line 4 (g) and line 5 (h.<<), too"
    ]


def test_with_all_a_key_is_added_to_what_they_share_and_removed_from_it() -> None:
    assert shared(SHARED, ValueEdit(path=("g", "z"), value="new"), policy=ALL)[0] == SHARED.replace(
        "{f: old}", "{f: old, z: new}"
    )
    assert shared(SHARED, ValueEdit(path=("g", "f"), value=None), policy=ALL)[0] == SHARED.replace(
        "{f: old}", "{}"
    )


@pytest.mark.parametrize(
    ("text", "path"), [("k: &k old\nz: {*k : 1}\n", ("k",)), ("&k old: 1\nz: *k\n", ("z",))]
)
def test_with_all_no_key_is_renamed_by_the_way(text: str, path: Path) -> None:
    with pytest.raises(RenderError, match="is also used as a key"):
        shared(text, ValueEdit(path=path, value="new"), policy=ALL)


def test_with_all_a_key_is_not_renamed_where_others_share_its_value() -> None:
    for path in (("a",), ("b",)):
        with pytest.raises(RenderError, match="is repeated by"):
            shared(SHARED, ValueEdit(path=path, value="new", rename="other"), policy=ALL)


def test_with_all_a_key_that_a_merge_key_brings_in_is_written_beside_it() -> None:
    after, said = shared(SHARED, ValueEdit(path=("h", "f"), value="new"), policy=ALL)
    assert (after, said) == (SHARED.replace("{<<: *m}", "{<<: *m, f: new}"), [])


def test_with_all_one_text_that_is_asked_for_twice_is_written_once_and_two_are_refused() -> None:
    assert shared(
        SHARED, ValueEdit(path=("a",), value="new"), ValueEdit(path=("b",), value="new"), policy=ALL
    )[0] == SHARED.replace("'old'", "'new'")
    with pytest.raises(RenderError, match="same characters"):
        shared(
            SHARED,
            ValueEdit(path=("a",), value="new"),
            ValueEdit(path=("b",), value="other"),
            policy=ALL,
        )


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [(("b",), "b: *i #", "b: new #"), (("c", "d"), "{d: *i,", "{d: new,")],
)
def test_with_own_the_value_is_written_where_one_alias_stands(
    path: Path, before: str, after: str
) -> None:
    assert shared(SHARED, ValueEdit(path=path, value="new"), policy=OWN) == (
        SHARED.replace(before, after),
        [],
    )


@pytest.mark.parametrize("policy", [REFUSE, ALL, OWN])
@pytest.mark.parametrize("path", [("a",), ("b",), ("c", "d")])
def test_what_holds_already_is_left_alone_whoever_shares_it(path: Path, policy: str) -> None:
    assert shared(SHARED, ValueEdit(path=path, value="old"), policy=policy) == (SHARED, [])


def test_with_own_a_text_that_could_be_read_as_something_else_is_quoted() -> None:
    assert (
        shared("a: &x 1\nb: *x\n", ValueEdit(path=("b",), value="1.20"), policy=OWN)[0]
        == 'a: &x 1\nb: "1.20"\n'
    )


@pytest.mark.parametrize("path", [("a",), ("g",), ("g", "f"), ("c", "e", "f"), ("g", "n")])
def test_with_own_what_others_repeat_or_what_is_shared_as_a_whole_is_refused(path: Path) -> None:
    with pytest.raises(RenderError, match=r"repeated by|behind the alias") as caught:
        shared(SHARED, ValueEdit(path=path, value="new"), policy=OWN)
    assert ", own in this" not in caught.value.hint


@pytest.mark.parametrize("policy", [REFUSE, ALL, OWN])
@pytest.mark.parametrize(
    "one",
    [
        ValueEdit(path=("a",), value=None),
        ValueEdit(path=("a", "b"), value=None),
        ValueEdit(path=("a", "k"), value="1", rename="m"),
    ],
)
def test_what_an_alias_stands_for_is_never_removed(one: ValueEdit, policy: str) -> None:
    with pytest.raises(RenderError, match="elsewhere repeats"):
        shared("a: {b: &x 1, &k k: 1}\nc: *x\nd: *k\n", one, policy=policy)


@given(st.data())
def test_with_all_every_user_of_a_text_says_the_new_one_and_nothing_else_does(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 5))
    uses = [
        data.draw(st.sampled_from(["'old'", "*i", "{v: *i}", "[*i, old]"])) for _ in range(count)
    ]
    text = "".join(["i: &i old\n", *(f"k{number}: {use}\n" for number, use in enumerate(uses))])
    number = data.draw(st.sampled_from([-1, *(at for at, use in enumerate(uses) if use == "*i")]))
    path = "i" if number < 0 else f"k{number}"
    after, said = shared(text, ValueEdit(path=(path,), value="new"), policy=ALL)
    assert yaml.safe_load(after) == yaml.safe_load(text.replace("&i old", "&i new"))
    # with an alias, the anchored value changes, too
    assert bool(said) == any("*i" in use for use in uses)


def test_an_anchor_that_nothing_uses_stays_beside_its_new_value() -> None:
    assert (
        change("a: &x old\nb: &y 1\nc: *y\n", ValueEdit(path=("a",), value="new"))
        == "a: &x new\nb: &y 1\nc: *y\n"
    )


def test_an_anchor_that_is_used_is_not_removed() -> None:
    assert "alias" in refusal("a: {b: &x 1}\nc: *x\n", ValueEdit(path=("a",), value=None)).message


def test_an_override_is_inserted_beside_a_merge_key() -> None:
    text = "base: &b {image: old}\nuse:\n  <<: *b\n  name: a\n"
    assert (
        change(text, ValueEdit(path=("use", "image"), value="new", after="name"))
        == text + "  image: new\n"
    )


def test_nor_is_it_inserted_in_front_of_one() -> None:
    text = "base: &b {image: old}\nuse:\n  name: a\n  <<: *b # all of it\n"
    assert (
        change(text, ValueEdit(path=("use", "image"), value="new", after="name"))
        == text + "  image: new\n"
    )


def test_a_key_in_front_of_a_merge_key_that_has_it_too_is_refused() -> None:
    text = "base: &b {image: old}\nuse:\n  image: x\n  <<: *b\n"
    found = refusal(text, ValueEdit(path=("use", "image"), value="new"))
    assert (found.where, "kubectl" in found.hint) == ("x.yaml:3:3", True)
    behind = "base: &b {image: old}\nuse:\n  <<: *b\n  image: x\n"
    assert change(behind, ValueEdit(path=("use", "image"), value="new")) == behind.replace(
        "image: x", "image: new"
    )


def test_two_edits_of_the_same_characters_are_refused() -> None:
    assert (
        "same characters"
        in refusal(
            "a: old\n", ValueEdit(path=("a",), value="x"), ValueEdit(path=("a",), value="y")
        ).message
    )


@pytest.mark.parametrize(
    ("text", "one"),
    [
        # the single pair has no braces to insert into
        ("[a: old]\n", ValueEdit(path=(0, "n"), value="new")),
        # the list's column is that of its anchor
        ("a: &x\n  - b\n", ValueEdit(path=("a", 1), value={"k": "v"})),
        ("a: old\n", ValueEdit(path=("a",), value="{{ new }}")),
    ],
)
def test_a_result_that_is_not_what_was_wanted_is_refused(text: str, one: ValueEdit) -> None:
    found = refusal(text, one)
    assert "safely" in found.message
    assert path_text(one.path) in found.message


def test_a_path_is_spelled_as_people_write_it() -> None:
    assert path_text(("spec", "containers", 0, "image")) == "spec.containers[0].image"


def test_a_large_file_is_edited_once_through() -> None:
    text = "".join(f"k{number}:\n  image: host/name:{number} # c\n" for number in range(5000))
    assert change(text, ValueEdit(path=("k4999", "image"), value="new")) == text.replace(
        "host/name:4999 #", "new #"
    )


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('a: ~\nb: one\n  two\nc: "\\u00e9"\nd: old\n', ("d",)),
        ("a: ~ # c\nb: old\n", ("b",)),
        ('a: !!int "3"\nb: old\n', ("b",)),
        ("a:\n  - x\n   \nb:\n- y: 1\n  z: old\n", ("b", 0, "z")),
        ('c:\n- args: [ "sh" ]\n  r: {cpu: 500m,memory: x}\n  image: old\n', ("c", 0, "image")),
        ("c:\n    - n: x   \n      image: old    \n", ("c", 0, "image")),
        ("%YAML 1.1\n---\na: old\n", ("a",)),
        ("a:\told\nb: {x: 1, x: 2}\n", ("a",)),
        ("a: {{ .x }}\n{{- if .y }}\nb: old\n{{- end }}\n", ("b",)),
        ("? a\n: old\n", ("a",)),
        ("a: x\rb: old\r", ("b",)),
        ("\ufeffa: old", ("a",)),
    ],
)
def test_what_libraries_write_anew_stays_as_it_is(text: str, path: Path) -> None:
    assert change(text, ValueEdit(path=path, value="new")) == text.replace("old", "new")


KEYS = st.sampled_from(["a", "b c", "on", "1", "é", "x.y", "😀", "k#"])
NASTY = st.sampled_from(
    ["1.20", "true", "a: b", "it's", "sha256:00", "12:30:45", "null", "a\nb", "x\ty"]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10) | NASTY
LEAVES = TEXTS | st.none() | st.booleans() | st.integers(0, 9)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4)
        | st.dictionaries(KEYS, inner, min_size=1, max_size=4)
    ),
    max_leaves=16,
).filter(lambda tree: isinstance(tree, dict | list))
STYLES = st.tuples(
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.sampled_from([True, False, None]),
    st.sampled_from(["\n", "\r\n"]),
)


def leaves(tree: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, (*path, key))
    else:
        yield path


def with_value(tree: Any, path: Path, value: str) -> Any:
    if not path:
        return value
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    changed = {
        key: with_value(item, path[1:], value) if key == path[0] else item for key, item in items
    }
    return changed if isinstance(tree, dict) else list(changed.values())


def dumped(tree: Any, style: str | None, flow: bool | None, newline: str) -> str:
    return yaml.safe_dump(
        tree, default_style=style, default_flow_style=flow, allow_unicode=True, sort_keys=False
    ).replace("\n", newline)


@given(TREES, st.data(), TEXTS, STYLES)
def test_any_scalar_is_set_to_any_text_or_refused(
    tree: Any, data: st.DataObject, value: str, styles: tuple[str | None, bool | None, str]
) -> None:
    path = data.draw(st.sampled_from(list(leaves(tree))))
    text = dumped(tree, *styles) + "# tail"
    if "{{" in text + value:
        return
    try:
        result = change(text, ValueEdit(path=path, value=value))
    except RenderError:
        assert styles[0] is not None  # PyYAML tags a value that is not a text: !!int "5"
        return
    assert yaml.safe_load(result) == with_value(yaml.safe_load(text), path, value)
    assert result.endswith("# tail")
    assert change(result, ValueEdit(path=path, value=value)) == result


@given(
    st.lists(KEYS, min_size=1, unique=True),
    st.lists(TEXTS, min_size=8, max_size=8),
    st.data(),
    st.booleans(),
)
def test_a_key_is_inserted_and_removed_again_without_a_trace(
    keys: list[str], values: list[str], data: st.DataObject, flow: bool
) -> None:
    tree = dict(zip(keys, values, strict=False))
    text = dumped(tree, None, flow, "\n")
    if "{{" in text or "new" in tree:
        return
    inserted = change(text, ValueEdit(path=("new",), value="1.20", after=data.draw(KEYS)))
    assert yaml.safe_load(inserted) == {**tree, "new": "1.20"}
    assert change(inserted, ValueEdit(path=("new",), value=None)) == text


@given(
    st.text("a:-?[]{}&*!|>'\"%@#, \n\t01.x<", max_size=30).map(
        lambda text: text + "\na: old # c\n"
    ),
    TEXTS,
)
@example("b: &x\n  - *x\n\na: old\n", "v")
def test_in_any_file_only_the_wanted_path_changes(text: str, value: str) -> None:
    try:
        result = change(text, ValueEdit(path=("a",), value=value))
        before, after = (
            list(yaml.load_all(each, Loader=yaml.CSafeLoader)) for each in (text, result)
        )
    # a made-up file that is not YAML, or that has !!int x
    except (RenderError, yaml.YAMLError, ValueError):
        return
    # an alias may stand inside its own anchor
    assert repr(after) == repr([with_value(before[0], ("a",), value), *before[1:]])
