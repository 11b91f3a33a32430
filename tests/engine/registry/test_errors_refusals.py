from __future__ import annotations

import pytest

from towline.registry.errors import LOGIN_REFUSED, refusal_reason

WORDS = {
    "a limit of the registry is reached": [
        (
            "DENIED: adding 10.0 MiB of storage resource, which when updated to current usage of 0"
            " B will exceed the configured upper limit of 5 MiB."
        ),
        "DENIED: Quota exceeded when processing the request",
        "DENIED: registry contains 1 repositories, limit is 1",
        "DENIED: Quota has been exceeded on namespace",
        "You are not authorized to exceed the quota",
        "payment required",
        "storage limit exceeded",
    ],
    "the registry's limit of requests is reached": [
        (
            "TOOMANYREQUESTS: You have reached your pull rate limit. You may increase the limit by"
            " upgrading"
        )
    ],
    "the registry takes nothing at present": [
        "DENIED: Upload/Delete is prohibited in read only mode.",
        "the repository is archived",
    ],
    "a check of the registry holds the image back": [
        (
            "PROJECTPOLICYVIOLATION: current image with 4 vulnerabilities cannot be pulled due to"
            " configured policy in 'Prevent images with severity'"
        ),
        (
            "Artifact download request rejected: app was not downloaded due to the download"
            " blocking policy configured in Xray"
        ),
        "REQUESTED ITEM IS QUARANTINED",
        "PROJECTPOLICYVIOLATION: The image is not signed in Cosign.",
    ],
    "the registry does not serve this machine's network": [
        "DENIED: client with IP '203.0.113.7' is not allowed access. Refer to its firewall rules"
    ],
    "a rule of the registry forbids it": [
        "DENIED: The operation is disallowed on this registry, repository or image",
        "DENIED: blocked by policy 42",
        "PRECONDITION: Failed to process request due to 'app:1' configured as immutable.",
        "DENIED: by policy, this media type is not supported",
    ],
    "the registry does not support it": [
        "MANIFEST_INVALID: artifact not supported",
        "UNSUPPORTED: The operation is unsupported.",
        "DENIED: clients don't support artifacts of this type",
        "MANIFEST_INVALID: manifest invalid",
    ],
}


@pytest.mark.parametrize(
    ("what", "words"), [(what, text) for what, texts in WORDS.items() for text in texts]
)
@pytest.mark.parametrize("status", [403, 412])
def test_what_registries_say_is_no_login(what: str, words: str, status: int) -> None:
    found = refusal_reason(status, words)
    assert found is not None
    assert found.cause == what
    assert found.hint


@pytest.mark.parametrize(
    "words",
    [
        "",
        "DENIED: requested access to the resource is denied",
        "DENIED: ",
        "denied: permission_denied: write_package",
        "a web page, '403 Forbidden'",
        (
            "User: arn:aws:iam::1:user/x is not authorized to perform: ecr:InitiateLayerUpload"
            " because no identity-based policy allows the action"
        ),
        "denied: Your authorization token has expired. Reauthenticate and try again.",
        "DENIED: installation not allowed to Create organization package",
        'DENIED: Permission "artifactregistry.repositories.uploadArtifacts" denied on resource',
        "your account has been blocked",
        "UNAUTHORIZED: authentication with a token is not supported",
    ],
)
def test_everything_else_that_is_forbidden_is_the_login(words: str) -> None:
    assert refusal_reason(403, words) is LOGIN_REFUSED
    assert refusal_reason(412, words) is None


def test_a_login_that_is_asked_for_is_one_whatever_is_said() -> None:
    assert refusal_reason(401, "quota exceeded") is LOGIN_REFUSED


@pytest.mark.parametrize("status", [404, 413, 416, 500, 503])
def test_an_answer_of_another_kind_is_no_refusal(status: int) -> None:
    assert refusal_reason(status, "quota exceeded") is None
