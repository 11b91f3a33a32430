from __future__ import annotations

import pytest

from towline.errors import ConfigError, CredentialError
from towline.git.remote import parse_remote
from towline.secret import Login

LOGIN = Login(username="ann", password="s3cret-word", origin="PIPER_password")


@pytest.mark.parametrize(
    ("text", "url", "origin", "host"),
    [
        (
            "https://git.example.com/team/app.git",
            "https://git.example.com/team/app.git",
            "https://git.example.com",
            "git.example.com",
        ),
        (
            " HTTPS://Git.Example.com:8443/Team/App ",
            "https://git.example.com:8443/Team/App",
            "https://git.example.com:8443",
            "git.example.com:8443",
        ),
        (
            "http://127.0.0.1:81/a.git",
            "http://127.0.0.1:81/a.git",
            "http://127.0.0.1:81",
            "127.0.0.1:81",
        ),
        ("https://[::1]:81/a.git", "https://[::1]:81/a.git", "https://[::1]:81", "[::1]:81"),
        (
            "ssh://git@Git.example.com:2222/team/a.git",
            "ssh://git@git.example.com:2222/team/a.git",
            "ssh://git.example.com:2222",
            "git.example.com:2222",
        ),
        (
            "SSH://git.example.com/a.git",
            "ssh://git.example.com/a.git",
            "ssh://git.example.com",
            "git.example.com",
        ),
        (
            "git@Git.example.com:Team/a.git",
            "git@git.example.com:Team/a.git",
            "ssh://git.example.com",
            "git.example.com",
        ),
        (
            "git.example.com:a.git",
            "git.example.com:a.git",
            "ssh://git.example.com",
            "git.example.com",
        ),
        ("git@[::1]:a.git", "git@[::1]:a.git", "ssh://[::1]", "[::1]"),
    ],
)
def test_a_url_is_kept_with_its_host_in_lower_case(
    text: str, url: str, origin: str, host: str
) -> None:
    remote = parse_remote(text)
    assert (remote.url, remote.origin, remote.host) == (url, origin, host)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/srv/a.git", "local repository paths are not supported"),
        ("file:///srv/a.git", "git over file is not supported"),
        ("git://git.example.com/a.git", "git over git is not supported"),
        ("ext::sh -c id://x/a", "git over ext::sh -c id is not supported"),
        ("--upload-pack=id", "local repository paths are not supported"),
        ("ssh://-oProxyCommand=id/a.git", "is not the URL of a git repository"),
        ("ssh://-git@git.example.com/a.git", "is not the URL of a git repository"),
        ("-git@git.example.com:a.git", "local repository paths are not supported"),
        ("git@-oProxyCommand=id:a.git", "local repository paths are not supported"),
        ("git@git.example.com:/", "is not the address of a git repository"),
        ("git@git.example.com:a b", "is not the address of a git repository"),
        ("-x@git.example.com:a", "local repository paths are not supported"),
        ("https://git.example.com", "names a host, not a repository"),
        ("https://git.example.com/", "names a host, not a repository"),
        ("https:///a.git", "is not the URL of a git repository"),
        ("https://-x/a.git", "is not the URL of a git repository"),
        ("https://git.example.com/a b.git", "is not the URL of a git repository"),
        ("https://git.example.com/a.git?x=1", "is not the URL of a git repository"),
        ("https://git.example.com/a.git#x", "is not the URL of a git repository"),
        ("https://git.example.com/a\nb.git", "is not the URL of a git repository"),
        ("https://git.example.com:port/a.git", "is not the URL of a git repository"),
        ("https://[::1/a.git", "is not the URL of a git repository"),
        ("", "local repository paths are not supported"),
    ],
)
def test_what_is_no_http_repository_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_remote(text)
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["github.com/team/a.git", "Git.example.com/team/a"])
def test_a_url_without_its_beginning_is_told_which(text: str) -> None:
    with pytest.raises(ConfigError, match="does not say how to reach the repository") as caught:
        parse_remote(text)
    assert caught.value.hint.startswith(f"did you mean https://{text}? ")


@pytest.mark.parametrize(
    "text",
    [
        "https://ann:s3cret-word@git.example.com/a.git",
        "ssh://ann:s3cret-word@host/a",
        "https://s3cret-word@[::1/a.git",
    ],
)
def test_user_info_in_the_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_remote(text)
    assert "must not hold a user or a password" in caught.value.message
    assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value.where}"


@pytest.mark.parametrize(
    "text",
    [
        "https://git.example.com/a.git?token=s3cret-word",
        "https://[::1/a.git?private_token=s3cret-word#x",
    ],
)
def test_a_token_in_the_url_s_query_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_remote(text)
    assert "?...' is not the URL of a git repository" in caught.value.message
    assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value.where}"


def test_a_password_goes_over_plain_http_to_this_machine_only_or_where_it_is_allowed() -> None:
    with pytest.raises(CredentialError) as caught:
        parse_remote("http://git.example.com/a.git", login=LOGIN)
    assert "allowPlainHttp" in caught.value.hint
    assert parse_remote("http://git.example.com/a.git").login is None
    assert parse_remote("http://localhost:8080/a.git", login=LOGIN).login == LOGIN
    assert (
        parse_remote("http://git.example.com/a.git", login=LOGIN, allow_plain_http=True).login
        == LOGIN
    )


@pytest.mark.parametrize("password", ["s3cret\n", "s3cret\r\nhost=evil.example", "s3\0cret"])
def test_a_login_with_a_line_break_is_refused_by_its_origin(password: str) -> None:
    with pytest.raises(CredentialError) as caught:
        parse_remote(
            "https://git.example.com/a.git",
            login=Login(username="ann", password=password, origin="Vault path team/git"),
        )
    assert "Vault path team/git" in caught.value.hint
    assert "s3" not in str(caught.value)


def test_a_remote_shown_as_a_whole_hides_the_password() -> None:
    assert "s3cret" not in repr(parse_remote("https://git.example.com/a.git", login=LOGIN))


@pytest.mark.parametrize(
    "text", ["git://git.example.com/r", "/srv/git/r.git", "file:///srv/git/r.git"]
)
def test_what_is_no_address_says_that_a_server_on_this_machine_needs_no_tls(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_remote(text)
    assert "http://127.0.0.1:port/path" in caught.value.hint
    assert parse_remote("http://127.0.0.1:3000/me/r.git").url == "http://127.0.0.1:3000/me/r.git"
