from __future__ import annotations

import pytest

from towline.config.documents import default_hosts, parse_document
from towline.errors import ConfigError

ONE = parse_document("general: {defaultHosts: [one.corp, '*.two.corp:8443']}", "one", trusted=True)
NONE = parse_document("general: {defaultHosts: []}", "none", trusted=True)
OTHER = parse_document("general: {a: b}", "other", trusted=True)
PROJECT = parse_document("general: {defaultHosts: [project.corp]}", "project", trusted=False)
HOSTS = ("one.corp", "*.two.corp:8443")


def test_the_last_trusted_word_counts_and_the_agents_variable_over_all() -> None:
    assert (
        default_hosts([], {})
        == default_hosts([PROJECT], {})
        == default_hosts([ONE, NONE], {})
        == ()
    )
    assert default_hosts([ONE, OTHER, PROJECT], {}) == HOSTS
    for text in ("a.corp,b.corp:8443", '["a.corp", "b.corp:8443"]'):
        assert default_hosts([ONE], {"PIPER_defaultHosts": text}) == ("a.corp", "b.corp:8443")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("one.corp", "must be a list"),
        ("[1]", "must be a list"),
        ("['https://x/']", "not a valid host pattern"),
    ],
)
def test_what_names_no_host_is_an_error_at_its_place(value: str, what: str) -> None:
    team = parse_document(f"general:\n  defaultHosts: {value}\n", "team", trusted=True)
    with pytest.raises(ConfigError, match=what) as caught:
        default_hosts([team], {})
    assert (caught.value.where, bool(caught.value.hint)) == ("team:2", True)
    with pytest.raises(ConfigError) as caught:
        default_hosts([], {"PIPER_defaultHosts": "https://x/"})
    assert caught.value.where == "PIPER_defaultHosts"
