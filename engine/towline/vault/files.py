"""Secrets of Vault that are files: in memory where the machine allows it, for their owner alone, and gone when the block ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from towline.files import write_whole
from towline.private_folder import PrivateFolder


@contextlib.contextmanager
def secret_files(
    contents: Mapping[str, str], environ: Mapping[str, str]
) -> Iterator[Mapping[str, str]]:
    """The path of a file for each text, by the same name, that nobody else can read; gone when the block ends, however it does.

    Raises MachineError.
    """
    with contextlib.closing(PrivateFolder(environ, secret=True)) as folder:
        paths = {parameter: folder.path / parameter for parameter in contents}
        for parameter, path in paths.items():
            write_whole(path, contents[parameter].encode(), mode=0o600)
        yield {parameter: str(path) for parameter, path in paths.items()}
