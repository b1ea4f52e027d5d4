"""What all contract tests share: how a broken promise is said, and inputs that must stay as they are."""

import ast
import inspect
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from recsys.types.arrays import Anys
from recsys.types.errors import describe_error

_FIELD = r"^:{}: (.*(?:\n {{4}}.*)*)"
_OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg,
}  # fmt: skip
_FUNCTIONS = {"log": math.log, "log2": math.log2, "sqrt": math.sqrt}


class ContractError(AssertionError):
    """A promise that an extension does not keep, in one line: who, what was found, what was expected."""


def expect(kept: object, who: str, problem: str) -> None:
    """Refuse a promise that is not kept.

    Raises:
        ContractError: where `kept` is false.
    """
    if not kept:
        raise ContractError(f"{who}: {problem}")


@contextmanager
def expect_no_error(who: str, where: str) -> Iterator[None]:
    """Refuse whatever is raised; `where` says on which input.

    Raises:
        ContractError: with the error in one line.
    """
    try:
        yield
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(f"{who}: fails {where}: {describe_error(error)}") from error


@contextmanager
def expect_unchanged(who: str, arrays: Iterable[Anys | None]) -> Iterator[None]:
    """Refuse a change of arrays that an extension is given.

    Raises:
        ContractError: where one is another afterwards.
    """
    there = [array for array in arrays if array is not None]
    before = [array.copy() for array in there]
    yield
    same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(there, before, strict=True))
    expect(same, who, "changes an array that it is given, expected it as it was")


def check_documented(who: str, extension: Any) -> None:
    """Refuse an extension without a docstring."""
    expect(inspect.getdoc(extension), who, "has no docstring, expected one line of what it is")


def read_range(who: str, extension: Any, known: Mapping[str, float]) -> tuple[float, float]:
    """Return the range that a docstring says in a line such as ":Range: [0, log(k)]"; all numbers where it says none.

    `known` are the names that may stand in it.
    """
    said = read_field(extension, "Range")
    if said is None:
        return -math.inf, math.inf
    ends = re.match(r"[\[(](.*), (.*)[\])]", said)
    try:
        low, high = (_compute(ast.parse(end, mode="eval").body, known) for end in ends.groups())  # type: ignore[union-attr]
    except (AttributeError, SyntaxError, KeyError, TypeError, ValueError) as error:
        raise ContractError(f"{who}: its range '{said}' cannot be read, expected such as [0, 1] or [0, inf)") from error
    return low, high


def read_field(extension: Any, name: str) -> str | None:
    """Return what a docstring says in a line such as ":Range: [0, 1]", None where it has no such line."""
    found = re.search(_FIELD.format(name), inspect.getdoc(extension) or "", re.MULTILINE)
    return None if found is None else re.sub(r"\s+", " ", found[1])


def _compute(node: ast.expr, known: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name):
        return known[node.id]
    if isinstance(node, ast.UnaryOp):
        return float(_OPERATORS[type(node.op)](_compute(node.operand, known)))
    if isinstance(node, ast.BinOp):
        return float(_OPERATORS[type(node.op)](_compute(node.left, known), _compute(node.right, known)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _FUNCTIONS[node.func.id](*(_compute(argument, known) for argument in node.args))
    raise ValueError("no number")
