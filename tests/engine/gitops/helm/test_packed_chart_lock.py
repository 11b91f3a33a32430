from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from towline.errors import ConfigError
from towline.gitops.helm.packed_chart import check_lock, exact_version, lock_digest

REDIS: dict[str, object] = {"name": "redis", "repository": "http://127.0.0.1:18971"}
LOCKED: list[dict[str, object]] = [{**REDIS, "version": "18.1.2"}]


# What `helm dependency update` of Helm 3.22 and 4.3 wrote.
@pytest.mark.parametrize(
    ("more", "digest"),
    [
        ({"version": "18.1.2"}, "d81f3be22c58dac2eace3641966dfb3cc4d8cf3b01a4a2d039657fa99e38f42b"),
        (
            {"version": ">=18 <19"},
            "4facc971fbed7e6ef9a7229c73044460e521fed65271b7c3d59457dc4fb40cf0",
        ),
        (
            {"version": "18.x.x", "condition": "a.b"},
            "27f2c9ecdc8ed2c7874711fc200aa6e278c8fb67666982aa08abcca7dec96c2e",
        ),
        (
            {"version": "18.x.x", "tags": ["a", "b"]},
            "4201c709ad74601068eaee92f3f58da11b9f6d3dd7f12b778a60731b1318d336",
        ),
        (
            {"version": "18.x.x", "alias": "r"},
            "eaf5d44f8f2842c46d86093f287b31f64958ffed102aa01987501521f2a369a1",
        ),
        (
            {"version": "18.x.x", "import-values": ["data"]},
            "309b23c35628e72328e97b35ceb03b726ebe9c4455fa6133f5b42bbd0e525c53",
        ),
    ],
)
def test_the_digest_of_a_lock_is_the_one_that_helm_writes(
    more: dict[str, Any], digest: str
) -> None:
    wanted = [{**REDIS, **more}]
    assert lock_digest(wanted, LOCKED) == f"sha256:{digest}"
    check_lock(
        wanted,
        {"dependencies": LOCKED, "digest": f"sha256:{digest}"},
        where="Chart.lock",
        of="Chart.yaml",
    )


@pytest.mark.parametrize(("said", "marked"), [("true", True), ("false", False), ("", False)])
def test_a_lock_knows_which_dependencies_are_enabled_as_helm_s_own_type_does(
    said: str, marked: object
) -> None:
    """A truth value in Helm's structure, left out if it is false (`json:"enabled,omitempty"`)."""
    wanted = {**REDIS, "version": "1.0.0"}
    known = [[{**_in_order(wanted), **({"enabled": True} if marked else {})}], []]
    text = json.dumps(known, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert lock_digest([{**wanted, "enabled": said}], []) == f"sha256:{digest}"


def _in_order(dependency: dict[str, object]) -> dict[str, object]:
    return {name: dependency[name] for name in ("name", "version", "repository")}


@pytest.mark.parametrize(
    "lock",
    [
        {},
        {"dependencies": LOCKED},
        {"dependencies": 5, "digest": "x"},
        {"dependencies": LOCKED, "digest": "sha256:" + "0" * 64},
    ],
)
def test_a_lock_for_other_dependencies_is_refused(lock: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="made for other dependencies") as caught:
        check_lock(
            [{**REDIS, "version": "19.x"}],
            lock,
            where="c/requirements.lock",
            of="requirements.yaml",
        )
    assert caught.value.where == "c/requirements.lock"
    assert (
        "requirements.lock was made for other dependencies than requirements.yaml"
        in caught.value.message
    )
    assert caught.value.hint == "run `helm dependency update` and commit requirements.lock"


def test_a_version_is_the_locked_one_or_an_exact_one() -> None:
    assert exact_version("redis", "^18", "18.1.2", where="") == "18.1.2"
    assert [
        exact_version("redis", version, "", where="") for version in ("1.2.3", "v1.2.3-rc.1+b")
    ] == [
        "1.2.3",
        "v1.2.3-rc.1+b",
    ]
    for version in ("", "1.2", "^1.2.3", "1.x.x", ">=1.0.0", "*"):
        with pytest.raises(ConfigError, match="names the version"):
            exact_version("redis", version, "", where="c/Chart.yaml")


@pytest.mark.parametrize("digest", ["", "sha256:" + "0" * 64])
def test_a_lock_that_aliases_multiply_is_refused(digest: str) -> None:
    """As JSON it would fill the memory."""
    many: list[object] = ["x"]
    for _ in range(40):
        many = [many] * 9
    with pytest.raises(
        ConfigError, match=r"of Chart.yaml and Chart.lock are too large: 100000 values"
    ) as caught:
        check_lock(
            [REDIS],
            {"dependencies": [{"name": "redis", "tags": many}], "digest": digest},
            where="c/Chart.lock",
            of="Chart.yaml",
        )
    assert caught.value.where == "c/Chart.lock"
    assert "helm dependency update" not in caught.value.hint  # an update would make the same lock
