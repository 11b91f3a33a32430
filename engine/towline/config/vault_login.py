"""Pure.

The login for Vault that a step's settings choose, and whether the project may choose it.

A login by JWT or Kubernetes proves the identity of the build. Role, mount and namespace decide what
that identity may read. So a project may choose these as it may choose paths: if a pattern of
trusted layers allows it, or on the productive branch if trusted layers name none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from towline.config.metadata import AUTH_METHOD, AUTH_ROLE, VAULT_CREDENTIALS
from towline.config.settings import Settings
from towline.credential_hosts import (
    Credential,
    CredentialRefused,
    CredentialRules,
    Permission,
    allow_line,
    named_only_by,
    project_permission,
    warn_or_raise,
    why_project_ignored,
)
from towline.errors import ConfigError, CredentialError, Refusal
from towline.file_patterns import match_files
from towline.vault.logins import (
    APP_ROLE,
    JWT,
    JWT_FILE,
    JWT_VARIABLE,
    KUBERNETES,
    METHODS,
    PODS_FILE,
    TOKEN,
    VARIABLES,
    VaultLogin,
    app_role_halves,
    describe_sources,
    first_login,
)

NAMESPACE, PATHS, MOUNT, ROLES, AUDIENCE = (
    "vaultNamespace",
    "vaultPaths",
    "vaultAuthMount",
    "vaultAuthRoles",
    "vaultAuthAudience",
)
_WHY_RESERVED = (
    "the token of a service account opens its cluster as well, so only a trusted layer may name a"
    " host for it"
)


def choose_login(settings: Settings, available: Collection[str]) -> VaultLogin | None:
    """The login that the settings choose among `available` variables and files; None without one.

    Its `proof` is not set yet. Raises ConfigError for an invalid mount, and if the Kubernetes login
    has no role.
    """
    method, role = settings.text(AUTH_METHOD), settings.text(AUTH_ROLE)
    found = first_login(available, method=method, role=role)
    if found is None:
        return None
    if found.method == KUBERNETES and not role:
        raise ConfigError(
            f"the Kubernetes login for Vault needs {AUTH_ROLE}",
            where=settings.origin(AUTH_METHOD),
            hint=f"set {AUTH_ROLE} to the role in Vault",
        )
    return VaultLogin(
        method=found.method,
        source=found.source,
        origin=" and ".join(found.source),
        role=role if found.method in (JWT, KUBERNETES) else "",
        mount=clean_path(settings.text(MOUNT), settings.origin(MOUNT))
        or METHODS[found.method].mount,
        namespace=settings.text(NAMESPACE).strip("/"),
        pods=found.method == KUBERNETES or (JWT_FILE in found.source and PODS_FILE in available),
    )


def missing_login(settings: Settings, available: Collection[str]) -> str:
    """The reason why there is no login, for a note; empty if no part of a login is set.

    Raises CredentialError if the settings demand a login.
    """
    method = settings.text(AUTH_METHOD)
    if method:
        raise CredentialError(
            f"the login for Vault is missing ({AUTH_METHOD}: {method})",
            where=settings.origin(AUTH_METHOD),
            hint=(
                f"set {describe_sources(method)}{_ids(method)}; or set skipVault: true if the step"
                " gets its values elsewhere"
            ),
        )
    held, others = app_role_halves(available)
    return (
        f"Vault is not asked: {', '.join(held)} is set and {', '.join(others)} is not"
        if held
        else ""
    )


def _ids(method: str) -> str:
    ids = [entry for name, entry in VAULT_CREDENTIALS.items() if name in METHODS[method].sources[0]]
    return f", in Jenkins {' and '.join(ids)}" if ids else ""


def is_bindable(settings: Settings, available: Collection[str]) -> bool:
    """Whether Jenkins credentials may hold the login.

    They may if the settings want no other kind of login, and the `available` variables and files
    make none.
    """
    method = settings.text(AUTH_METHOD)
    return method in ("", TOKEN, APP_ROLE) and first_login(available, method=method) is None


def credential_of(login: VaultLogin, bound: Mapping[str, str]) -> Credential:
    """The login's description, with the names that `credentials` may have for it.

    `bound` are the variables that Jenkins credentials are bound to, with the ids of these.
    """
    ids = [bound[name] for name in login.source if name in bound]
    own = [name for name in login.source if name in VARIABLES] or [JWT_VARIABLE]
    return Credential(
        label=f"the login for Vault ({login.source[0]})",
        names=tuple(dict.fromkeys([*ids, *own, *VARIABLES])),
        reserved=_WHY_RESERVED if login.pods else "",
    )


def role_permission(
    rules: CredentialRules, settings: Settings, login: VaultLogin
) -> Permission | None:
    """The permission by which the project chooses a login's role, with mount and namespace.

    None if the project does not choose them. Raises CredentialError, ConfigError.
    """
    if login.method not in (JWT, KUBERNETES):
        return None
    chosen = [
        name
        for name in (AUTH_ROLE, MOUNT, NAMESPACE, AUTH_METHOD)
        if _own_choice(settings, name, login)
    ]
    if not chosen:
        return None
    role, origin, patterns = role_of(login), settings.origin(chosen[0]), settings.texts(ROLES)
    if any(match_files(pattern, [role]) for pattern in patterns):
        return Permission(by=f"{ROLES} of a trusted layer")
    named = [f"{name}: {text}" for name in chosen for text in settings.trusted_texts(name)]
    if (
        not patterns
        and not named
        and (permission := project_permission(rules, origin, f"Vault is to give the role {role}"))
    ):
        return permission
    others = (
        f"{ROLES} has {', '.join(patterns)}"
        if patterns
        else f"trusted layers have {', '.join(named)}"
        if named
        else ""
    )
    raise CredentialRefused(
        f"Vault is not asked for the role {role}, since {named_only_by('this role', origin)}",
        where=origin,
        why=others or why_project_ignored(rules),
        hint=f"allow it by {allow_line(ROLES, role, beside=patterns)}, or set skipVault",
        allow=(ROLES, role, ""),
    )


def _own_choice(settings: Settings, name: str, login: VaultLogin) -> bool:
    """Whether the project chose the value of a setting, an empty one too.

    It did not if a trusted layer has that value, or if it is the default and no trusted layer has
    another.
    """
    default = METHODS[login.method].mount if name == MOUNT else ""
    trusted_values = [_comparable(name, text) or default for text in settings.trusted_texts(name)]
    return (_comparable(name, settings.text(name)) or default) not in (trusted_values or [default])


def _comparable(name: str, text: str) -> str:
    return text.strip("/") if name in (MOUNT, NAMESPACE) else text


def namespace_permission(
    rules: CredentialRules, settings: Settings, login: VaultLogin, paths: Sequence[str]
) -> Permission | None:
    """The permission by which the project chooses the namespace of a token or an AppRole.

    `paths` are read in that namespace. None if the project does not choose it.

    The namespace is the beginning of each path, and a token may be valid in namespaces below its
    own. Raises CredentialError, ConfigError.
    """
    named, space = settings.trusted_texts(NAMESPACE), login.namespace
    if login.method in (JWT, KUBERNETES) or not _own_choice(settings, NAMESPACE, login):
        return None
    origin, patterns = settings.origin(NAMESPACE), settings.texts(PATHS)
    if (
        space
        and patterns
        and all(
            any(match_files(pattern, [f"{space}/{path}"]) for pattern in patterns) for path in paths
        )
    ):
        return Permission(by=f"{PATHS} of a trusted layer")
    if not named and (
        permission := project_permission(rules, origin, f"Vault is asked in namespace {space}")
    ):
        return permission
    why = f"trusted layers have {', '.join(named)}" if named else why_project_ignored(rules)
    if not space:
        raise Refusal(
            "Vault is not asked in its root namespace, since"
            f" {named_only_by('this namespace', origin)}: {why}",
            where=origin,
            hint=f"remove {NAMESPACE} there, or set skipVault",
        )
    return warn_or_raise(
        rules,
        CredentialRefused(
            f"Vault is not asked in namespace {space}, since"
            f" {named_only_by('this namespace', origin)}",
            where=origin,
            why=why,
            hint=(
                f"allow it by {allow_line(PATHS, f'{space}/**', beside=patterns)}, or set skipVault"
            ),
            allow=(PATHS, f"{space}/**", ""),
        ),
    )


def role_of(login: VaultLogin) -> str:
    """The role as patterns name it: `[namespace/]mount/role`."""
    return "/".join(filter(None, (login.namespace, login.mount, login.role or "default")))


def clean_path(path: str, origin: str) -> str:
    """The path without empty parts.

    Raises ConfigError for a path with `..`, or with characters that do not belong into a URL.
    """
    parts = [part for part in path.split("/") if part]
    if any(part in (".", "..") for part in parts) or not path.isprintable():
        raise ConfigError(
            f"{path!r} is not a path in Vault",
            where=origin,
            hint="write the path as Vault lists it, without . and ..",
        )
    return "/".join(parts)
