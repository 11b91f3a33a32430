"""A renderer process that becomes another program, which inherits its limits."""

from __future__ import annotations

import os

from towline.gitops.render.child import RendererFault, read_request, report_fault

FILE_SIZE = 64 * 1024 * 1024


def main() -> None:
    """Run `command` (absolute path and arguments) of the request in place of this process."""
    command = read_request(file_size=FILE_SIZE)["command"]
    try:
        os.execv(command[0], command)  # noqa: S606 - an argument list, no shell
    except OSError as fault:
        report_fault(
            RendererFault(
                f"cannot start {command[0]}: {fault.strerror}",
                hint="name a program that this machine can run",
                machine=True,
            )
        )


if __name__ == "__main__":
    main()
