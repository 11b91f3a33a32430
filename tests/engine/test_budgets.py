"""The sizes, directions and habits that keep the engine readable (CONTRIBUTING.md, "Budgets")."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "engine" / "towline"
MODULES = {path: ast.parse(path.read_text()) for path in sorted(ENGINE.rglob("*.py"))}
NAMES = {
    path: (
        ".".join(["towline", *path.relative_to(ENGINE).with_suffix("").parts]).removesuffix(
            ".__init__"
        )
    )
    for path in MODULES
}
HEAVY = {
    "dataclasses",
    "inspect",
    "jinja2",
    "logging",
    "helm_python",
    "hvac",
    "git",
    "docker",
    "requests",
    "ssl",
    "jwt",
    "cryptography",
}
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, _FUNCTION):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    size = (node.end_lineno or node.lineno) - node.lineno + 1
    return size - documented_lines(node)


def documented_lines(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> int:
    if ast.get_docstring(node) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


def code_lines(path: Path) -> int:
    documented: set[int] = set()
    for node in ast.walk(MODULES[path]):
        if isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTION)) and documented_lines(node):
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(path.read_text().splitlines(), start=1)
    return sum(
        1
        for number, line in lines
        if number not in documented and line.strip() and not line.strip().startswith("#")
    )


def imported(path: Path) -> set[str]:
    """Dotted names that a module imports at its top, of the engine and of others."""
    found: set[str] = set()
    for node in MODULES[path].body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(
                {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
            )
    return found


def test_no_function_is_longer_than_sixty_lines_and_most_are_short() -> None:
    sizes = {name: body_lines(node) for name, node in functions()}
    assert {name: size for name, size in sizes.items() if size > 60 and "parser" not in name} == {}
    ordered = sorted(sizes.values())
    assert statistics.median(ordered) <= 12
    assert ordered[int(len(ordered) * 0.9)] <= 30


def test_no_module_has_more_than_four_hundred_code_lines() -> None:
    assert {str(path): code_lines(path) for path in MODULES if code_lines(path) > 400} == {}


def test_no_function_takes_more_than_five_parameters_and_beyond_two_they_are_named() -> None:
    crowded = []
    for name, node in functions():
        positional = [
            arg.arg
            for arg in (*node.args.posonlyargs, *node.args.args)
            if arg.arg not in ("self", "cls")
        ]
        if len(positional) + len(node.args.kwonlyargs) > 5:
            crowded.append(name)
    assert crowded == []


def test_imports_stand_at_the_top_of_their_module() -> None:
    inside = [
        f"{name}:{child.lineno}"
        for name, node in functions()
        for child in ast.walk(node)
        if isinstance(child, (ast.Import, ast.ImportFrom))
    ]
    assert inside == []


def test_classes_of_fields_are_records() -> None:
    """A dataclass takes half a millisecond to make, at the start of every command."""
    assert [NAMES[path] for path in MODULES if "dataclasses" in imported(path)] == []


def test_only_the_entry_point_reads_the_environment_and_the_arguments() -> None:
    readers = {
        NAMES[path]
        for path, tree in MODULES.items()
        for name in ("os.environ", "sys.argv")
        if name in ast.unparse(tree)
    }
    # __main__ does so before anything can be imported
    assert readers == {"towline.cli", "towline.__main__"}


def test_only_one_module_starts_processes_and_only_one_loads_by_name() -> None:
    users = {
        name: {NAMES[path] for path in MODULES if name in imported(path)}
        for name in ("subprocess", "importlib.import_module")
    }
    assert users == {
        "subprocess": {"towline.process"},
        "importlib.import_module": {"towline.dispatch"},
    }


def test_a_module_that_calls_itself_pure_touches_nothing_outside() -> None:
    pure = [
        path
        for path, tree in MODULES.items()
        if (ast.get_docstring(tree) or "").startswith("Pure.")
    ]
    assert {NAMES[path].removeprefix("towline.") for path in pure} >= {
        "image",
        "yaml.marks",
        "config.merge",
        "config.schema",
        "config.conditions",
        "registry.copy.plan",
        "yaml.edit",
        "gitops.kubectl",
        "gitops.kustomize",
    }
    for path in pure:
        assert (
            imported(path)
            & {
                "os",
                "socket",
                "subprocess",
                "pathlib",
                "http.client",
                "towline.process",
                "towline.http.client",
            }
            == set()
        ), path
        assert "open(" not in ast.unparse(MODULES[path]).replace("fdopen(", ""), path


LAYERS = [
    "cli",
    "commands",
    "steps",
    "config registry gitops pipeline hosting",
    "http vault git yaml process",
    "errors",
]


def layer(name: str) -> int | None:
    part = name.split(".")[1] if "." in name else ""
    return next((level for level, names in enumerate(LAYERS) if part in names.split()), None)


def test_imports_go_one_way_from_the_entry_point_to_the_edges() -> None:
    upward = []
    for path in MODULES:
        for target in imported(path):
            if not target.startswith("towline."):
                continue
            ours, theirs = layer(NAMES[path]), layer(target)
            if ours is not None and theirs is not None and theirs < ours:
                upward.append(f"{NAMES[path]} -> {target}")
    assert upward == []


def test_only_entry_point_commands_and_steps_know_the_contract() -> None:
    users = {NAMES[path].split(".")[1] for path in MODULES if "towline.contract" in imported(path)}
    assert users <= {"cli", "commands", "steps"}


def test_there_is_no_import_cycle() -> None:
    graph = {
        NAMES[path]: {name for name in imported(path) if name in NAMES.values()} - {NAMES[path]}
        for path in MODULES
    }
    done: set[str] = set()
    while leaves := {
        name for name, targets in graph.items() if name not in done and targets <= done
    }:
        done |= leaves
    assert set(graph) - done == set()


def test_every_module_and_public_name_says_what_it_is() -> None:
    silent = [NAMES[path] for path, tree in MODULES.items() if ast.get_docstring(tree) is None]
    for path, tree in MODULES.items():
        silent += [
            f"{NAMES[path]}.{node.name}"
            for node in tree.body
            if isinstance(node, (*_FUNCTION, ast.ClassDef))
            and not node.name.startswith("_")
            and ast.get_docstring(node) is None
            and "overload"
            not in map(ast.unparse, node.decorator_list)  # its implementation says it
        ]
    assert silent == []


def only_says(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function has only a docstring, as those of a Protocol have."""
    return len(node.body) == 1 and ast.get_docstring(node) is not None


def test_every_module_of_the_engine_has_its_tests() -> None:
    without = []
    for path in MODULES:
        relative = path.relative_to(ENGINE)
        partner = (
            ROOT / "tests" / "engine" / relative.parent / f"test_{relative.stem.strip('_')}.py"
        )
        acts = any(
            isinstance(node, _FUNCTION) and not only_says(node) for node in ast.walk(MODULES[path])
        )
        if acts and not partner.exists():
            without.append(str(partner.relative_to(ROOT)))
    assert without == []


def test_no_pattern_repeats_a_group_possessively() -> None:
    """CPython before 3.11.5 has a bug in such patterns (python/cpython#106052).

    Debian 12 has 3.11.2; an atomic group means the same.
    """
    texts = [
        (path, node.value)
        for path, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(texts) > 1000
    assert [
        (str(path.relative_to(ROOT)), text) for path, text in texts if re.search(r"\)[*+?]\+", text)
    ] == []


PUSH = [
    "run",
    "imagePushToRegistry",
    "--targetRegistryUrl",
    "http://127.0.0.1:1",
    "--sourceRegistryUrl",
    "http://127.0.0.1:1",
]
DEPLOY = [
    "run",
    "gitOpsUpdateDeployment",
    "--serverUrl",
    "http://127.0.0.1:1/r",
    "--filePath",
    "a.yaml",
    "--containerName",
    "app",
]


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["plan"], "towline.commands.plan"),
        (["lint"], "towline.commands.lint"),
        (["copy", "127.0.0.1:1/a:1", "127.0.0.1:1/b:1"], "towline.registry.copy.images"),
        (PUSH, "towline.steps.image_push_to_registry"),
        (DEPLOY, "towline.steps.gitops_update_deployment"),
    ],
)
def test_a_command_loads_nothing_heavy_that_it_does_not_need(
    words: list[str], module: str, tmp_path: Path
) -> None:
    program = (
        "import atexit, sys; from towline.cli import main; atexit.register(lambda:"
        f" print(*sys.modules));main({words!r}, environ={{}}, out=sys.stderr, err=sys.stderr)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    ).stdout.split()
    assert module in loaded
    assert HEAVY & set(loaded) <= ({"ssl"} if words[0] == "copy" or words == PUSH else set())


def test_the_version_loads_neither_yaml_nor_a_command() -> None:
    program = (
        "import sys; from towline.cli import main; main(['--version'], environ={}, out=sys.stderr,"
        " err=sys.stderr); print(*sys.modules)"
    )
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert "towline.cli" in loaded
    assert (
        loaded & (HEAVY | {"difflib", "yaml", "towline.commands.run", "towline.config.layers"})
        == set()
    )
