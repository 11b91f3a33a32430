from __future__ import annotations

import pytest

from towline.gitops.helm.manifests import removed_resources

SHOP = "kind: Deployment\nmetadata: {name: shop}\nspec: {template: {spec: {containers: [%s]}}}\n"
SERVICE = "kind: Service\nmetadata: {name: %s}\n"
SECRET = "kind: Secret\nmetadata: {name: s}\nstringData: {password: hidden-value}\n"
HELM = "# Source: app/templates/a.yaml\n"


def lost(old: str, new: str) -> list[str]:
    return removed_resources(old.encode(), new.encode())


def test_resources_and_containers_that_are_gone_are_named_and_nothing_of_what_they_hold() -> None:
    old = f"{SHOP % '{name: app}, {name: proxy}'}---\n{SERVICE % 'shop'}---\n{SECRET}"
    assert lost(old, SHOP % "{name: app}") == [
        "Service/shop",
        "Secret/s",
        "container proxy of Deployment shop",
    ]
    assert lost(old, old) == lost("", old) == []
    assert (
        lost(old, f"{SECRET}---\n{SERVICE % 'shop'}---\n{SHOP % '{name: app}, {name: proxy}'}")
        == []
    )


@pytest.mark.parametrize(
    ("old", "new"), [("a: [", SECRET), (SECRET, "a: ["), ("- a\n---\nkind: [x]\n", SECRET)]
)
def test_what_cannot_be_read_has_none(old: str, new: str) -> None:
    assert lost(old, new) == []


def test_what_a_rendering_names_anew_each_time_takes_the_place_of_its_last_one() -> None:
    old, new = SERVICE % "migrate-1.0.0", SERVICE % "migrate-1.0.1"
    assert lost(old, new) == ["Service/migrate-1.0.0"]
    assert lost(HELM + old, new) == []
    assert lost(f"{HELM}{old}---\n{SERVICE % 'migrate-1.0.2'}", new) == ["Service/migrate-1.0.2"]
    assert lost(HELM + SERVICE % "shop", new) == ["Service/shop"]


def test_namespaces_and_lists_are_looked_into() -> None:
    other = SERVICE.replace("}", ", namespace: b}") % "shop"
    both = f"{SERVICE % 'shop'}---\n{other}"
    assert lost(both, SERVICE % "shop") == ["Service/shop (2)"]
    assert lost(SERVICE % "shop", other) == []
    items = (
        "kind: List\nitems: [{kind: Service, metadata: {name: shop}}, {kind: Pod, metadata: {name:"
        " p}}]\n"
    )
    assert lost(items, SERVICE % "shop") == ["Pod/p"]
