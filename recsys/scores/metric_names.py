"""Names of metrics: `ndcg`, `ndcg@10`, or `package.module:function` for your own."""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from inspect import signature
from typing import NamedTuple, cast

from recsys import metrics
from recsys.types import Evaluation, MetricValues, RecsysError, make_unknown_name_error
from recsys.types.names import check_name
from recsys.types.numbers import check_int

Metric = Callable[[Evaluation, int], MetricValues]


class MetricAtK(NamedTuple):
    """A metric at one k."""

    name: str
    k: int
    metric: Metric


def resolve_metrics(names: Sequence[str], ks: Sequence[int]) -> list[MetricAtK]:
    """Return every metric at every k asked for, each once: `ndcg` means all of `ks`, `ndcg@10` only 10.

    Raises:
        RecsysError: if a metric is unknown or is no function of an evaluation and a k, or a k is no whole number of
            at least 1.

    >>> [(w.name, w.k) for w in resolve_metrics(["ndcg", "recall@20"], [5, 10])]
    [('ndcg', 5), ('ndcg', 10), ('recall', 20)]
    """
    if isinstance(names, str):
        raise RecsysError(f"metrics: found the text '{names}', expected a list of names such as ['{names}']")
    for what, given in (("metrics", names), ("ks", ks)):
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise RecsysError(f"{what}: found {given!r}, expected a list")
    lengths = [check_int("ks: k", k, 1) for k in ks]
    found: dict[tuple[str, int], MetricAtK] = {}
    for name in names:
        if not isinstance(name, str):
            raise RecsysError(f"metrics: found {name!r}, expected a name such as 'ndcg'")
        check_name("metrics: a name", name)
        bare, at, k = name.partition("@")
        metric = _resolve_metric(bare)
        for length in [_parse_k(name, k)] if at else lengths:
            found.setdefault((bare, length), MetricAtK(bare, length, metric))
    if not found:
        raise RecsysError("nothing to evaluate: expected at least one metric and one k")
    return list(found.values())


def _parse_k(name: str, k: str) -> int:
    if not k.isdecimal() or int(k) < 1:
        raise RecsysError(f"metric '{name}': k is '{k}', expected a whole number of at least 1")
    return int(k)


def _resolve_metric(name: str) -> Metric:
    module, colon, function = name.partition(":")
    if not colon:
        if name not in metrics.__all__:
            raise make_unknown_name_error("metric", name, metrics.__all__)
        return cast(Metric, getattr(metrics, name))
    try:
        metric = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecsysError(f"metric '{name}': {error}") from error
    if not callable(metric):
        raise RecsysError(f"metric '{name}': found a {type(metric).__name__}, expected a function")
    try:
        signature(metric).bind(None, 1)
    except TypeError as error:
        raise RecsysError(f"metric '{name}': {error}, expected a function of an evaluation and k") from None
    except ValueError:  # compiled, and it does not say what it takes
        pass
    return cast(Metric, metric)
