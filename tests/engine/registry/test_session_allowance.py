from __future__ import annotations

import threading

import pytest

from towline.errors import RegistryError
from towline.registry import session
from towline.registry.session import ManifestAllowance


def test_one_byte_more_than_all_of_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MANIFEST_BYTES", 2048)
    left = ManifestAllowance("source registry a.example", "a.example")
    threads = [threading.Thread(target=left.take, args=(bytes(64),)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left.take(b"")
    with pytest.raises(
        RegistryError, match=r"source registry a\.example sends more than 2 KiB of manifests"
    ) as caught:
        left.take(b"x")
    assert (caught.value.where, "fewer images" in caught.value.hint) == ("a.example", True)
