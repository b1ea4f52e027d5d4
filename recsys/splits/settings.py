"""Settings of a split, checked before anything is computed."""

import hashlib
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from inspect import Parameter
from os import PathLike
from typing import Any

import numpy as np

from recsys.splits.forgotten_rows import parse_forget_list
from recsys.support.forget_lists import ForgetList
from recsys.types.arrays import Bools, Floats
from recsys.types.datasets import Dataset
from recsys.types.errors import RecsysError, check_choice, make_unknown_name_error
from recsys.types.numbers import check_int, check_number, convert_fields_to_python, convert_to_python
from recsys.types.topics import TopicPolicy

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge, ">": operator.gt, "==": operator.eq, "<=": operator.le, "<": operator.lt,
}  # fmt: skip
_POSITIVE_EXPRESSION = re.compile(
    r"\s*([^<>=]*[^<>=\s])\s*(>=|<=|==|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
)
_WEIGHT_NAMES = ("rating", "weight")


@dataclass(frozen=True)
class FilterSettings:
    """What every split is asked for: which rows count, who has enough of them, what is done with new items."""

    positive: str | None = None
    min_user_interactions: int = 0
    min_item_interactions: int = 0
    cold_items: str = "drop"
    seed: int = 0
    sources: Sequence[str] | None = None  # a tuple, once made
    purposes: Sequence[str] | None = None  # the same
    topics: TopicPolicy | None = None  # rows of items of its sensitive topics are left out
    forget_list: str | PathLike[str] | ForgetList | None = None  # a `ForgetList` of the lines that hold, once made

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        convert_fields_to_python(self)
        object.__setattr__(self, "sources", _normalize_names("sources", self.sources, "search"))
        object.__setattr__(self, "purposes", _normalize_names("purposes", self.purposes, "recommendation"))
        object.__setattr__(self, "forget_list", parse_forget_list(self.forget_list))
        for name in ("min_user_interactions", "min_item_interactions", "seed"):
            check_int(name, getattr(self, name), 0)
        if self.topics is not None and not isinstance(self.topics, TopicPolicy):
            found = type(self.topics).__name__
            raise RecsysError(f"topics: found a {found}, expected a policy: recsys.control.topics.read_topic_policy")
        check_choice("choice", self.cold_items, ["drop", "keep"], where="cold_items")

    @property
    def holding_forget_list(self) -> ForgetList | None:
        """The lines of the forget list that hold."""
        return self.forget_list if isinstance(self.forget_list, ForgetList) else None

    def compute_fingerprint(self, dataset: Dataset, settings: Mapping[str, Any], prefix: str = "") -> str:
        """Return the sha256 of the data's fingerprint, of which rows may be used, and of every setting.

        `settings` are those of the split beside the filter's, with its kind.
        """
        own = asdict(replace(self, topics=None, forget_list=None))
        told: dict[str, Any] = {"data": prefix + dataset.fingerprint, **settings, **own}
        del told["topics"], told["forget_list"]
        if (held := self.holding_forget_list) is not None and held.lines:
            told["forgotten"] = held.digest
            if (said := dataset.descriptions) is not None:
                texts = json.dumps([said.titles, said.years, said.features, said.row.tolist()])
                told["described"] = hashlib.sha256(texts.encode()).hexdigest()
        for name in ("sources", "purposes"):
            if getattr(self, name) is None:
                del told[name]
        if self.topics is not None:
            told["topics"] = self.topics.digest
        if dataset.interactions.consent is not None:
            told["consent"] = True
        if dataset.interactions.purposes is not None:
            told.setdefault("purposes", "any")
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def find_positives(
    weight: Floats, expression: str | None, columns: Mapping[str, str] | None = None, unused: Iterable[str] = ()
) -> Bools:
    """Return which weights satisfy "NAME OP NUMBER"; all of them where there is no expression.

    NAME is rating, weight, or what the table calls the column (`columns`: field -> column; quotes may stand around it,
    and case, spaces and underscores do not count), OP one of >=, >, ==, <=, <. It is none of the `unused` columns.

    >>> find_positives(np.array([3.5, 4, 5], np.float32), "rating >= 4").tolist()
    [False, True, True]

    Raises:
        RecsysError: if the expression is of another form.
    """
    if expression is None:
        return np.ones(len(weight), dtype=bool)
    match = _POSITIVE_EXPRESSION.fullmatch(expression) if isinstance(expression, str) else None
    if match is None:
        operators = ", ".join(_OPERATORS)
        raise RecsysError(f"positive: found {expression!r}, expected such as 'rating >= 4' (or {operators})")
    name, compare, number = match.groups()
    own = _list_weight_column_names(columns or {})
    known = dict.fromkeys([*_WEIGHT_NAMES, *own])
    if _normalize_name(name) in set(map(_normalize_name, unused)).difference(map(_normalize_name, own)):
        found = f"weights are of column '{own[0]}'" if own else "no column holds weights"
        raise RecsysError(
            f"positive: found '{name}', and {found}, expected '{(own or ['weight'])[0]}', "
            f"or '{name}' as the column of weights"
        )
    if _normalize_name(name) not in map(_normalize_name, known):
        raise make_unknown_name_error("column", name, known, where="positive")
    # Weights are float32: 3.7 must be compared as the float32 that a rating of 3.7 is.
    with np.errstate(over="ignore"):
        bound = np.float32(number)
    return np.asarray(_OPERATORS[compare](weight, bound), dtype=bool)


def _list_weight_column_names(columns: Mapping[str, str]) -> list[str]:
    """Return the names of the weight column: that of the table, and ours."""
    field = next((one for one in ("weight", "quantity") if one in columns), None)
    return [] if field is None else [columns[field], field]


def _normalize_name(name: str) -> str:
    return re.sub(r"[\s_]+", "", name.strip().strip("'\"`").casefold())


def _normalize_names(setting: str, given: object, example: str) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else []
    names = [convert_to_python(name) for name in names]
    if not names or not all(isinstance(name, str | int) and not isinstance(name, bool) for name in names):
        raise RecsysError(f"{setting}: found {given!r}, expected a list of names such as ['{example}']")
    return tuple(sorted({str(name) for name in names}))


def check_sizes(kind: str, known: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    """Refuse invalid sizes of test or validation: shares where the default is one, else numbers of positives.

    Raises:
        RecsysError: naming the size.
    """
    there = [name for name in ("test", "validation") if name in known]
    sizes = {name: convert_to_python(given.get(name, known[name].default)) for name in there}
    shares = [name for name in there if isinstance(known[name].default, float)]
    for name, found in sizes.items():
        if name not in shares:
            check_int(f"{kind}: {name}", found, 1 if name == "test" else 0)
        else:
            check_number(f"{kind}: {name}", found, above=0 if name == "test" else None, below=1, noun="a share")
    if shares == ["test", "validation"] and sizes["test"] + sizes["validation"] >= 1:
        said = f"test {sizes['test']} and validation {sizes['validation']}"
        raise RecsysError(f"{kind}: {said} leave nothing to train on")
