"""Pure.

Where a new secret id is stored in Jenkins, and whether the project may choose that.

One id may stand for a credential in every folder and domain of a Jenkins: another store of the same
host is another team's.
"""

from __future__ import annotations

from towline.addressees import Rules, Word, or_warn, project_word, why_unheard
from towline.config.settings import Settings
from towline.errors import Refusal

URL, DOMAIN = "jenkinsUrl", "jenkinsCredentialDomain"


def store_word(rules: Rules, settings: Settings) -> Word | None:
    """By whose word the project chooses folder or domain of the credential; None where it does not.

    Raises CredentialError.
    """
    chosen = next(
        (
            name
            for name in (URL, DOMAIN)
            if _whole(settings.text(name)) not in map(_whole, settings.trusted_texts(name))
        ),
        "",
    )
    if not chosen:
        return None
    origin, what = settings.origin(chosen), f"{chosen} {settings.text(chosen)}"
    if said := project_word(rules, origin, f"the new secret id is for the credential at {what}"):
        return said
    return or_warn(
        rules,
        Refusal(
            f"no secret id is written over the credential at {what}, which nothing names but"
            f" {origin}: {why_unheard(rules)}",
            where=origin,
            hint=(
                f"let the platform team name it: `steps: {{vaultRotateSecretId: {{{chosen}:"
                f" '{settings.text(chosen)}'}}}}` in its default documents (TOWLINE_DEFAULTS)"
            ),
        ),
    )


def _whole(text: str) -> str:
    return text.strip().rstrip("/")
