"""Values that a chart renders differently each time, compared with the repository's."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from towline.gitops.helm.random_values import StableRendering, keep_random_values

SECRET = (
    "---\n# Source: c/templates/s.yaml\napiVersion: v1\nkind: Secret\nmetadata:\n  name:"
    " s\nstringData:\n"
)
DEPLOYMENT = """\
---
# Source: c/templates/d.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: d
  labels: {{version: "{tag}"}}
spec:
  template:
    metadata:
      annotations:
        checksum/s: {checksum}
    spec:
      containers:
        - name: app
          image: "host/app:{tag}"
"""
A, B, C = "Aaaa1111", "Bbbb2222", "Cccc3333"


def secret(lines: str, name: str = "s") -> str:
    return SECRET.replace("name: s", f"name: {name}") + "".join(
        f"  {line}\n" for line in lines.splitlines()
    )


def deployment(checksum: str = "a", tag: str = "1.0") -> str:
    return DEPLOYMENT.format(checksum=checksum * 64, tag=tag)


def never() -> str:
    raise AssertionError


def test_without_a_file_everything_is_new() -> None:
    assert (
        keep_random_values("", "kind: A\n", never)
        == keep_random_values("# nothing\n", "kind: A\n", never)
        == StableRendering(text="kind: A\n")
    )


def test_what_yaml_does_not_see_keeps_the_file_as_it_is() -> None:
    old = secret("pw: 'x'\n\n") + "# by hand\n" + deployment() + "\n\n"
    assert keep_random_values(old, secret('pw: "x"') + deployment(), never).text == old
    assert keep_random_values(
        old.replace("\n", "\r\n"), secret('pw: "x"') + deployment(), never
    ).text == old.replace("\n", "\r\n")


def test_an_empty_document_that_names_the_template_stays_in_front() -> None:
    old, new = (
        "---\n# Source: c/templates/a.yaml\n---\nkind: A\n" + deployment(tag=tag)
        for tag in ("1.0", "2.0")
    )
    assert keep_random_values(old, new, never).text == new


def test_images_alone_need_no_second_rendering_and_the_other_documents_keep_their_text() -> None:
    old = secret("pw: 'x'\n\n") + deployment()
    assert keep_random_values(old, secret('pw: "x"') + deployment(tag="2.0"), never).text == secret(
        "pw: 'x'\n\n"
    ) + deployment(tag="2.0")


def test_what_is_the_same_in_both_renderings_is_written() -> None:
    new = secret("pw: y") + deployment(tag="2.0")
    assert keep_random_values(secret("pw: x") + deployment(), new, lambda: new) == StableRendering(
        text=new
    )


def test_a_password_and_the_checksum_of_it_stay_while_the_image_moves() -> None:
    old, first, second = (
        secret(f"pw: {word}") + deployment(word[0].lower(), tag)
        for word, tag in ((A, "1.0"), (B, "2.0"), (C, "2.0"))
    )
    found = keep_random_values(old, first, lambda: second)
    assert found.text == secret(f"pw: {A}") + deployment("a", "2.0")
    assert (found.kept, found.renewed) == (
        ("Secret s (c/templates/s.yaml)", "Deployment d (c/templates/d.yaml)"),
        (),
    )
    assert (
        keep_random_values(found.text, first.replace(B, "Dddd4444"), lambda: second).text
        == found.text
    )


def test_what_the_repository_has_not_yet_is_new_and_then_stays() -> None:
    first, second = (
        secret(f"pw: {A if new else word}\nmore: {word}x") for word, new in ((B, False), (C, False))
    )
    found = keep_random_values(secret(f"pw: {A}"), first, lambda: second)
    assert found.text == secret(f'pw: {A}\nmore: "{A}x"'), "it is made of what is known"
    first, second = (secret(f"pw: {word}\nmore: {word[::-1]}") for word in (B, C))
    found = keep_random_values(secret(f"pw: {A}"), first, lambda: second)
    assert found.text == secret(f"pw: {A}\nmore: {B[::-1]}")
    assert found.renewed == ("Secret s (c/templates/s.yaml)",)
    assert keep_random_values(found.text, second, lambda: first) == StableRendering(
        text=found.text, kept=found.renewed
    )
    whole = keep_random_values(
        secret(f"pw: {A}"),
        secret(f"pw: {B}") + secret(f"k: {B[::-1]}", "t"),
        lambda: secret(f"pw: {C}") + secret(f"k: {C[::-1]}", "t"),
    )
    assert (whole.text, whole.renewed) == (secret(f"pw: {A}") + secret(f"k: {B[::-1]}", "t"), ())


def test_a_change_beside_a_password_is_made_and_pods_that_watch_it_start_again() -> None:
    old = secret(f"host: one\npw: {A}") + deployment("a")
    found = keep_random_values(
        old,
        secret(f"host: two\npw: {B}") + deployment("b"),
        lambda: secret(f"host: two\npw: {C}") + deployment("c"),
    )
    assert found.text == secret(f"host: two\npw: {A}") + deployment("b")
    assert found.renewed == ()


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("form", [str, base64_of])
def test_an_address_around_a_password_is_changed_and_the_password_in_it_is_the_kept_one(
    form: Callable[[str], str],
) -> None:
    def both(word: str, host: str) -> str:
        return secret(
            f"pw: {form(word)}\nurl: {form(f'postgres://user:{word}@{host}.example.com/db')}"
        )

    found = keep_random_values(
        both(A, "one") + deployment("a"),
        both(B, "two") + deployment("b"),
        lambda: both(C, "two") + deployment("c"),
    )
    assert found.text.replace('"', "") == (both(A, "two") + deployment("b")).replace('"', "")
    assert found.renewed == ()
    again = keep_random_values(
        found.text, both(C, "two") + deployment("c"), lambda: both(B, "two") + deployment("b")
    )
    assert again.text == found.text


@pytest.mark.parametrize(("before", "now"), [("one", "two"), ("db/0", "db/1"), ("h:1.9", "h:2.0")])
def test_what_is_around_a_part_of_unknown_origin_is_not_lost(before: str, now: str) -> None:
    old, first, second = (
        secret(f"url: redis://{word}@{host}") for word, host in ((A, before), (B, now), (C, now))
    )
    found = keep_random_values(old, first, lambda: second)
    assert (found.text, found.renewed) == (first, ("Secret s (c/templates/s.yaml)",))


@pytest.mark.parametrize("before", ["{a: 1}", "[a]"])
def test_a_text_that_differs_by_itself_takes_the_place_of_a_map_or_a_list(before: str) -> None:
    first = secret(f"pw: {B}")
    found = keep_random_values(secret(f"pw: {before}"), first, lambda: secret(f"pw: {C}"))
    assert found == StableRendering(text=first, renewed=("Secret s (c/templates/s.yaml)",))


def test_a_short_value_is_not_taken_for_the_same_one_where_it_turns_up_again() -> None:
    old, first, second = (
        secret(f"pin: '{pin}'", "pin") + secret(f"path: at/{pin}x/{version}")
        for pin, version in (("abc", "v1"), ("def", "v2"), ("ghi", "v2"))
    )
    found = keep_random_values(old, first, lambda: second)
    assert found.text == secret("pin: 'abc'", "pin") + secret("path: at/defx/v2")
    assert found.renewed == ("Secret s (c/templates/s.yaml)",)


@pytest.mark.parametrize(
    ("old", "first", "second"),
    [
        ("2026-10-01T10:00:00Z", "2026-11-30T13:05:01Z", "2026-11-30T13:05:02Z"),
        ("1796043901", "1796143901", "1796143902"),
        ("Mon Oct 5 10:00", "Mon Nov 30 13:05", "Tue Dec 1 12:06"),
        ("LS0tLS1CRUdJTiBD+x/y", "LS0tLS1CRUdJTiBDR+a/b", "LS0tLS1CRUdJTiBDZ/c+d=="),
        ("$2a$10$abc./def", "$2a$10$xyz./uvw", "$2a$10$mno./pqr"),
        ("b,a", "a,b", "b,a"),
        ("x-1", "y-2", "z-3"),
    ],
)
def test_times_keys_hashes_and_orders_stay(old: str, first: str, second: str) -> None:
    found = keep_random_values(
        secret(f"v: '{old}'"), secret(f"v: '{first}'"), lambda: secret(f"v: '{second}'")
    )
    assert (found.text, found.renewed) == (secret(f"v: '{old}'"), ())


def test_an_order_that_changes_by_itself_loses_nothing_that_is_new() -> None:
    found = keep_random_values(secret("v: b,a"), secret("v: a,b,c"), lambda: secret("v: c,b,a"))
    assert (found.text, found.renewed) == (secret("v: a,b,c"), ())
    found = keep_random_values(
        secret("v: [b, a]"), secret("v: [a, b]"), lambda: secret("v: [b, a]")
    )
    assert found.text == secret("v: [b, a]")
    found = keep_random_values(
        secret("v: [b, a]\nw: {b: 1}"),
        secret("v: [a, c, b]\nw: {b: 1}"),
        lambda: secret("v: [b, a, c]\nw: {b: 1}"),
    )
    assert (found.text, found.renewed) == (secret("v: [a, c, b]\nw: {b: 1}"), ())


def test_an_order_that_comes_out_the_same_by_chance_is_rendered_again() -> None:
    renderings = ["v: [a, b]", "v: [a, b]", "v: [b, a]"]
    assert keep_random_values(
        secret("v: [b, a]"), secret("v: [a, b]"), lambda: secret(renderings.pop(0))
    ).text == secret("v: [b, a]")
    assert renderings == []
    others = [secret(f"v: a,b\nw: {word}") for word in ("b a", "a b", "b a", "b a")]
    assert keep_random_values(
        secret("v: b,a\nw: b a"), secret("v: a,b\nw: a b"), lambda: others.pop(0)
    ).text == secret("v: a,b\nw: b a")
    assert len(others) == 0


def test_keys_that_differ_by_themselves_stay_where_the_others_are_the_same() -> None:
    old, first, second = (
        secret(f"v:\n  {word}: 1\n  x: {x}") for word, x in ((A, 1), (B, 1), (C, 1))
    )
    assert keep_random_values(old, first, lambda: second).text == old
    first, second = (text.replace("x: 1", "x: 2") for text in (first, second))
    found = keep_random_values(old, first, lambda: second)
    assert (found.text, found.renewed) == (first, ("Secret s (c/templates/s.yaml)",))


def job(name: str, tag: str = "1.0") -> str:
    return (
        f"---\n# Source: c/templates/j.yaml\nkind: Job\nmetadata:\n  name: job-{name}\nspec:\n "
        f" image: app:{tag}\n"
    )


def test_a_document_with_a_name_of_its_own_each_time_is_new_only_if_something_in_it_is() -> None:
    rest = "---\nkind: Watch\njob: job-{0}\n"
    old = job(A) + rest.format(A)
    same = keep_random_values(old, job(B) + rest.format(B), lambda: job(C) + rest.format(C))
    assert (same.text, same.renewed) == (old, ())
    moved = keep_random_values(
        old, job(B, "2.0") + rest.format(B), lambda: job(C, "2.0") + rest.format(C)
    )
    assert moved.text.replace('"', "") == job(B, "2.0") + rest.format(B)
    assert moved.renewed == ()


def test_a_document_with_a_random_name_is_new_if_a_version_in_the_name_is() -> None:
    found = keep_random_values(job(f"2-0-{A}"), job(f"2-1-{B}"), lambda: job(f"2-1-{C}"))
    assert found.text == job(f"2-1-{B}")


@pytest.mark.parametrize(("before", "now"), [("2.0-{}", "2.1-{}"), ("{}-2.0", "{}-2.1")])
def test_a_version_beside_a_time_is_written_with_a_warning(before: str, now: str) -> None:
    old = secret(f"v: {before}".format(1796043901))
    first, second = (secret(f"v: {now}".format(time)) for time in (1796143901, 1796143902))
    found = keep_random_values(old, first, lambda: second)
    assert found == StableRendering(text=first, renewed=("Secret s (c/templates/s.yaml)",))
    assert keep_random_values(first, second, lambda: first).text == first


def test_a_change_inside_of_a_file_in_base64_that_holds_a_random_value_is_written() -> None:
    old, first, second = (
        secret("f: " + base64_of(f"host: {host}\npw: {word}\n"))
        for word, host in ((A, "one"), (B, "two"), (C, "two"))
    )
    found = keep_random_values(old, first, lambda: second)
    assert (found.text, found.renewed) == (first, ("Secret s (c/templates/s.yaml)",))
    assert keep_random_values(first, second, lambda: first).text == first


def test_other_documents_each_time_are_said_by_their_templates() -> None:
    found = keep_random_values(secret("a: 1"), secret("a: 2"), lambda: secret("a: 2") + job(A))
    assert (found.text, found.renewed) == (secret("a: 2"), ("c/templates/j.yaml",))


def test_blocks_stay_as_they_were_written() -> None:
    key = "v: |\n  -----BEGIN KEY-----\n  {}\n  -----END KEY-----\nw: {}"
    old, first, second = (
        secret(key.format(word, host)) for word, host in ((A, "one"), (B, "two"), (C, "two"))
    )
    assert keep_random_values(old, first, lambda: second).text == secret(key.format(A, "two"))


def test_of_a_large_rendering_only_what_differs_is_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = "".join(secret(f"n: {number}", f"n{number}") for number in range(300))
    looked = [0]
    real = yaml.compose

    def counted(*words: Any, **more: Any) -> Any:
        looked[0] += 1
        return real(*words, **more)

    monkeypatch.setattr(yaml, "compose", counted)
    old, first, second = (many + secret(f"pw: {word}") for word in (A, B, C))
    assert keep_random_values(old, first, lambda: second).text == old
    assert looked[0] < 20


def test_what_changes_inside_of_a_list_that_differs_by_itself_is_not_what_is_around_it() -> None:
    old, first, second = (
        secret(f"v: [{words}]\nw: x") for words in ("c, a, b", "a, b, c", "b, c, a")
    )
    found = keep_random_values(old, first, lambda: second)
    assert (found.text, found.renewed) == (old, ())


def test_documents_that_are_gone_and_another_order_of_documents_are_written() -> None:
    one, two, three = (
        secret(f"pw: {word}", name) for word, name in ((A, "one"), (A, "two"), (B, "one"))
    )
    assert keep_random_values(one + two, one, lambda: one).text == one
    assert keep_random_values(one + two, two + one, lambda: two + one).text == two + one
    assert keep_random_values(two + one, three, lambda: secret(f"pw: {C}", "one")).text == one
