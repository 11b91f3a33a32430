"""Settings by themselves; test_resolve tests the layers that they come from."""

from __future__ import annotations

import pytest

from towline.config.merge import DEFAULT, Layer, layer_of
from towline.config.schema import parse_schema
from towline.config.settings import checked_settings
from towline.errors import ConfigError, CredentialError

SCHEMA = parse_schema(
    {
        "name": "paint",
        "description": "Paints.",
        "rules": [{"oneOf": [["user", "password"]], "optional": True}],
        "parameters": [
            {
                "name": name,
                "type": kind,
                "scope": ["PARAMETERS", "STEPS"],
                "description": f"The {name}.",
                **more,
            }
            for name, kind, more in (
                ("colour", "string", {"mandatory": True}),
                ("walls", "list", {}),
                ("rooms", "objects", {}),
                ("layers", "integer", {"default": 2}),
                ("dry", "boolean", {}),
                ("user", "string", {}),
                ("password", "string", {"secret": True}),
                ("tint", "map", {}),
            )
        ],
    },
    "paint.yaml",
)
OTHER = parse_schema(
    {
        "name": "brush",
        "description": "Brushes.",
        "parameters": [
            {"name": "shade", "type": "string", "scope": ["STEPS"], "description": "The shade."},
            {
                "name": "coats",
                "type": "integer",
                "scope": ["STEPS"],
                "description": "How many.",
                "default": 1,
            },
        ],
    },
    "brush.yaml",
)


def layer(name: str = "project", *, trusted: bool = False, **values: object) -> Layer:
    origins = {key: f"{name}:{key}" for key in values}
    return layer_of(name, values, trusted=trusted, origins=origins)


def test_each_accessor_gives_its_type_and_an_unset_parameter_is_empty() -> None:
    found = checked_settings(
        SCHEMA,
        [layer(DEFAULT, trusted=True, layers=2), layer(colour="red", walls=["a"], tint={"x": "1"})],
    )
    assert (
        found.text("colour"),
        found.texts("walls"),
        found.mapping("tint"),
        found.number("layers"),
    ) == ("red", ("a",), {"x": "1"}, 2)
    assert (found.flag("dry"), found.text("user"), found.given("user"), found.origin("user")) == (
        False,
        "",
        False,
        "",
    )
    assert found.origin("colour") == "project:colour"
    assert found.origin("layers").startswith(
        "the default of layers, since nothing sets it (set layers in steps.paint"
    )
    with pytest.raises(KeyError):
        found.text("color")


def test_a_value_is_trusted_where_its_layer_is() -> None:
    found = checked_settings(
        SCHEMA,
        [layer(colour="red"), layer("call", trusted=True, user="u", password="hunter2hunter2")],
    )
    assert (found.trusted("colour"), found.trusted("user"), found.trusted("walls")) == (
        False,
        True,
        True,
    )
    assert found.secrets() == {"hunter2hunter2"}


def test_all_faults_are_reported_at_once_and_an_incomplete_login_is_its_own_kind() -> None:
    with pytest.raises(ConfigError) as caught:
        checked_settings(SCHEMA, [layer(layers="many", dry="perhaps")])
    assert [
        word in caught.value.message
        for word in ("have 3 faults", "colour is not set", "layers is", "dry is")
    ] == [True] * 4
    with pytest.raises(CredentialError, match="password"):
        checked_settings(SCHEMA, [layer(colour="red", user="u")])


def test_each_map_of_a_list_overrides_the_others() -> None:
    found = checked_settings(
        SCHEMA, [layer(colour="red", rooms=[{"colour": "blue"}, {"layers": 3}])]
    )
    assert [(one.text("colour"), one.number("layers")) for one in found.each("rooms")] == [
        ("blue", 0),
        ("red", 3),
    ]
    assert [
        one.text("colour") for one in checked_settings(SCHEMA, [layer(colour="red")]).each("rooms")
    ] == ["red"]
    wrongs: list[dict[str, object]] = [{"color": "blue"}, {"password": "x"}, {"rooms": []}]
    for wrong in wrongs:
        with pytest.raises(ConfigError, match="cannot be set in an entry of rooms"):
            checked_settings(SCHEMA, [layer(colour="red", rooms=[wrong])]).each("rooms")


def test_settings_are_translated_for_the_step_that_does_the_same_by_other_names() -> None:
    found = checked_settings(SCHEMA, [layer(colour="red")]).translated(
        OTHER, {"shade": "colour"}, {}, {}
    )
    assert (found.text("shade"), found.origin("shade"), found.number("coats")) == (
        "red",
        "project:colour",
        1,
    )
    more = checked_settings(SCHEMA, [layer(colour="red")]).translated(
        OTHER, {}, {"shade": "blue", "coats": 4}, {}
    )
    assert (
        more.text("shade"),
        more.origin("shade"),
        more.number("coats"),
        more.trusted("shade"),
    ) == ("blue", "paint", 4, False)
