"""Printed text: no foreign text makes a line or command, and masks come before cuts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from email.message import Message

import pytest

from tests.fakes.images import OCI_INDEX
from towline.commands.explain import _shown as explained
from towline.config.conditions import _shown_flag
from towline.config.merge import Setting
from towline.config.rules import shown_value
from towline.config.schema import Parameter
from towline.errors import RegistryError
from towline.gitops.commit_message import compose_message
from towline.gitops.helm.chart import _one_line
from towline.gitops.provenance import Provenance
from towline.masks import Masks
from towline.printable import cut, masked, tame, tame_json, tame_lines, use, words
from towline.registry.coding import decode_body
from towline.registry.manifest import parse_manifest
from towline.secret import MASK

SECRET = "Tr0ub4dor-and-3-horses"


@pytest.fixture
def masks() -> Iterator[Masks]:
    own = Masks()
    use(own)
    yield own
    use(Masks())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä, 日本", "plain, ä, 日本"),
        ("a\n::error::b", "a\n  | : :error::b"),
        ("::error::b", ": :error::b"),
        ("  ::debug::b", "  : :debug::b"),
        ("a ##vso[task.complete]", "a # #vso[task.complete]"),
        ("##[error]", "# #[error]"),
        ("x##teamcity[y]", "x# #teamcity[y]"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\r\nb", "a\n  | b"),
        ("a\rb", "a\\rb"),
        ("\u2028\x85\x9b\x08", "\\u2028\\x85\\x9b\\x08"),
        ("\u202eabc", "\\u202eabc"),
        ("tab\tkept", "tab\tkept"),
        ("a\n[Pipeline] sh\n  next:  run this", "a\n  | [Pipeline] sh\n  |   next:  run this"),
        ("a::b", "a::b"),
    ],
)
def test_messages(text: str, shown: str) -> None:
    assert tame(text) == shown


def test_of_a_very_long_message_both_ends_are_shown_and_how_much_is_left_out() -> None:
    assert cut("x" * 8000) == "x" * 8000
    assert cut(f"{'x' * 8000}y") == f"{'x' * 6000} ... 1 characters more ... {'x' * 1999}y"
    shown = tame(f"the name '{'a' * 1_000_000}' is no registry URL")
    assert shown.startswith("the name 'aaa")
    assert shown.endswith("aaa' is no registry URL")
    assert len(shown) < 8100


def test_lines_of_standard_output_stay_lines() -> None:
    assert tame_lines("+a\r\n ::error::b\n-\x1b[1m\n") == "+a\r\n : :error::b\n-\\x1b[1m\n"


def test_json_says_the_same() -> None:
    value = {"a": "\x1b ##vso[x] ##[y] \u2028\u202e\x9b \U000e0041 ä\n::error::", "b": [1, None]}
    text = tame_json(value)
    assert json.loads(text) == value
    assert "##" not in text
    assert "ä" in text
    assert all(line.isprintable() for line in text.split("\n"))


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(RegistryError) as caught:
        call()
    return str(caught.value)


def of_a_coding(text: str) -> str:
    headers = Message()
    headers["Content-Encoding"] = text
    return refused(lambda: decode_body(b"", headers, limit=1, where=""))


def of_a_type(text: str) -> str:
    return refused(lambda: parse_manifest(b'{"schemaVersion": 2}', text))


def of_two_types(text: str) -> str:
    body = json.dumps({"schemaVersion": 2, "mediaType": text}).encode()
    return refused(lambda: parse_manifest(body, OCI_INDEX))


def of_a_digest(text: str) -> str:
    body = json.dumps({"schemaVersion": 2, "manifests": [{"digest": text, "size": 1}]}).encode()
    return refused(lambda: parse_manifest(body, OCI_INDEX))


def of_a_flag(text: str) -> str:
    return _shown_flag("step", Setting(value=text, layer="steps", origin="file:1", trusted=False))


def of_a_value(text: str) -> str:
    return shown_value(Parameter(name="a", type="boolean", description="", scope=()), text)


def of_a_build(text: str) -> str:
    return compose_message("Update", Provenance(job=text, source_body=text, source_commit="0" * 40))


WHO_CUT = [
    of_a_coding,
    of_a_type,
    of_two_types,
    of_a_digest,
    of_a_flag,
    of_a_value,
    of_a_build,
    explained,
    _one_line,
]


@pytest.mark.parametrize("cutter", WHO_CUT)
def test_whoever_cuts_masks_first(masks: Masks, cutter: Callable[[str], str]) -> None:
    """If a secret were cut first, the rest of it would not be recognized."""
    masks.hide(SECRET)
    for filler in range(1100):
        said = cutter("x" * filler + SECRET)
        assert SECRET[:6].lower() not in said.lower(), filler


def test_words_are_masked_before_they_are_cut(masks: Masks) -> None:
    masks.hide(SECRET)
    assert words(f"{'x' * 10} {SECRET}", 20) == f"{'x' * 10} {MASK}"
    assert words(f"a\x1b\n\n b  {SECRET}", 4) == "a b "
    assert masked(f"is {SECRET}") == f"is {MASK}"
