from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from towline.config.merge import Layer, fold_settings, layer_of, merge, prune

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
keys = st.sampled_from("abc")
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
maps = st.dictionaries(keys, values, max_size=3)


def layer(
    values: Mapping[str, object],
    name: str = "layer",
    *,
    trusted: bool = True,
    origins: Mapping[str, str] | None = None,
) -> Layer:
    return layer_of(name, values, trusted=trusted, origins=origins)


def plain(*values: Mapping[str, object]) -> dict[str, object]:
    return {
        key: setting.value
        for key, setting in fold_settings([layer(each) for each in values]).items()
    }


def has_null(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(has_null(item) for item in inner)


def test_a_later_layer_replaces_scalars_and_lists() -> None:
    assert plain({"a": 1, "b": [1, 2], "c": "stays"}, {"a": 2, "b": [3]}) == {
        "a": 2,
        "b": [3],
        "c": "stays",
    }


def test_maps_merge_at_every_depth() -> None:
    below = {"a": {"x": {"deep": 1, "kept": 2}, "y": 1}}
    assert plain(below, {"a": {"x": {"deep": 9}, "z": 3}}) == {
        "a": {"x": {"deep": 9, "kept": 2}, "y": 1, "z": 3}
    }


def test_a_map_and_another_kind_replace_each_other() -> None:
    assert plain({"a": {"x": 1}, "b": "text"}, {"a": "text", "b": {"x": 1}}) == {
        "a": "text",
        "b": {"x": 1},
    }


def test_an_empty_map_clears_nothing_but_empty_text_list_and_false_do() -> None:
    below = {"map": {"x": 1}, "text": "a", "list": [1], "flag": True}
    assert plain(below, {"map": {}, "text": "", "list": [], "flag": False}) == {
        "map": {"x": 1},
        "text": "",
        "list": [],
        "flag": False,
    }


def test_a_null_neither_sets_nor_clears() -> None:
    assert plain(
        {"a": 1, "b": {"x": 1}},
        {"a": None, "b": {"x": None, "y": None}, "c": None, "d": [None, {"e": None}]},
    ) == {"a": 1, "b": {"x": 1}, "d": [{}]}


def test_a_setting_knows_its_source_and_what_it_overrode() -> None:
    weak = layer({"a": 1}, "general", origins={"a": "file:1"})
    middle = layer({"a": 2}, "step s", trusted=False, origins={"a": "file:2"})
    setting = fold_settings([weak, middle, layer({"a": 3}, "call")])["a"]
    assert (setting.value, setting.origin, setting.layer, setting.trusted) == (
        3,
        "call",
        "call",
        True,
    )
    assert [(before.value, before.origin, before.trusted) for before in setting.overridden] == [
        (1, "file:1", True),
        (2, "file:2", False),
    ]


def test_a_merged_map_is_trusted_only_where_all_its_parts_are() -> None:
    untrusted = layer({"a": {"x": 1}, "b": "text", "c": {"x": 1}}, trusted=False)
    found = fold_settings([untrusted, layer({"a": {"y": 2}, "b": "other", "c": "replaced"})])
    assert [found[key].trusted for key in "abc"] == [False, True, True]


@given(st.lists(maps, max_size=4))
def test_folding_never_changes_its_inputs(inputs: list[dict[str, object]]) -> None:
    before = copy.deepcopy(inputs)
    fold_settings([layer(each) for each in inputs])
    assert inputs == before


@given(st.lists(maps, max_size=4))
def test_no_null_survives(inputs: list[dict[str, object]]) -> None:
    assert not has_null(plain(*inputs))


@given(maps, maps)
def test_the_later_layer_wins(below: dict[str, object], above: dict[str, object]) -> None:
    folded = plain(below, above)
    for key, value in above.items():
        if value is not None and not isinstance(value, dict):
            assert folded[key] == prune(value)


@given(maps, maps, maps)
def test_what_has_been_folded_can_be_folded_further(
    one: dict[str, object], two: dict[str, object], three: dict[str, object]
) -> None:
    assert plain(plain(one, two), three) == plain(one, two, three)


@given(maps)
def test_a_layer_over_itself_changes_nothing(layer_values: dict[str, object]) -> None:
    assert plain(layer_values, layer_values) == plain(layer_values)
    assert prune(prune(layer_values)) == prune(layer_values)


@given(maps, maps)
def test_what_only_one_layer_has_stays_as_it_is(
    below: dict[str, object], above: dict[str, object]
) -> None:
    folded = plain(below, above)
    for only, other in ((below, above), (above, below)):
        for key in only.keys() - other.keys():
            assert (
                folded.get(key) == prune(only)[key] if only[key] is not None else key not in folded
            )


@given(st.lists(maps, min_size=1, max_size=4), keys)
def test_a_setting_remembers_every_layer_that_set_it_in_order(
    layers: list[dict[str, object]], key: str
) -> None:
    numbered = [layer(values, f"{number}") for number, values in enumerate(layers)]
    setting = fold_settings(numbered).get(key)
    setters = [each.name for each in numbered if each.value(key) is not None]
    seen = [before.layer for before in setting.overridden] + [setting.layer] if setting else []
    assert seen == setters


@given(
    st.lists(
        st.tuples(st.dictionaries(keys, st.integers(), min_size=1), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_a_merged_map_is_trusted_just_where_every_layer_that_is_in_it_is(
    layers: list[tuple[dict[str, object], bool]],
) -> None:
    setting = fold_settings([layer({"a": values}, trusted=trusted) for values, trusted in layers])[
        "a"
    ]
    assert setting.trusted == all(trusted for _, trusted in layers)


@given(values, values)
def test_merging_maps_keeps_every_key_and_replaces_anything_else(
    below: object, above: object
) -> None:
    merged = merge(below, above)
    if isinstance(below, dict) and isinstance(above, dict):
        assert isinstance(merged, dict)
        assert merged.keys() == below.keys() | above.keys()
    else:
        assert merged == above
