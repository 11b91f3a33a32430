from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

LIMITS = {"seconds": 20, "memory": 512 * 1024 * 1024, "output": 1000}


def serve(
    body: str, *, limits: dict[str, int] | None = None, **request: object
) -> subprocess.CompletedProcess[bytes]:
    """A process that answers one request with the function `render(request)` of `body`."""
    program = (
        "import os, resource, sys\nfrom towline.gitops.render.child import RendererFault,"
        f" read_request, serve_request\n{body}\nserve_request(render)"
    )
    text = json.dumps({**request, "limits": {**LIMITS, **(limits or {})}}).encode()
    return subprocess.run(
        [sys.executable, "-c", program], input=text, capture_output=True, check=False
    )


def test_a_rendered_text_is_the_output_and_nothing_else() -> None:
    ended = serve("def render(request): return request['text']", text="a: ä\n")
    assert (ended.returncode, ended.stdout.decode()) == (0, "a: ä\n")


def test_a_fault_ends_with_its_own_code_and_as_json() -> None:
    ended = serve("def render(request): raise RendererFault('broken', where='x:1', hint='mend it')")
    assert ended.returncode == 3
    assert json.loads(ended.stdout) == {
        "message": "broken",
        "where": "x:1",
        "hint": "mend it",
        "machine": False,
    }


def test_every_limit_is_set_before_anything_is_rendered() -> None:
    names = ["CPU", "DATA", "FSIZE", "CORE"]
    ended = serve(
        "def render(request): return repr([resource.getrlimit(getattr(resource, 'RLIMIT_' + name))"
        f" for name in {names}])"
    )
    assert ended.stdout.decode() == "[(20, 21), (536870912, 536870912), (0, 0), (0, 0)]"


def test_a_limit_that_is_lower_already_stays() -> None:
    lowered = "resource.setrlimit(resource.RLIMIT_CPU, (7, 7))\n"
    ended = serve(
        f"{lowered}def render(request): return repr(resource.getrlimit(resource.RLIMIT_CPU))"
    )
    assert ended.stdout.decode() == "(7, 7)"


def test_too_much_memory_is_a_fault() -> None:
    ended = serve("def render(request): return 'x' * 2**30")
    assert ended.returncode == 3
    assert "memory" in json.loads(ended.stdout)["message"]


def test_too_much_cpu_time_ends_the_process() -> None:
    ended = serve("def render(request):\n    while True: pass", limits={"seconds": 1})
    assert ended.returncode == -signal.SIGXCPU


def test_no_file_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    ended = serve(
        "def render(request):\n    with open(request['path'], 'wb', buffering=0) as file:"
        " file.write(b'x')",
        path=str(path),
    )
    assert b"File too large" in ended.stderr
    assert path.read_bytes() == b""


def test_too_large_a_result_is_a_fault_counted_in_bytes() -> None:
    assert serve("def render(request): return 'ä' * 500").returncode == 0
    ended = serve("def render(request): return 'ä' * 501")
    assert ended.returncode == 3
    assert json.loads(ended.stdout)["message"] == "the result is larger than 1000 bytes"


def test_half_a_surrogate_pair_is_a_fault() -> None:
    ended = serve("def render(request): return 'ab' + chr(0xd800)")
    assert "character 2" in json.loads(ended.stdout)["message"]
