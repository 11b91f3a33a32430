"""A real OpenSSH server on loopback whose keys may only run git.

`missing()` says whether the machine has one.
"""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

from tests.fakes.child import ChildServer
from tests.fakes.rsa_keys import rsa_key

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
UsePAM no
StrictModes no
PermitRootLogin forced-commands-only
PasswordAuthentication no
KbdInteractiveAuthentication no
{more}
"""


def _program() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def missing() -> str:
    """Why no server can be started here; empty if one can."""
    if not _program() or not shutil.which("ssh") or not shutil.which("git-shell"):
        return "no sshd, ssh or git-shell here: install openssh-server"
    return _account() if os.geteuid() else _separation()


def _account() -> str:
    """Why sshd would refuse this user, the only one that it could let in."""
    try:
        shell = pwd.getpwuid(os.geteuid()).pw_shell
    except KeyError:
        return "OpenSSH does not work for a user without a name"
    return "sshd lets no locked account in" if shell.endswith(("/nologin", "/false")) else ""


def _separation() -> str:
    """The folder to which sshd confines itself if root starts it."""
    try:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    except OSError as fault:
        return f"sshd needs /run/sshd: {fault.strerror}"
    return ""


def make_key(path: Path, *, passphrase: str = "", kind: str = "ed25519", form: str = "") -> str:
    """A private key at `path`, its public half beside it; gives its text.

    `form` is that of `ssh-keygen -m`. The key is new, unless it is an RSA key.
    """
    words = ["ssh-keygen", "-q", "-N", passphrase, "-f", str(path), *(["-m", form] if form else [])]
    if kind == "rsa":
        path.touch(mode=0o600)
        path.write_text(rsa_key().private)
        words += ["-p", "-P", ""]
        path.with_name(f"{path.name}.pub").write_text(_public(path))
    else:
        words += ["-t", kind, "-C", "test"]
    subprocess.run(words, check=True, capture_output=True)
    return path.read_text()


def _public(path: Path) -> str:
    return subprocess.run(
        ["ssh-keygen", "-y", "-f", str(path)], check=True, capture_output=True, text=True
    ).stdout


class SshServer(ChildServer):
    """Serves any repository of this machine to the owner of `private`, under this user's name;
    protocol 2 only with `modern`.
    """

    def __init__(self, folder: Path, *, modern: bool = True) -> None:
        super().__init__(folder)
        folder.mkdir(parents=True)
        self.private = make_key(folder / "client")
        self.user = getpass.getuser()
        make_key(folder / "host")
        shell = f'command="{shutil.which("git-shell")} -c \\"$SSH_ORIGINAL_COMMAND\\"",restrict'
        (folder / "authorized").write_text(f"{shell} {(folder / 'client.pub').read_text()}")
        self._more = "AcceptEnv GIT_PROTOCOL" if modern else ""

    def launch(self) -> subprocess.Popen[bytes]:
        """Start sshd in the foreground."""
        config, program = self.folder / "config", _program()
        config.write_text(_CONFIG.format(port=self.port, folder=self.folder, more=self._more))
        assert program
        return self.spawn(
            program, "-D", "-e", "-f", str(config), environment=dict(os.environ), cwd=Path("/")
        )

    def answers(self) -> bool:
        """Whether it accepts connections."""
        with socket.create_connection(("127.0.0.1", self.port), 5):
            return True

    @property
    def known_hosts(self) -> str:
        """The line by which a client knows this server."""
        kind, key, *_ = (self.folder / "host.pub").read_text().split()
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def url(self, repository: Path) -> str:
        """The address of a bare repository."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository}"
