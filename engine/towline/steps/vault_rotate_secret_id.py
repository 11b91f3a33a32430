"""vaultRotateSecretId: renew the secret id of the build's AppRole before it expires.

The new id is stored in the credential that builds read. A valid id exists at every moment: the new
id is made, logs in, and is stored; the old id is left to expire, since running builds have it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from towline import deadline
from towline.config.credential_rules import DOMAIN, URL, host_source, password_of, store_permission
from towline.config.settings import Settings
from towline.config.vault_login import MOUNT, clean_path, credential_of
from towline.config.vault_lookup import server_address, server_source, vault_server
from towline.contract import SUCCESS, UNCHANGED, Outcome
from towline.errors import ConfigError, CredentialError, MachineError, TowlineError, placed
from towline.hosting.jenkins import (
    CredentialAddress,
    CredentialStore,
    UpdateUnconfirmed,
    jenkins_place,
)
from towline.http.client import Transport
from towline.http.connection import Network
from towline.http.proxy import Proxies
from towline.http.tls import Tls
from towline.image import is_loopback
from towline.record import replace
from towline.secret import Login
from towline.steps.host_access import authorities
from towline.steps.task import Task
from towline.vault.logins import APP_ROLE, METHODS, ROLE_ID, SECRET_ID, VaultLogin
from towline.vault.secret_ids import SecretId, SecretIds
from towline.vault.session import VaultAccess

_ID = "vaultAppRoleSecretTokenCredentialsId"
_SECONDS = 600.0
_SHOWN = "%Y-%m-%d %H:%M UTC"


def run(task: Task) -> Outcome:
    """Ask Vault how long the secret id lives, and renew it if it expires soon."""
    deadline.begin(_SECONDS, _late)
    slot, login = _slot(task.settings), _login(task)
    with _vault(task, login) as access:
        ids = SecretIds(access)
        current = ids.lookup(login.proof())
        if not _due(task, current):
            _look_ahead(task, slot)
            return Outcome(
                status=UNCHANGED,
                summary=f"the secret id of the AppRole {current.role} {_life(current)}",
                outputs=_outputs(slot, current),
            )
        with _transport(task) as transport:
            store = _store(task, slot, transport)  # before there is anything to store
            if task.dry_run:
                return Outcome(
                    status=SUCCESS,
                    summary=(
                        f"the secret id of the AppRole {current.role}, which {_life(current)},"
                        " would be renewed"
                    ),
                    outputs=_outputs(slot, current),
                )
            return _renew(
                task, ids, current, store, replace(login, origin="the new secret id", fresh=True)
            )


def leaves(task: Task) -> bool:
    """Return whether the step writes into the pipeline environment: never."""
    del task
    return False


def _late() -> TowlineError:
    return MachineError(
        f"renewing the secret id took longer than {_SECONDS:.0f} seconds",
        hint="see whether Vault or Jenkins is slow, and run the step again",
    )


def _look_ahead(task: Task, slot: CredentialAddress) -> None:
    """Warn if Jenkins would not accept a new id today: on the due day it may be too late."""
    try:
        with _transport(task) as transport:
            _store(task, slot, transport)
    except (CredentialError, ConfigError) as fault:
        task.console.warn_of(
            fault,
            f"the secret id is not due yet, but could not be renewed: {fault.message};"
            f" {fault.hint}",
        )


def _transport(task: Task) -> Transport:
    return Transport(read=30, network=_network(task), hide=task.console.hide)


def _store(task: Task, slot: CredentialAddress, transport: Transport) -> CredentialStore:
    """Return Jenkins' store, which shows the credential to this user.

    Raises CredentialError and ConfigError.
    """
    store = CredentialStore(slot, _jenkins_login(task, slot), transport)
    store.check()
    return store


def _renew(
    task: Task, ids: SecretIds, current: SecretId, store: CredentialStore, login: VaultLogin
) -> Outcome:
    """Make a new secret id and store it.

    If Jenkins has not certainly accepted it, it is destroyed again, and the old one stays in use.
    """
    fresh = ids.generate(current)
    task.console.hide(fresh.secret)
    try:
        made = _proven(task, replace(login, proof=lambda: fresh.secret))
        store.put(fresh.secret)
    except BaseException as fault:
        if store.may_hold:
            if isinstance(fault, UpdateUnconfirmed):
                fault.hint = (
                    "both secret ids, the old and the new, are valid: whichever Jenkins has"
                    " logs in; run the step again"
                )
        else:
            _end(task, ids, current.role, fresh.accessor)
        raise
    task.console.say(
        f"the old secret id is left as it is, for builds that have it now: it {_life(current)}"
    )
    where = f"the credential {store.slot.id!r} of Jenkins at {store.host}"
    return Outcome(
        status=SUCCESS,
        outputs=_outputs(store.slot, made, renewed=True),
        summary=(
            f"the secret id of the AppRole {current.role} was renewed and stored in {where}; it"
            f" {_life(made)}"
        ),
    )


def _proven(task: Task, login: VaultLogin) -> SecretId:
    """Return Vault's answer about the new secret id, after a login with this id."""
    with _vault(task, login) as access:
        return SecretIds(access).lookup(login.proof())


def _vault(task: Task, login: VaultLogin) -> VaultAccess:
    server = vault_server(task.settings).url
    return VaultAccess(server, login, console=task.console, network=_network(task))


def _network(task: Task) -> Network:
    """Return how Vault and Jenkins are reached: through the proxies of the environment."""
    return Network(proxies=Proxies(task.environ), tls=Tls(authorities(task)))


def _end(task: Task, ids: SecretIds, role: str, accessor: str) -> None:
    try:
        ids.destroy(role, accessor)
    except CredentialError as fault:
        task.console.warn(
            "the new secret id, which is stored nowhere, could not be destroyed and expires by"
            f" itself (accessor {accessor}): {fault.message}; {fault.hint}"
        )


# ---- when


def _due(task: Task, current: SecretId) -> bool:
    """Return whether it is time: the given number of days before the end.

    An id whose whole life is shorter is due from half of its life on; else each run would make a
    new id.
    """
    if current.ends is None:
        return False
    whole, before = (
        current.ends - current.made,
        timedelta(days=task.settings.number("daysBeforeExpiry")),
    )
    if whole <= before:
        task.console.note(
            f"secret ids of the AppRole {current.role} live {_days(whole)}, not longer than"
            " daysBeforeExpiry: they are renewed at half of that"
        )
        before = whole / 2
    return current.ends - _now() < before


def _life(current: SecretId) -> str:
    if current.ends is None:
        return "does not expire"
    day = current.ends.astimezone(UTC).strftime(_SHOWN)
    return f"expires on {day}, in {_days(current.ends - _now())}"


def _days(time: timedelta) -> str:
    minutes = max(0, round(time.total_seconds() / 60))
    number, unit = (
        (minutes, "minute")
        if minutes < 120
        else (round(minutes / 60), "hour")
        if minutes < 2880
        else (round(minutes / 1440), "day")
    )
    return f"{number} {unit}{'s' * (number != 1)}"


def _now() -> datetime:
    return datetime.now(UTC)


def _outputs(
    slot: CredentialAddress, current: SecretId, *, renewed: bool = False
) -> dict[str, object]:
    return {
        "renewed": renewed,
        "expires": current.ends.astimezone(UTC).isoformat() if current.ends else "",
        "credentialsId": slot.id,
    }


# ---- who, and where


def _login(task: Task) -> VaultLogin:
    """Return the AppRole's login for the server; raises CredentialError, ConfigError."""
    settings = task.settings
    secret = settings.text("vaultAppRoleSecretID").strip()
    login = VaultLogin(
        method=APP_ROLE,
        source=(ROLE_ID, SECRET_ID),
        origin=f"{ROLE_ID} and {SECRET_ID}",
        role=settings.text("vaultAppRoleID").strip(),
        proof=lambda: secret,
        mount=clean_path(settings.text(MOUNT), settings.origin(MOUNT)) or METHODS[APP_ROLE].mount,
        namespace=vault_server(settings).namespace,
    )
    bound = {
        variable: credential
        for variable, name in ((ROLE_ID, "vaultAppRoleID"), (SECRET_ID, "vaultAppRoleSecretID"))
        if (credential := settings.bound(name))
    }
    task.addressees.admit(
        credential_of(login, bound), server_address(vault_server(settings)), server_source(settings)
    )
    if bound.get(SECRET_ID) != settings.text(_ID):  # else the id of the credential that is renewed
        task.addressees.admit_id(
            settings.text(_ID), settings.origin(_ID), trusted=settings.trusted_texts(_ID)
        )
    if permission := store_permission(task.addressees.rules, settings):
        task.addressees.tell(permission)
    return login


def _slot(settings: Settings) -> CredentialAddress:
    """Return the credential in Jenkins; raises ConfigError."""
    store, url = settings.text("secretStore"), settings.text(URL).strip()
    if store != "jenkins":
        raise ConfigError(
            f"Towline does not store a secret id in {store!r}",
            where=settings.origin("secretStore"),
            hint=(
                "set secretStore: jenkins; other CI systems log in by tokens of their own"
                " (vaultAuthMethod: jwt), which need no renewal"
            ),
        )
    with placed(settings.origin(URL)):
        jenkins_place(url)
    for name in (_ID, DOMAIN):
        if settings.text(name) in (".", ".."):
            raise ConfigError(f"{name} must be a name, not a path", where=settings.origin(name))
    return CredentialAddress(url=url, domain=settings.text(DOMAIN), id=settings.text(_ID))


def _jenkins_login(task: Task, slot: CredentialAddress) -> Login:
    """Return the user of Jenkins, whose login may go there; raises CredentialError."""
    settings, place = task.settings, jenkins_place(slot.url)
    if (
        place.scheme == "http"
        and not is_loopback(place.host)
        and not settings.flag("allowPlainHttp")
    ):
        raise CredentialError(
            "the login for Jenkins, and the new secret id, would go over plain http to"
            f" {place.host}",
            where=settings.origin(URL),
            hint="use https, or set allowPlainHttp if the platform team trusts that network",
        )
    task.addressees.admit(
        password_of(settings, "jenkinsUsername", "jenkinsToken"),
        place,
        host_source(settings, URL, jenkins_place),
    )
    return Login(
        username=settings.text("jenkinsUsername"),
        password=settings.text("jenkinsToken"),
        origin=settings.origin("jenkinsToken"),
    )
