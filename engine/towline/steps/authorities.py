"""Whom a step trusts beside the machine's own authorities."""

from __future__ import annotations

from towline import dispatch
from towline.steps.task import Task


def authorities(task: Task) -> str:
    """The certificates of `customTlsCertificateLinks` as PEM, empty where there are none; warns of those that come over plain http; raises ConfigError."""
    links, where = task.settings.texts("customTlsCertificateLinks"), task.settings.origin("customTlsCertificateLinks")
    if not links:
        return ""
    certificates = dispatch.part("certificates")
    for link in certificates.plain_links(links):
        task.console.warn(f"the certificate at {link} comes over plain http, where it can be exchanged on the way ({where})")
    text: str = certificates.read_certificates(links, folder=task.folder, where=where, environ=task.environ, guarded=task.project)
    return text


def bundle(task: Task) -> bytes:
    """The machine's authorities and those of `authorities`, for a program that takes one list only; empty where its own choice does."""
    extra = authorities(task)
    if not extra:
        return b""
    named = task.environ.get("GIT_SSL_CAINFO") or task.environ.get("SSL_CERT_FILE", "")
    whole: bytes = dispatch.part("certificates").bundle(extra, {**task.environ, "SSL_CERT_FILE": named})
    return whole
