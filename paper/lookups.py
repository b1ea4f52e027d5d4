"""Numbers, claims and tables of the texts, by name: `paper/lookups.toml` says where each stands in the results.

[numbers.SOURCE] names numbers of a source: a file of `benchmarks/results` without its ending, a TOML file or a module.
    rows      which rows, as a condition on columns; all by default
    mean_by   columns: of rows that agree in them the means of all other columns are taken first
    largest   an expression: only the row with its largest value is kept, in each group of `within` (columns)
    value     an expression over columns (of a TOML file or a module: over its names); three of them are an estimate
              and the limits of its interval
    take      how many rows become one: "only" (there must be one), "count", "unique", "sum", "mean", "median", "min"
              or "max"
    as        how it is written: a format of Python, `,.0f` by default
[claims] are conditions over numbers; `above(x)`, `below(x)` and `level(x)` say where the interval of x lies beside 0.
[tables.NAME] is of a `source` and its `rows`; `columns` have formats of a row. [names] are names for readers.
"""

import importlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[1]
FUNCTIONS = {"len": len, "min": min, "max": max, "abs": abs}
TAKES = ("only", "count", "unique", "sum", "mean", "median", "min", "max")
KEYS = ("rows", "mean_by", "largest", "within", "value", "take", "as")
DASH, MINUS, SPACE = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
FAILURES = (LookupError, ValueError, TypeError, AttributeError, NameError, SyntaxError, ImportError, ArithmeticError)
Source = pd.DataFrame | Mapping[str, Any]


class MissingResultError(LookupError):
    """What the results do not have, in one line."""


class Number(float):
    """An estimate, the limits of its interval (NaN where it has none), and how it is written."""

    text: str
    low: float
    high: float


@dataclass(frozen=True)
class Facts:
    """What the texts may use, by name, and a line on what could not be looked up or does not hold."""

    numbers: dict[str, Number | str] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)  # those that hold: the condition and what it reads
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    read_by_claims: set[str] = field(default_factory=set)  # numbers

    def write_number(self, name: str) -> str:
        return getattr(self.numbers[name], "text", str(self.numbers[name]))


def polish(text: str) -> str:
    """Return a formatted text with typographic minus signs and spaces, and without a sign before zero.

    >>> polish("-3.4% [-0%, +7%]").replace(MINUS, "~").replace(SPACE, "_")
    '~3.4_% [0_%, +7_%]'
    """
    text = re.sub(r"(?<![\w.])[+-](0(?:\.0+)?)(?![\d.])", r"\1", text)
    return re.sub(r"(?<=\d)%", f"{SPACE}%", re.sub(r"(?<!\w)-(?=\d)", MINUS, text))


def read_source(source: str, root: Path) -> Source:
    """Return a table of results, or the names of a TOML file or of a module."""
    if source.startswith("recsys."):
        return vars(importlib.import_module(source))
    path = root / (source if source.endswith(".toml") else f"benchmarks/results/{source}.csv")
    if not path.exists():
        raise MissingResultError(f"there is no {path.relative_to(root)}")
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.suffix == ".toml" else pd.read_csv(path)


def select_rows(table: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    if "rows" in wanted:
        table = table.query(wanted["rows"])
    if "mean_by" in wanted:
        table = table.groupby(wanted["mean_by"], as_index=False, sort=False).mean(numeric_only=True)
    if "largest" in wanted:
        table = table.iloc[table.eval(wanted["largest"]).argsort(kind="stable")[::-1]]
        table = table.groupby(wanted.get("within", lambda _: 0)).head(1)
    return table


def take_value(values: pd.Series, take: str) -> Any:
    """Return one value for all. Only a count may be one of no rows."""
    if take in ("count", "unique"):
        return len(values) if take == "count" else values.nunique()
    if not len(values) or (take == "only" and len(values) > 1):
        raise MissingResultError(f"{len(values)} rows where {'one is' if take == 'only' else 'some are'} needed")
    value = values.iloc[0] if take == "only" else getattr(values, take)()
    if pd.isna(value):
        raise MissingResultError("the value is missing")
    return value


def look_up(source: Source, wanted: Mapping[str, Any]) -> Number | str:
    """Return a number, or a text, of a source."""
    take, expressions = wanted.get("take", "only"), wanted["value"]
    expressions = expressions if isinstance(expressions, list) else [expressions]
    for given, known in ((list(wanted), KEYS), ([take], TAKES)):
        if unknown := [one for one in given if one not in known]:
            raise MissingResultError(f'"{unknown[0]}" is none of {", ".join(known)}')
    if isinstance(source, pd.DataFrame):
        rows = select_rows(source, wanted)
        found = [take_value(rows.eval(one), take) for one in expressions]
    else:
        found = [eval(one, {"__builtins__": {}}, {**FUNCTIONS, **source}) for one in expressions]
    if isinstance(found[0], str):
        return polish(found[0])
    number = Number(found[0])
    number.low, number.high = map(float, found[1:] or ["nan", "nan"])
    texts = [polish(format(float(one), wanted.get("as", ",.0f"))) for one in found]
    number.text = texts[0] + (f" [{texts[1]}, {texts[2]}]" if len(texts) > 1 else "")
    return number


def above(number: Number) -> bool:
    return number.low > 0


def below(number: Number) -> bool:
    return number.high < 0


def level(number: Number) -> bool:
    return number.low <= 0 <= number.high


def check_claim(condition: str, facts: Facts) -> str:
    """Return the condition and the numbers that it reads; raise where it does not hold."""
    code = compile(condition, "claim", "eval")
    used = [name for name in code.co_names if name in facts.numbers]
    facts.read_by_claims.update(used)
    told = f"{condition}, where {', '.join(f'{name} = {facts.write_number(name)}' for name in used)}"
    conditions = {"above": above, "below": below, "level": level}
    if not eval(code, {"__builtins__": {}}, {**FUNCTIONS, **conditions, **facts.numbers}):
        raise MissingResultError(f"it does not hold: {told}")
    return told


def make_table(source: pd.DataFrame, wanted: Mapping[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    """Return rows of cells, the titles of the columns first."""
    rows = select_rows(source, wanted).to_dict("records")
    named = [{key: names.get(value, value) for key, value in row.items()} for row in rows]
    cells = [[polish(text.format(**row)) for text in wanted["columns"].values()] for row in named]
    known = [[re.sub(r"^\W?nan\W*$", DASH, re.sub(r" \[\W?nan.*\]", "", cell)) for cell in row] for row in cells]
    return [list(wanted["columns"]), *known]


def make_facts(lookups: Mapping[str, Any], root: Path) -> Facts:
    """Return all that can be looked up, and a problem for all that cannot."""
    facts, read, names = Facts(), cache(partial(read_source, root=root)), lookups.get("names", {})
    for source, numbers in lookups.get("numbers", {}).items():
        for name, wanted in numbers.items():
            with keep_problem(facts, name):
                facts.numbers[name] = look_up(read(source), wanted)
    for name, condition in lookups.get("claims", {}).items():
        with keep_problem(facts, name):
            facts.claims[name] = check_claim(condition, facts)
    for name, wanted in lookups.get("tables", {}).items():
        with keep_problem(facts, name):
            facts.tables[name] = make_table(read(wanted["source"]), wanted, names)
    return facts


@contextmanager
def keep_problem(facts: Facts, name: str) -> Iterator[None]:
    """Keep what goes wrong as the problem of a name: all of them are told at once."""
    try:
        yield
    except FAILURES as error:
        facts.problems[name] = f"there is no {error.args[0]}" if type(error) is KeyError else str(error)


def read_facts(root: Path = ROOT) -> Facts:
    return make_facts(read_lookups(root), root)


def read_lookups(root: Path = ROOT) -> dict[str, Any]:
    return tomllib.loads((root / "paper" / "lookups.toml").read_text(encoding="utf-8"))
