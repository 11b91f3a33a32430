from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from towline.gitops.render.child import RendererFault
from towline.gitops.render.jinja import quote, render

VARIABLES = {"image": {"tag": "1.0", "digest": ""}, "stage": "Release"}


def rendered(text: str, *, output: int = 10_000, **variables: Any) -> str:
    return render(
        {
            "name": "values.yaml.j2",
            "text": text,
            "variables": VARIABLES | variables,
            "limits": {"output": output},
        }
    )


def fault(text: str, **variables: Any) -> dict[str, object]:
    with pytest.raises(RendererFault) as caught:
        rendered(text, **variables)
    return caught.value.data


def test_variables_are_filled_in_and_the_last_line_end_stays() -> None:
    assert rendered("stage: {{ stage }}\ntag: {{ image.tag }}\n") == "stage: Release\ntag: 1.0\n"


def test_a_line_that_holds_a_statement_alone_leaves_nothing_behind() -> None:
    assert rendered("a: 1\n  {% if image.digest %}\nb: 2\n  {% endif %}\nc: 3\n") == "a: 1\nc: 3\n"


def test_windows_line_ends_stay_what_they_are() -> None:
    assert rendered("a: {{ stage }}\r\nb: 1\r\n") == "a: Release\r\nb: 1\r\n"


def test_nothing_is_escaped_for_html() -> None:
    assert rendered("a: {{ x }} {{ x | yaml }}", x="<&>'") == "a: <&>' \"<&>'\""


def test_an_undefined_variable_is_named_with_its_line_and_what_was_probably_meant() -> None:
    found = fault("a: 1\nb: {{ stgae }}\n")
    assert found == {
        "message": "'stgae' is undefined",
        "where": "values.yaml.j2:2",
        "hint": "did you mean 'stage'?",
        "machine": False,
    }


@pytest.mark.parametrize("expression", ["image.tga", "image.tga | yaml", "[image.tga] | yaml"])
def test_an_undefined_part_of_a_variable_is_named_too_through_filters(expression: str) -> None:
    found = fault(f"\n\nb: {{{{ {expression} }}}}\n")
    assert "no attribute 'tga'" in str(found["message"])
    assert (found["where"], found["hint"]) == ("values.yaml.j2:3", "did you mean 'tag'?")


def test_a_syntax_error_names_its_line() -> None:
    found = fault("a: 1\n{% if stage %}\n{% endfor %}\n")
    assert found["where"] == "values.yaml.j2:3"
    assert "endfor" in str(found["message"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ image.update({'tag': 'x'}) }}", "unsafe"),
        ("{{ range(1000000) }}", "Range too big"),
        ("{% include 'other' %}", "no loader"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{{ range | yaml }}", "function cannot be written as YAML"),
        ("{{ [1, 2] | random }}", "No filter named 'random'"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
    ],
)
def test_what_a_template_must_not_do_is_a_fault_at_its_line(text: str, message: str) -> None:
    found = fault(f"a: 1\n{text}\n")
    assert message in str(found["message"])
    assert found["where"] == "values.yaml.j2:2"


def test_a_result_that_grows_too_large_is_stopped_on_the_way() -> None:
    with pytest.raises(RendererFault, match="larger than 1000 bytes"):
        rendered("{% for one in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", output=1000)


def test_a_value_with_a_line_break_stays_one_value() -> None:
    text = rendered("tag: {{ x | yaml }}\nother: {{ x | tojson }}\n", x="1.0\nadmin: true # ")
    assert yaml.safe_load(text) == {"tag": "1.0\nadmin: true # ", "other": "1.0\nadmin: true # "}


@pytest.mark.parametrize(
    "text",
    [
        "1.20",
        "1e3",
        "on",
        "null",
        "",
        "0123",
        "12:30:45",
        "~",
        "- a",
        "{{",
        "#",
        "\U0001f600",
        "a \u2028 b \x85 c\x7f\ufeff",
        "\t\\\"'",
    ],
)
def test_a_quoted_text_stays_that_text(text: str) -> None:
    assert yaml.safe_load(f"a: {quote(text)}\n") == {"a": text}


# YAML readers agree on all values that JSON can have, except half surrogate pairs, which are not
# text.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_any_value_is_read_back_as_it_was_from_a_single_line(value: object) -> None:
    line = quote({"value": value})
    assert "\n" not in line
    assert yaml.safe_load(line) == {"value": value}


def test_numbers_and_lists_keep_their_type() -> None:
    assert (
        rendered("a: {{ x | yaml }}", x=[1, 1.5, True, None, {"b": "c"}])
        == 'a: [1, 1.5, true, null, {"b": "c"}]'
    )
    assert yaml.safe_load(rendered("a:\n  {{ x | tojson(indent=2) }}\n", x={"b": [1]})) == {
        "a": {"b": [1]}
    }


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(RendererFault, match="not JSON compliant"):
        rendered("{{ x | yaml }}", x=float("nan"))
