"""Scoring: slates and metrics in, values with intervals out."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from recsys.scores.alignments import align, check_yardstick, narrow
from recsys.scores.intervals import (
    FREEDOM,
    MOST,
    NOWHERE,
    Limits,
    check_draws,
    curved,
    group_counts,
    means,
    over_sets,
    percentile,
)  # fmt: skip
from recsys.scores.names import Wanted, wanted
from recsys.scores.records import Score, Scores
from recsys.scores.segments import divide_users
from recsys.threads import one_blas_thread
from recsys.types import Answer, Evaluation, PerCatalogue, PerMap, PerUser, RecsysError, Slates, Yardstick
from recsys.types.arrays import Doubles, Ints
from recsys.types.numbers import whole


@one_blas_thread()
def score(
    runs: Mapping[str, Slates | Ints],
    yardstick: Yardstick,
    metrics: Sequence[str] = (),
    ks: Sequence[int] = (),
    *,
    seed: int = 0,
    draws: int = 1000,
    seconds: Mapping[str, float] | None = None,
) -> Scores:
    """Return every metric of every run at every k, with 95 % intervals from the same draws for all of them.

    A run is a `Slates`, or picks (users of the split, K) with -1 for none. `metrics` are names such as "ndcg"
    (at all of `ks`), "ndcg@10", or "package.module:function"; `seconds` are kept beside each run. Where slates
    are for some users only, nobody else is judged.

    Raises:
        RecsysError: if there are no metrics, one is unknown, `yardstick` is none, a run does not fit the split, or runs
            are about different users.
    """
    check_yardstick(yardstick)
    asked = wanted(metrics, ks)
    draws, seed = whole("score: draws", draws, 2, MOST), whole("score: seed", seed)
    users, picks = align(runs, yardstick.split, max(want.k for want in asked))
    check_draws("score: draws", draws, len(picks) * len(asked))
    judged = narrow(yardstick, users)
    cells = [
        cell
        for run, items in picks.items()
        for cell in of_answers(run, _answers(asked, Evaluation(items, judged)), users, seed, draws)
    ]
    parts = judged.tables.get("segments", lambda: divide_users(judged, users))
    segments = {name: codes[users] for name, codes in parts.items()}
    return Scores(tuple(cells), users, yardstick.split.user_ids[users], seed, draws, dict(seconds or {}), segments)


@one_blas_thread()
def values(
    run: Slates | Ints, yardstick: Yardstick, metrics: Sequence[str], ks: Sequence[int] = ()
) -> dict[str, float]:
    """Return the value of each metric of one run, by names such as "ndcg@10": what `score` gives, without intervals.

    Raises:
        RecsysError: as `score` does.
    """
    check_yardstick(yardstick)
    asked = wanted(metrics, ks)
    users, picks = align({"run": run}, yardstick.split, max(want.k for want in asked))
    evaluation = Evaluation(picks["run"], narrow(yardstick, users))
    return {f"{want.name}@{want.k}": _value(_answer(want, evaluation), users) for want in asked}


def _value(answer: Answer, users: Ints) -> float:
    if isinstance(answer, PerCatalogue):
        places = _shown(answer, users) + 1  # -1 has a place of its own, before all items
        counts = np.bincount(places.ravel(), minlength=answer.n_items + 1)[1:]
        return float(answer.statistic(counts.astype(np.float64)))
    return _mean(table(answer, users))


def _shown(answer: PerCatalogue, users: Ints) -> Ints:
    return answer.shown if len(users) == len(answer.shown) else answer.shown[users]


def _mean(values: Doubles) -> float:
    """Return the mean over maps of the mean over users, from `values` (maps, U); NaN where there is no map."""
    known = ~np.isnan(values)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return float((sums / known.sum(axis=1)).mean()) if len(values) else float("nan")


def of_answers(run: str, answers: Mapping[tuple[str, int], Answer], users: Ints, seed: int, draws: int) -> list[Score]:
    """Return the score of each answer, by its name and k, with the same draws for all of them."""
    left = dict(answers)
    del answers  # what has become a score need not be kept
    tables = {key: table(answer, users) for key, answer in left.items() if not isinstance(answer, PerCatalogue)}
    drawn = dict(zip(tables, means(list(tables.values()), users, seed, draws), strict=True))
    counted = _counted([answer for answer in left.values() if isinstance(answer, PerCatalogue)], users, seed)
    scores = []
    for key in list(left):
        answer = left.pop(key)
        if isinstance(answer, PerCatalogue):
            scores.append(of_catalogue(run, *key, answer, next(counted), len(users)))
        else:
            scores.append(of_table(run, *key, answer, tables.pop(key), drawn[key]))
    return scores


def _counted(answers: list[PerCatalogue], users: Ints, seed: int) -> Iterator[Doubles]:
    """Yield the counts by groups of each answer, made once for those that are of the same picks."""
    made: dict[tuple[int, int], Doubles] = {}
    for answer in answers:
        key = (id(answer.shown), answer.n_items)  # all of them are kept meanwhile: no other array gets the number
        if key not in made:
            made[key] = group_counts(_shown(answer, users), answer.n_items, users, seed)
        yield made[key]


def _answers(asked: list[Wanted], evaluation: Evaluation) -> dict[tuple[str, int], Answer]:
    return {(want.name, want.k): _answer(want, evaluation) for want in asked}


def _answer(want: Wanted, evaluation: Evaluation) -> Answer:
    answer = want.metric(evaluation, want.k)
    if not isinstance(answer, PerUser | PerMap | PerCatalogue):
        raise RecsysError(
            f"metric '{want.name}': found a {type(answer).__name__}, expected PerUser, PerMap or PerCatalogue"
        )
    return answer


def table(answer: PerUser | PerMap, users: Ints) -> Doubles:
    """Return the values of `users`, (maps, U): one row for a metric without maps; maps that define nobody are out."""
    values = np.atleast_2d(answer.values)
    values = values if len(users) == values.shape[1] else values[:, users]
    defined = ~np.isnan(values).all(axis=1)
    return values if defined.all() else values[defined]


def of_table(run: str, metric: str, k: int, answer: PerUser | PerMap, values: Doubles, drawn: Doubles) -> Score:
    """Return the score whose value is the mean over maps of the mean over users, from `values` (maps, U)."""
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
        value=_mean(values),
        limits=percentile(drawn) if n_users > 1 else NOWHERE,
        n_users=n_users,
        convention=_said(answer.convention, n_users),
        direction=answer.direction,
        shape="maps" if over_maps else "users",
        per_user=np.where(n_maps > 0, filled.sum(axis=0) / np.maximum(n_maps, 1), np.nan),
        parts=(filled / sizes).sum(axis=0) / max(len(values), 1),
        shares=(known / sizes).sum(axis=0) / max(len(values), 1),
        draws=drawn,
        spread=of_draws,
        freedom=partial(of_users, n_users=n_users),
        counts=counts,
    )


def of_catalogue(run: str, metric: str, k: int, answer: PerCatalogue, counts: Doubles, n_judged: int) -> Score:
    """Return the score of a statistic of the whole catalogue, over the slates of those judged: their `group_counts`."""
    value, replicates = float(answer.statistic(counts.sum(axis=0))), over_sets(counts, answer.statistic)
    spread = partial(curved, n_users=n_judged)
    low, high, error = spread(value, replicates)
    low, high = (float(limit) for limit in np.clip((low, high), *answer.span))
    n_users = 0 if np.isnan(value) else n_judged
    return Score(
        run,
        metric,
        k,
        value=value,
        limits=Limits(low, high, error),
        n_users=n_users,
        convention=_said(answer.convention, n_users),
        direction=answer.direction,
        shape="catalogue",
        per_user=np.empty(0),
        parts=np.empty(0),
        shares=np.empty(0),
        draws=replicates,
        spread=spread,
        freedom=of_groups,
    )


def of_draws(value: float, draws: Doubles) -> Limits:
    """Return the limits of a mean over users, from its bootstrap draws."""
    return percentile(draws)


def of_users(draws: Doubles, n_users: int) -> float:
    """Return the degrees of freedom of a mean's standard error."""
    return max(n_users - 1.0, 1.0)


def of_groups(draws: Doubles) -> float:
    """Return the degrees of freedom of a jackknife over groups of users."""
    return float(FREEDOM)


def _said(convention: str, n_users: int) -> str:
    return convention if n_users else f"not defined on this data ({convention})"
