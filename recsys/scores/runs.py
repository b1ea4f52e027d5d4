"""Evaluation: slates and metrics in, values with intervals out."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from recsys.scores.alignment import align_like_probabilities, align_runs, check_ground_truth, restrict_to_users
from recsys.scores.intervals import (
    JACKKNIFE_FREEDOM,
    MAX_BOOTSTRAP,
    NO_INTERVAL,
    Interval,
    bootstrap_means,
    check_bootstrap_memory,
    compute_on_group_sets,
    corrected_jackknife_interval,
    count_items_by_group,
    percentile_interval,
)
from recsys.scores.metric_names import MetricAtK, resolve_metrics
from recsys.scores.records import Score, Scores
from recsys.scores.segments import SEGMENTS, segment_users
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Evaluation, GroundTruth, MetricValues, PerCatalogue, PerMap, PerUser, RecsysError, Slates
from recsys.types.arrays import Doubles, Ints
from recsys.types.checks import check_array
from recsys.types.numbers import check_int


@limit_to_one_blas_thread()
def evaluate(
    runs: Mapping[str, Slates | Ints],
    truth: GroundTruth,
    metrics: Sequence[str] = (),
    ks: Sequence[int] = (),
    *,
    seed: int = 0,
    n_bootstrap: int = 1000,
    seconds: Mapping[str, float] | None = None,
) -> Scores:
    """Return every metric of every run at every k, with 95 % intervals from the same draws for all of them.

    A run is a `Slates`, or picks (users of the split, K) with -1 for none. `metrics` are names such as "ndcg"
    (at all of `ks`), "ndcg@10", or "package.module:function"; `seconds` are kept beside each run. Where slates
    are for some users only, nobody else is judged.

    Raises:
        RecsysError: if there are no metrics, one is unknown, `truth` is none, a run does not fit the split, or runs
            are about different users.
    """
    check_ground_truth(truth)
    asked = resolve_metrics(metrics, ks)
    n_bootstrap = check_int("evaluate: n_bootstrap", n_bootstrap, 2, MAX_BOOTSTRAP)
    seed = check_int("evaluate: seed", seed)
    users, picks = align_runs(runs, truth.split, max(want.k for want in asked))
    check_bootstrap_memory("evaluate: n_bootstrap", n_bootstrap, len(picks) * len(asked))
    judged = restrict_to_users(truth, users)
    ours = all(want.metric.__module__.startswith("recsys.") for want in asked)

    def judge_run(run: str) -> list[Score]:
        evaluation = Evaluation(picks[run], judged, align_like_probabilities(runs[run], truth.split))
        return build_scores(run, _call_metrics(asked, evaluation), users, seed, n_bootstrap)

    with ThreadPoolExecutor((os.cpu_count() or 1) if ours else 1) as workers:
        cells = [cell for found in workers.map(judge_run, picks) for cell in found]
    parts = SEGMENTS.get(judged, lambda: segment_users(judged, users))
    segments = {name: codes[users] for name, codes in parts.items()}
    return Scores(tuple(cells), users, truth.split.user_ids[users], seed, n_bootstrap, dict(seconds or {}), segments)


@limit_to_one_blas_thread()
def compute_metrics(
    run: Slates | Ints, truth: GroundTruth, metrics: Sequence[str], ks: Sequence[int] = ()
) -> dict[str, float]:
    """Return the value of each metric of one run, by names such as "ndcg@10": what `score` gives, without intervals.

    Raises:
        RecsysError: as `score` does.
    """
    return compute_metrics_in_parts(run, truth, metrics, ks)[0]


@limit_to_one_blas_thread()
def compute_metrics_in_parts(
    run: Slates | Ints,
    truth: GroundTruth,
    metrics: Sequence[str],
    ks: Sequence[int] = (),
    parts: Sequence[Ints] = (),
) -> list[dict[str, float]]:
    """Return what `compute_metrics` does, over all users and then over those of each part: numbers of users.

    Raises:
        RecsysError: as `score` does.
    """
    check_ground_truth(truth)
    asked = resolve_metrics(metrics, ks)
    users, picks = align_runs({"run": run}, truth.split, max(want.k for want in asked))
    given = align_like_probabilities(run, truth.split)
    evaluation = Evaluation(picks["run"], restrict_to_users(truth, users), given)
    audiences = list_audiences(users, parts)
    found = {f"{want.name}@{want.k}": call_metric(want, evaluation) for want in asked}
    return [{name: reduce_metric_values(answer, of) for name, answer in found.items()} for of in audiences]


def list_audiences(users: Ints, parts: Sequence[Ints]) -> list[Ints]:
    """Return `users`, and those of them who are in each part."""
    return [users, *(np.intersect1d(users, part) for part in parts)]


def reduce_metric_values(answer: MetricValues, users: Ints) -> float:
    """Return the value of a metric over `users`."""
    if isinstance(answer, PerCatalogue):
        places = _select_slates(answer, users) + 1  # -1 has a place of its own, before all items
        counts = np.bincount(places.ravel(), minlength=answer.n_items + 1)[1:]
        return float(answer.statistic(counts.astype(np.float64)))
    return _average_over_maps(select_user_values(answer, users))


def _select_slates(answer: PerCatalogue, users: Ints) -> Ints:
    return answer.picks if len(users) == len(answer.picks) else answer.picks[users]


def _average_over_maps(values: Doubles) -> float:
    """Return the mean over maps of the mean over users, from `compute_metrics` (maps, U); NaN where there is no map."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return float((sums / known.sum(axis=1)).mean()) if len(values) else float("nan")


def build_scores(
    run: str, answers: Mapping[tuple[str, int], MetricValues], users: Ints, seed: int, n_bootstrap: int
) -> list[Score]:
    """Return the score of each answer, by its name and k, with the same draws for all of them."""
    left = dict(answers)
    del answers  # what has become a score need not be kept
    tables = {
        key: select_user_values(answer, users) for key, answer in left.items() if not isinstance(answer, PerCatalogue)
    }
    drawn = dict(zip(tables, bootstrap_means(list(tables.values()), users, seed, n_bootstrap), strict=True))
    counted = _count_items_once([answer for answer in left.values() if isinstance(answer, PerCatalogue)], users, seed)
    scores = []
    for key in list(left):
        answer = left.pop(key)
        if isinstance(answer, PerCatalogue):
            scores.append(build_catalogue_score(run, *key, answer, next(counted), len(users)))
        else:
            scores.append(build_user_score(run, *key, answer, tables.pop(key), drawn[key]))
    return scores


def _count_items_once(answers: list[PerCatalogue], users: Ints, seed: int) -> Iterator[Doubles]:
    """Yield the item counts by groups of each answer, computed once for answers of the same picks."""
    made: dict[tuple[int, int], Doubles] = {}
    for answer in answers:
        key = (id(answer.picks), answer.n_items)  # all of them are kept meanwhile: no other array gets the number
        if key not in made:
            made[key] = count_items_by_group(_select_slates(answer, users), answer.n_items, users, seed)
        yield made[key]


def _call_metrics(metrics_at_k: list[MetricAtK], evaluation: Evaluation) -> dict[tuple[str, int], MetricValues]:
    return {(want.name, want.k): call_metric(want, evaluation) for want in metrics_at_k}


def call_metric(want: MetricAtK, evaluation: Evaluation) -> MetricValues:
    """Return what a metric returns.

    Raises:
        RecsysError: if that is none of the three shapes.
    """
    answer = want.metric(evaluation, want.k)
    if not isinstance(answer, PerUser | PerMap | PerCatalogue):
        raise RecsysError(
            f"metric '{want.name}': found a {type(answer).__name__}, expected PerUser, PerMap or PerCatalogue"
        )
    if answer.direction not in (-1, 0, 1):
        raise RecsysError(f"metric '{want.name}': direction is {answer.direction!r}, expected -1, 0 or 1")
    if not isinstance(answer, PerCatalogue):
        users = len(evaluation.items)
        sizes = (users,) if isinstance(answer, PerUser) else (None, users)
        check_array(f"metric '{want.name}': values", answer.values, sizes, "fiu")
    return answer


def select_user_values(answer: PerUser | PerMap, users: Ints) -> Doubles:
    """Return the values of `users`, (maps, U): one row for a metric without maps; maps that define nobody are out."""
    values = np.atleast_2d(answer.values)
    values = values if len(users) == values.shape[1] else values[:, users]
    defined = ~np.isnan(values).all(axis=1)
    return values if defined.all() else values[defined]


def build_user_score(run: str, metric: str, k: int, answer: PerUser | PerMap, values: Doubles, drawn: Doubles) -> Score:
    """Return the score whose value is the mean over maps of the mean over users, from `compute_metrics` (maps, U)."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    n_maps = known.sum(axis=0)
    n_users = round(float(known.sum(axis=1).mean())) if len(known) else 0  # over maps: of the mean map
    sizes = known.sum(axis=1, keepdims=True)
    over_maps = isinstance(answer, PerMap)
    counts = {**answer.counts, "maps": float(len(values))} if isinstance(answer, PerMap) and n_users else {}
    return Score(
        run,
        metric,
        k,
        value=_average_over_maps(values),
        limits=percentile_interval(drawn) if n_users > 1 else NO_INTERVAL,
        n_users=n_users,
        convention=describe_convention(answer.convention, n_users),
        direction=answer.direction,
        shape="maps" if over_maps else "users",
        per_user=np.where(n_maps > 0, filled.sum(axis=0) / np.maximum(n_maps, 1), np.nan),
        user_contributions=(filled / sizes).sum(axis=0) / max(len(values), 1),
        user_weights=(known / sizes).sum(axis=0) / max(len(values), 1),
        draws=drawn,
        make_interval=bootstrap_interval,
        degrees_of_freedom=partial(mean_degrees_of_freedom, n_users=n_users),
        counts=counts,
    )


def build_catalogue_score(run: str, metric: str, k: int, answer: PerCatalogue, counts: Doubles, n_judged: int) -> Score:
    """Return the score of a statistic of the whole catalogue, over the slates of those judged, by their `counts`."""
    value, replicates = float(answer.statistic(counts.sum(axis=0))), compute_on_group_sets(counts, answer.statistic)
    how = (partial(corrected_jackknife_interval, n_users=n_judged), jackknife_degrees_of_freedom)
    return assemble_catalogue_score((run, metric, k), answer, value, replicates, how, n_judged)


def assemble_catalogue_score(
    key: tuple[str, str, int],
    answer: PerCatalogue,
    value: float,
    draws: Doubles,
    how: tuple[Callable[[float, Doubles], Interval], Callable[[Doubles], float]],
    n_users: int,
) -> Score:
    """Return the score (run, metric, k) of a statistic of the whole catalogue: its value, and values on subsamples.

    `how` makes limits of these, and their degrees of freedom; `n_users` are behind the value where it is defined.
    """
    spread, freedom = how
    low, high, error = spread(value, draws)
    low, high = (float(limit) for limit in np.clip((low, high), *answer.value_range))
    n_users = 0 if np.isnan(value) else n_users
    return Score(
        *key,
        value=value,
        limits=Interval(low, high, error),
        n_users=n_users,
        convention=describe_convention(answer.convention, n_users),
        direction=answer.direction,
        shape="catalogue",
        per_user=np.empty(0),
        user_contributions=np.empty(0),
        user_weights=np.empty(0),
        draws=draws,
        make_interval=spread,
        degrees_of_freedom=freedom,
    )


def bootstrap_interval(value: float, n_bootstrap: Doubles) -> Interval:
    """Return the limits of a mean over users, from its bootstrap draws."""
    return percentile_interval(n_bootstrap)


def mean_degrees_of_freedom(n_bootstrap: Doubles, n_users: int) -> float:
    """Return the degrees of freedom of a mean's standard error."""
    return max(n_users - 1.0, 1.0)


def jackknife_degrees_of_freedom(n_bootstrap: Doubles) -> float:
    """Return the degrees of freedom of a jackknife over groups of users."""
    return float(JACKKNIFE_FREEDOM)


def describe_convention(convention: str, n_users: int) -> str:
    """Return the convention, or that the metric is not defined where no user is behind it."""
    return convention if n_users else f"not defined on this data ({convention})"
