from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from towline.file_patterns import match_files
from towline.gitops.change import Change, Together


@dataclass(frozen=True, kw_only=True)
class Appended:
    pattern: str
    text: bytes

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        return match_files(self.pattern, listing)

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return {path: data + self.text for path, data in files.items()}


def test_changes_together_build_on_each_other_and_each_gets_its_own_files_only() -> None:
    change: Change = Together(
        changes=(
            Appended(pattern="a*", text=b"1"),
            Appended(pattern="*b", text=b"2"),
            Appended(pattern="c", text=b""),
        )
    )
    assert change.wants(["a", "ab", "b", "c", "d"]) == ["a", "ab", "b", "c"]
    assert change.apply({"a": b"", "ab": b"", "b": b"", "c": b""}) == {
        "a": b"1",
        "ab": b"12",
        "b": b"2",
    }
