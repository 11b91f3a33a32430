from __future__ import annotations

from collections.abc import Iterator

from towline.gitops.commit_message import compose_message
from towline.gitops.deployment_history import BranchHistory
from towline.gitops.provenance import Provenance

OURS = Provenance(deployment="shop", stage="Release", images=("r.io/new:2",))


def message(deployment: str, *images: str, stage: str = "Release") -> str:
    return compose_message("Updated", Provenance(deployment=deployment, stage=stage, images=images))


def test_the_last_deployment_of_the_same_is_found_and_no_commit_further_is_read() -> None:
    def history() -> Iterator[tuple[str, str]]:
        yield "1", "a commit of people"
        yield "2", message("other", "r.io/other:1")
        yield "3", message("shop", "r.io/shop:1", stage="Acceptance")
        yield "4", message("cart, shop", "r.io/shop:2", "r.io/cart:2")
        raise AssertionError

    past = BranchHistory()
    past.learn(history, OURS)
    assert past.images() == ("r.io/shop:2", "r.io/cart:2")


def test_nothing_is_known_before_and_without_a_deployment() -> None:
    past = BranchHistory()
    assert past.images() == ()
    past.learn(lambda: [("1", "a commit")], OURS)
    assert past.images() == ()
