from __future__ import annotations

import pytest

from towline.steps.deployment.preflight import breaks_mac

SOPS = "image: {tag: '1'}\npw: ENC[AES256_GCM,data:abc]\nsops:\n    mac: ENC[AES256_GCM,data:z]\n"


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        (SOPS, True),
        (f"{SOPS}    mac_only_encrypted: false\n", True),
        (f"{SOPS}    mac_only_encrypted: true\n", False),
        (f"a: b\n---\n{SOPS}", True),
        ('{"image": {"tag": "1"}, "sops": {"mac": "ENC[x]"}}', True),
        ("image: {tag: '1'}\n", False),
        ("sops: {enabled: true}\nmacos: true\n", False),
        ("sops: mac\n", False),
        ("sops: {mac: [\n", False),
        ("- sops: {mac: x}\n", False),
    ],
)
def test_an_edit_breaks_the_mac_of_a_file_unless_it_covers_encrypted_values_only(
    text: str,
    breaks: bool,
) -> None:
    assert breaks_mac(text.encode()) is breaks
