"""Pure.

Why a registry says no, by its own words: a 403 is the login's fault, or a quota's, a scanner's, a
rule's (Harbor, Artifactory, ACR, DigitalOcean).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Reason:
    """What stands behind a refusal, in words, and what to do next; an empty `what` is the login."""

    words: str
    what: str = ""
    hint: str = ""


LOGIN = Reason(
    words=(
        r"authori[sz]|authenticat|permission|privilege|credential|\blog"
        r" ?in\b|password|\btoken\b|scope"
        r"|access (?:to the resource )?(?:is )?denied|\baccount\b"
    )
)
# the first whose words are there counts: an account that may not do something is often told with
# the policy that says so
_REASONS = (
    Reason(
        words=r"rate.?limit|too ?many ?requests",
        what="the registry's limit of requests is reached",
        hint="wait until it serves again, or log in with an account that may ask more often",
    ),
    Reason(
        words=(
            r"quota|limit is \d|upper limit|limit (?:has been |was )?(?:reached|exceeded)|exceed\w*"
            r" .{0,80}limit|not enough (?:free )?(?:space|storage)"
            r"|storage .{0,40}(?:exceed|full)|payment|billing|subscription"
        ),
        what="a limit of the registry is reached",
        hint=(
            "it is not the login: have images deleted there, or the quota raised, then run it again"
        ),
    ),
    Reason(
        words=r"read.?only mode|maintenance|archived",
        what="the registry takes nothing at present",
        hint="it is not the login: ask those who run the registry when it does, then run it again",
    ),
    Reason(
        words=r"vulnerab|\bscan|\bxray\b|quarantin|malware|\bCVE\b|not signed|unsigned",
        what="a check of the registry holds the image back",
        hint=(
            "it is not the login: see the registry's report on the image, and have it scanned,"
            " corrected or excepted there"
        ),
    ),
    LOGIN,
    Reason(
        words=r"\bIP\b|firewall|network rule|public (?:network )?access",
        what="the registry does not serve this machine's network",
        hint="it is not the login: have the agent's address allowed there",
    ),
    Reason(
        words=r"polic(?:y|ies)|immutable|disallowed|blocked",
        what="a rule of the registry forbids it",
        hint="it is not the login: show this message to those who run the registry",
    ),
    Reason(
        words=r"(?:not|n't) (?:be )?support|unsupported|MANIFEST_INVALID",
        what="the registry does not support it",
        hint=(
            "it is not the login: ask those who run the registry what kinds of content it takes; "
            "what refers to an image may stay behind where copyReferrers is left out"
        ),
    ),
)
# what registries use for it; 401 is always the login
_DECIDED = frozenset({400, 402, 403, 405, 409, 412, 423, 429, 451})


def reason(status: int, text: str) -> Reason | None:
    """What stands behind an answer, as far as its words say so; None where it is of another kind, or says nothing."""
    if status == 401:
        return LOGIN
    found = (
        next((one for one in _REASONS if re.search(one.words, text, re.IGNORECASE)), None)
        if status in _DECIDED and text
        else None
    )
    if status == 403:
        return found or LOGIN
    return None if found is LOGIN else found
