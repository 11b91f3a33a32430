"""resources/towline/bridge.json is made of its sources, and names the engine of a release."""

from __future__ import annotations

import json
import re

import pytest

from tools.bridge import BRIDGE, SHARED, bridge, launcher, secret_names
from towline.secret import is_secret

LAUNCHER = (SHARED / "engine.sh").read_text(encoding="utf-8")
SUM = "0" * 64


def test_the_resource_is_fresh() -> None:
    assert BRIDGE.read_text(encoding="utf-8") == bridge(), "run .venv/bin/python tools/bridge.py"


def test_the_resource_of_a_checkout_names_no_engine() -> None:
    document = json.loads(bridge())
    assert list(document) == ["version", "launcher", "secretNames"]
    assert document["launcher"] == LAUNCHER
    assert document["launcher"].startswith("#!/bin/sh\n")  # Jenkins traces other scripts


def test_a_released_library_names_its_engine_to_the_launcher() -> None:
    document = json.loads(bridge(engine={"sha256": SUM}))
    assert document["engine"] == {"sha256": SUM}
    assert f"\nlibrary_sha256='{SUM}'\nlibrary_url=''\n" in document["launcher"]
    url = "https://files.example.com/towline.pyz?v=1"
    text = json.loads(bridge(engine={"sha256": SUM, "url": url}))["launcher"]
    assert f"\nlibrary_url='{url}'\n" in text


@pytest.mark.parametrize("value", ["", "a'b", "a b", "a\nb", "https://example.com/`x`"])
def test_nothing_but_a_url_or_checksum_gets_into_the_launcher(value: str) -> None:
    with pytest.raises(ValueError, match="is not a URL"):
        launcher(LAUNCHER, {"url": value})


def test_the_pattern_of_secret_names_decides_as_the_engine_does() -> None:
    names = secret_names((SHARED / "secret_names.txt").read_text(encoding="utf-8"))
    pattern = re.compile(str(names["secret"]))
    assert "targetimages" in names["free"]  # type: ignore[operator]
    for name in ("password", "mytokenvalue", "auth", "author", "tokenurl", "passwordfile", "image"):
        assert bool(pattern.fullmatch(name)) == is_secret(name), name
