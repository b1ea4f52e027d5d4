"""Names of metrics: `ndcg`, `ndcg@10`, `package.module:function` for your own, or the function itself."""

from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from typing import NamedTuple

from recsys import metrics
from recsys.support.resolver import list_public, name_extension, resolve_extension
from recsys.types import Evaluation, MetricValues, RecsysError
from recsys.types.names import check_name
from recsys.types.numbers import check_int

Metric = Callable[[Evaluation, int], MetricValues]


class MetricAtK(NamedTuple):
    """A metric at one k."""

    name: str
    k: int
    metric: Metric


def resolve_metrics(names: Sequence[str | Metric], ks: Sequence[int]) -> list[MetricAtK]:
    """Return every metric at every k asked for, each once: `ndcg` means all of `ks`, `ndcg@10` only 10.

    A function is called by its name in `recsys.metrics`, or "package.module:function".

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
        said = name_extension(name, list_public(metrics)) if callable(name) else name
        if not isinstance(said, str):
            raise RecsysError(f"metrics: found {name!r}, expected a name such as 'ndcg', or a function")
        check_name("metrics: a name", said)
        bare, at, k = said.partition("@")
        metric: Metric = resolve_extension("metric", name if callable(name) else bare, list_public(metrics))
        if ":" in bare:
            _check_signature(bare, metric)
        for length in [_parse_k(said, k)] if at else lengths:
            if found.setdefault((bare, length), MetricAtK(bare, length, metric)).metric is not metric:
                raise RecsysError(f"metrics: found two functions called '{bare}', expected different names")
    if not found:
        raise RecsysError("nothing to evaluate: expected at least one metric and one k")
    return list(found.values())


def _parse_k(name: str, k: str) -> int:
    if not k.isdecimal() or int(k) < 1:
        raise RecsysError(f"metric '{name}': k is '{k}', expected a whole number of at least 1")
    return int(k)


def _check_signature(name: str, metric: Metric) -> None:
    try:
        signature(metric).bind(None, 1)
    except TypeError as error:
        raise RecsysError(f"metric '{name}': {error}, expected a function of an evaluation and k") from None
    except ValueError:  # compiled, and it does not say what it takes
        pass
