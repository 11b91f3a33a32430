from __future__ import annotations

import pytest

from towline.errors import ConfigError
from towline.registry.job import DEMANDED, LEFT, TAKEN
from towline.registry.left_behind import check_left


class Holder:
    """A source that holds so many."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __str__(self) -> str:
        return "OCI layout app"

    def referring(self) -> int:
        return self.count


@pytest.mark.parametrize(("source", "wanted", "told"), [
    (Holder(2), TAKEN, 1), (Holder(2), LEFT, 0), (Holder(0), TAKEN, 0), (Holder(0), DEMANDED, 0), ("a registry", DEMANDED, 0),
])
def test_what_stays_behind_is_told_where_it_was_wanted(source: object, wanted: str, told: int) -> None:
    warnings = list[str]()
    check_left(source, wanted, warnings.append)
    assert warnings == ["the OCI layout app holds 2 that refer to an image (signatures, attestations, SBOMs), and they stay behind"] * told


def test_what_is_demanded_and_stays_behind_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="they stay behind") as caught:
        check_left(Holder(1), DEMANDED, print)
    assert caught.value.hint
