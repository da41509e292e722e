"""The line budget that CONTRIBUTING.md states: files, functions, arguments, and the whole of ``src``."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "omnisila"
FILES = sorted(SOURCE.rglob("*.py"))


def limit(what: str) -> int:
    """A number that CONTRIBUTING.md states, such as ``a file has at most 300 lines``."""
    words = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    found = re.search(rf"{what} has at most ([\d,]+)", words)
    assert found is not None, f"CONTRIBUTING.md states no limit of what {what!r} has"
    return int(found[1].replace(",", ""))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions but commands, whose length and arguments are those of their options."""
    for path in FILES:
        if path.parent.name != "cli":
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{path.relative_to(SOURCE)}: {node.name}", node


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    assert node.end_lineno is not None
    docstring = ast.get_docstring(node, clean=False)
    return node.end_lineno - node.lineno + 1 - (0 if docstring is None else docstring.count("\n") + 1)


def argument_count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """All arguments but ``self`` and ``cls``."""
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return sum(name not in ("self", "cls") for name in names)


def test_all_of_src_keeps_to_its_budget() -> None:
    assert sum(path.read_text().count("\n") for path in FILES) <= limit("All of `src`")


def test_no_file_is_too_long() -> None:
    long = {str(path.relative_to(SOURCE)): path.read_text().count("\n") for path in FILES}
    assert {name: lines for name, lines in long.items() if lines > limit("a file")} == {}


@pytest.mark.parametrize(
    ("what", "measure"), [("a function", code_lines), ("its signature", argument_count)], ids=["lines", "arguments"]
)
def test_no_function_is_too_large(what: str, measure) -> None:
    most = limit(what)
    assert {name: measure(node) for name, node in functions() if measure(node) > most} == {}
