"""A source that refuses the referrers of one image and lists those of another."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import pytest

from tests.engine.registry.clients import Pair, job, put_list
from tests.fakes.images import ImageParts, make_image, make_index, missing, put, refer_to
from tests.fakes.registry import Answer, FakeRegistry
from tests.fakes.serve import Request
from towline.errors import CredentialError, RegistryError, TowlineError
from towline.record import replace
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import OPTIONAL, REQUIRED, CopyJob
from towline.registry.copy.referrers import referrers_tag

PAGE = Answer(
    status=200, headers={"Content-Type": "text/html"}, body=b"<html><title>Sign in</title></html>"
)
FORBIDDEN = Answer(status=403)
REFUSALS = [FORBIDDEN, Answer(status=405), PAGE]


class Images:
    """Two images of the source, each with an SBOM, in one repository or in two."""

    def __init__(self, source: FakeRegistry, target: FakeRegistry, *repositories: str) -> None:
        self._source, self._target = source, target
        self.repositories = repositories
        self.refused, self.listed = make_image(seed=1), make_image(seed=2)
        self.sboms = refer_to(self.refused), refer_to(self.listed)
        parts = (self.refused, self.listed)
        for number, image in enumerate(parts):
            put(image, source, repositories[number], f"{number}")
            put(self.sboms[number], source, repositories[number])
        source.referrers = True

    def jobs(self, mode: str) -> list[CopyJob]:
        return [
            replace(
                job(
                    self._source,
                    self._target,
                    f"{repository}:{number}",
                    f"team/{repository}:{number}",
                ),
                referrers=mode,
            )
            for number, repository in enumerate(self.repositories)
        ]


def refuse(
    source: FakeRegistry,
    image: ImageParts | None,
    answer: Answer,
    *,
    times: int = 99,
    order: Sequence[ImageParts] = (),
) -> None:
    """Answer so when asked for the referrers of `image`, or of any image.

    The question for the second image of `order` waits until that for the first is answered.
    """
    plain, answered, left = source.answer, Event(), iter(range(times))
    refused = f"/referrers/{image.digest}" if image else "/referrers/"

    def answer_now(request: Request) -> Answer:
        if order and request.path.endswith(f"/referrers/{order[1].digest}"):
            assert answered.wait(30)
        try:
            is_refused = refused in request.path and next(left, None) is not None
            return answer if is_refused else plain(request)
        finally:
            if order and request.path.endswith(f"/referrers/{order[0].digest}"):
                answered.set()

    source.answer = answer_now  # type: ignore[method-assign]


def copied(
    pair: Pair, jobs: Sequence[CopyJob], warnings: list[str], kind: type[TowlineError] | None
) -> list[int]:
    """The numbers of referrers that were copied; none if that ends with a fault of `kind`."""
    copying = pair.copying(warn=warnings.append)
    if kind is None:
        return [len(report.referrers) for report in copy_images(jobs, copying)]
    with pytest.raises(kind) as caught:
        copy_images(jobs, copying)
    warnings.append(f"{caught.value.message} {caught.value.where} {caught.value.hint}")
    return []


@pytest.mark.parametrize("refused_first", [True, False])
@pytest.mark.parametrize("repositories", [("app", "app"), ("app", "tool")])
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("swapped", [True, False])
def test_a_refusal_is_a_fault_if_the_list_of_another_image_is_given(
    source: FakeRegistry,
    target: FakeRegistry,
    pair: Pair,
    refusal: Answer,
    repositories: tuple[str, str],
    *,
    refused_first: bool,
    swapped: bool,
) -> None:
    images = Images(source, target, *repositories)
    order = (images.refused, images.listed)
    refuse(source, images.refused, refusal, order=order if refused_first else order[::-1])
    jobs = images.jobs(REQUIRED)
    warnings = list[str]()
    assert copied(pair, jobs[::-1] if swapped else jobs, warnings, RegistryError) == []
    [message] = warnings
    assert f"the referrers of {images.refused.digest}, and lists the referrers of others" in message
    assert str(pair.source.registry) in message
    assert [name for name, held in target.storage.items() if held.tags] == []
    warnings.clear()
    assert copied(pair, images.jobs(OPTIONAL), warnings, None) == [0, 1]
    [message] = warnings
    assert "stay behind, except those that a tag names: the source registry" in message
    assert "and lists the referrers of others" in message
    assert missing(images.sboms[1], target, f"team/{repositories[1]}") == ()


@pytest.mark.parametrize("mode", [OPTIONAL, REQUIRED])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_list_that_was_refused_once_is_asked_for_again(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, refusal: Answer, mode: str
) -> None:
    images = Images(source, target, "app", "tool")
    order = (images.refused, images.listed)
    refuse(source, images.refused, refusal, times=1, order=order)
    warnings = list[str]()
    assert (copied(pair, images.jobs(mode), warnings, None), warnings) == ([1, 1], [])
    assert missing(images.sboms[0], target, "team/app") == ()


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_judged_for_an_image_that_the_target_has_already(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, refusal: Answer
) -> None:
    images = Images(source, target, "app", "tool")
    jobs = [replace(each, digest=image) for each, image in _known(images)]
    put(images.refused, target, "team/app", "0")
    put(images.listed, target, "team/tool", "1")
    refuse(source, images.refused, refusal, order=(images.refused, images.listed))
    warnings = list[str]()
    assert copied(pair, jobs, warnings, RegistryError) == []
    assert "and lists the referrers of others" in warnings[0]


def _known(images: Images) -> list[tuple[CopyJob, str]]:
    digests = (images.refused.digest, images.listed.digest)
    return list(zip(images.jobs(REQUIRED), digests, strict=True))


@pytest.mark.parametrize("mode", [OPTIONAL, REQUIRED])
@pytest.mark.parametrize("refusal", [Answer(status=405), Answer(status=400), PAGE])
def test_if_all_are_refused_the_tags_are_enough(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, refusal: Answer, mode: str
) -> None:
    images = Images(source, target, "app", "app")
    put_list(source, images.refused, images.sboms[0])
    refuse(source, None, refusal)
    warnings = list[str]()
    assert (copied(pair, images.jobs(mode), warnings, None), warnings) == ([1, 0], [])


@pytest.mark.parametrize("cosign", [True, False])
def test_a_list_that_is_forbidden_and_under_no_tag_is_a_fault(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, cosign: bool
) -> None:
    """A cosign tag does not show that lists are missing: it exists beside them, too."""
    image, signature = make_index(), make_image(seed=7)
    put(image, source, "app", "1")
    if cosign:
        put(signature, source, "app", f"{referrers_tag(image.digest)}.sig")
    refuse(source, None, FORBIDDEN)
    wanted = job(source, target, "app:1", "team/app:1")
    warnings = list[str]()
    assert copied(pair, [replace(wanted, referrers=REQUIRED)], warnings, CredentialError) == []
    [message] = warnings
    assert "answers 403 when asked for the referrers of" in message
    assert "and no tag lists them" in message
    assert str(pair.source.registry) in message
    assert "give the login the right to read referrers" in message
    assert target.storage.get("team/app") is None
    warnings.clear()
    assert copied(pair, [replace(wanted, referrers=OPTIONAL)], warnings, None) == [cosign]
    assert ["and no tag lists them" in message for message in warnings] == [True]


@pytest.mark.parametrize("swapped", [True, False])
def test_a_tag_in_place_of_a_forbidden_list_says_that_there_is_no_api(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, swapped: bool
) -> None:
    images = Images(source, target, "app", "app")
    put_list(source, images.refused, images.sboms[0])
    order = (images.refused, images.listed)
    refuse(source, None, FORBIDDEN, order=order[::-1] if swapped else order)
    warnings = list[str]()
    assert (copied(pair, images.jobs(REQUIRED), warnings, None), warnings) == ([1, 0], [])


def test_a_tag_in_place_of_a_missing_list_says_nothing_of_one_that_is_forbidden(
    source: FakeRegistry, target: FakeRegistry, pair: Pair
) -> None:
    images = Images(source, target, "app", "tool")
    source.referrers = False
    put_list(source, images.listed, images.sboms[1], repository="tool")
    refuse(source, images.refused, FORBIDDEN)
    warnings = list[str]()
    assert copied(pair, images.jobs(REQUIRED), warnings, CredentialError) == []
    assert images.refused.digest in warnings[0]
