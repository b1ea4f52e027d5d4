"""Evaluation by judges that have not seen the users whom the slates' tables are made from: means over folds.

The error of a cross-fitted value has three parts that are added up: users (Poisson bootstrap of the linearised mean),
maps (those of a family are drawn with replacement, the same ones in every fold), and halvings (drawn with replacement,
and what a bootstrap of so few lacks is added: `recsys.scores.replicates.two_level_interval`).
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from recsys.metrics.derived_tables import MapTable
from recsys.scores.alignment import (
    align_like_probabilities,
    align_runs,
    check_ground_truth,
    check_map,
    restrict_to_users,
)
from recsys.scores.fold_sums import FoldSums
from recsys.scores.halvings import choose_interval, draw_map_deviations, spread_over_halvings
from recsys.scores.intervals import MAX_BOOTSTRAP, NO_INTERVAL, bootstrap_sums, check_bootstrap_memory
from recsys.scores.metric_names import MetricAtK, resolve_metrics
from recsys.scores.records import Score, Scores
from recsys.scores.runs import (
    assemble_catalogue_score,
    call_metric,
    describe_convention,
    list_audiences,
    reduce_metric_values,
)
from recsys.scores.segments import SEGMENTS, encode_parts, segment_users
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import (
    Evaluation,
    GroundTruth,
    Judge,
    MetricValues,
    PerCatalogue,
    PerMap,
    RecsysError,
    Slates,
    check_choice,
)
from recsys.types.arrays import Bools, Doubles, Ints
from recsys.types.numbers import check_int

Runs = Mapping[str, Slates | Ints]
Audience = Literal["all", "inside", "outside"]
AUDIENCES = ("all", "inside", "outside")


class Reader(NamedTuple):
    """Metrics, and the users over whom they are read."""

    audience: Audience  # as in `evaluate_folds`
    metrics: Sequence[str]
    users: Bools | None = None  # (all users of the split,) and of these only some


MAX_KEPT_BYTES, TABLE_CELL_BYTES = 2**28, 9  # of tables of users and regions: whether touched, and what is owed
INFLUENCE_CELLS = 2**22  # of scores times users whose draws are made at once
JUDGED_TRUTH = MapTable("judged_truth")
_MAP_READERS = (
    "exposure",
    "exposure_deficits",
    "stratified",
    "unexplored_regions",
)  # modules of `recsys.metrics`


def evaluate_folds(
    runs: Sequence[Runs],
    truth: GroundTruth,
    judges: Sequence[Judge],
    metrics: Sequence[str] = (),
    ks: Sequence[int] = (),
    *,
    audience: Audience = "all",
    seed: int = 0,
    n_bootstrap: int = 1000,
    seconds: Mapping[str, float] | None = None,
) -> Scores:
    """Return every metric of every run at every k: means over folds, with 95 % intervals over users, maps and halvings.

    `runs` are those of each fold, in the order of `judges`: slates that were made in the fold's context
    (`recsys.retrieval.fold_contexts.make_fold_context`). Maps of `truth` are not read, except those of content. All
    users are judged in every fold, or with `audience` "inside" those whose histories the fold's audit maps are made
    from, "outside" all others. A run whose slates are the same object in every fold is one that does not depend on
    folds: metrics without maps are computed for it once.

    Raises:
        RecsysError: as `evaluate` does, if there is no fold, or not as many runs as judges, if folds have other runs or
            other users, a halving does not have two folds, or a catalogue-level metric is asked for some users.
    """
    reader = {"": Reader(audience, metrics)}
    return evaluate_readers(runs, truth, judges, reader, ks, seed=seed, n_bootstrap=n_bootstrap, seconds=seconds)[""]


@limit_to_one_blas_thread()
def evaluate_readers(
    runs: Sequence[Runs],
    truth: GroundTruth,
    judges: Sequence[Judge],
    readers: Mapping[str, Reader],
    ks: Sequence[int] = (),
    *,
    seed: int = 0,
    n_bootstrap: int = 1000,
    seconds: Mapping[str, float] | None = None,
) -> dict[str, Scores]:
    """Return what `evaluate_folds` says to each reader, by name: a metric that several ask for is computed once.

    Raises:
        RecsysError: as `evaluate_folds` does.
    """
    check_ground_truth(truth)
    asked = {name: _resolve_reader(reader, ks) for name, reader in readers.items()}
    wanted = {(want.name, want.k): want for wants in asked.values() for want in wants}
    n_bootstrap = check_int("evaluate_folds: n_bootstrap", n_bootstrap, 2, MAX_BOOTSTRAP)
    seed = check_int("evaluate_folds: seed", seed)
    users, picks = _align_folds(runs, truth, judges, max(want.k for want in wanted.values()))
    n_values = len(picks[0]) * sum(map(len, asked.values()))
    check_bootstrap_memory("evaluate_folds: n_bootstrap", n_bootstrap, n_values)
    judged, n_users = restrict_to_users(truth, users), truth.split.train.shape[0]
    codes = {name: of[users] for name, of in SEGMENTS.get(judged, lambda: segment_users(judged, users)).items()}
    segments = {name: codes if one.audience == "all" and one.users is None else {} for name, one in readers.items()}
    members = {name: encode_parts(of) for name, of in segments.items()}
    sums = {
        name: {(run, want.name, want.k): FoldSums(len(users), members[name]) for run in picks[0] for want in wants}
        for name, wants in asked.items()
    }
    fixed = {run for run in picks[0] if all(of[run] is runs[0][run] for of in runs)}
    kept = _may_keep_tables(judges, n_users)
    ours = all(want.metric.__module__.startswith("recsys.") for want in wanted.values())
    with ThreadPoolExecutor((os.cpu_count() or 1) if ours else 1) as workers:
        for turn, (judge, found) in enumerate(zip(judges, picks, strict=True)):
            by = get_judged_truth(judged, judge) if kept else judged.with_judge(judge)
            chosen = {name: _select_audience(judge, users, reader, n_users) for name, reader in readers.items()}

            def add_run(run: str, turn: int = turn, by: GroundTruth = by, chosen: Mapping[str, Bools] = chosen) -> None:
                likely = align_like_probabilities(runs[turn][run], truth.split)
                evaluation, halving = Evaluation(picks[turn][run], by, likely), judges[turn].fold.halving
                for key, want in wanted.items():
                    places = [(sums[name].get((run, *key)), chosen[name]) for name in readers]
                    repeated = turn > 0 and run in fixed and not reads_maps(want)
                    _add_to_each(want, evaluation, places, repeated, (users, halving, seed))

            list(workers.map(add_run, found))  # the next fold's tables take the place of this one's
    halvings = len({judge.fold.halving for judge in judges})
    about = (users, truth.split.user_ids[users], seed, n_bootstrap, dict(seconds or {}))
    return {
        name: Scores(
            _build_scores(sums[name], users, seed, n_bootstrap),
            *about,
            segments[name],
            halvings=halvings,
        )
        for name in readers
    }


def _add_to_each(
    want: MetricAtK,
    evaluation: Evaluation,
    places: Sequence[tuple[FoldSums | None, Bools]],
    repeated: bool,
    how: tuple[Ints, int, int],
) -> None:
    """Add the answer of one metric to the sums of each reader that asks for it; of a repeated one, that of before."""
    (users, halving, seed), answer = how, None
    for place, chosen in places:
        if place is None:
            continue
        if repeated and chosen.all():
            place.repeat_last(halving)
            continue
        answer = answer or (place.answer if repeated else None) or call_metric(want, evaluation)
        if isinstance(answer, PerCatalogue) and not chosen.all():
            raise RecsysError(f"evaluate_folds: {want.name} is of all slates, expected audience 'all'")
        place.add(answer, users, chosen, halving, seed)


def _resolve_reader(reader: Reader, ks: Sequence[int]) -> list[MetricAtK]:
    check_choice("audience", reader.audience, AUDIENCES, where="evaluate_folds")
    return resolve_metrics(reader.metrics, ks)


@limit_to_one_blas_thread()
def compute_fold_metrics(
    runs: Sequence[Slates | Ints],
    truth: GroundTruth,
    judges: Sequence[Judge],
    metrics: Sequence[str],
    ks: Sequence[int] = (),
) -> dict[str, float]:
    """Return the value of each metric of one run, by names such as "ndcg@10": `evaluate_folds` without intervals.

    Raises:
        RecsysError: as `evaluate_folds` does.
    """
    return compute_fold_metrics_in_parts(runs, truth, judges, metrics, ks)[0]


@limit_to_one_blas_thread()
def compute_fold_metrics_in_parts(
    runs: Sequence[Slates | Ints],
    truth: GroundTruth,
    judges: Sequence[Judge],
    metrics: Sequence[str],
    ks: Sequence[int] = (),
    parts: Sequence[Ints] = (),
) -> list[dict[str, float]]:
    """Return what `compute_fold_metrics` does, over all users and then over those of each part: numbers of users.

    Raises:
        RecsysError: as `evaluate_folds` does.
    """
    check_ground_truth(truth)
    asked = resolve_metrics(metrics, ks)
    users, picks = _align_folds([{"run": one} for one in runs], truth, judges, max(want.k for want in asked))
    judged = restrict_to_users(truth, users)
    audiences = list_audiences(users, parts)
    found: dict[str, list[list[float]]] = {f"{want.name}@{want.k}": [] for want in asked}
    for judge, items, one in zip(judges, picks, runs, strict=True):
        likely = align_like_probabilities(one, truth.split)
        evaluation = Evaluation(items["run"], get_judged_truth(judged, judge), likely)
        for want, values in zip(asked, found.values(), strict=True):
            answer = call_metric(want, evaluation)
            values.append([reduce_metric_values(answer, of) for of in audiences])
    means = {name: np.mean(values, axis=0).tolist() for name, values in found.items()}
    return [{name: of[p] for name, of in means.items()} for p in range(len(parts) + 1)]


def get_judged_truth(truth: GroundTruth, judge: Judge) -> GroundTruth:
    """Return the truth by a judge's maps, kept with `truth`: whoever asks again finds the tables of both."""
    # The judged truth holds all three: their ids stay theirs.
    held = (judge.audit_maps, judge.objective_maps, judge.fold.judge_users)
    return JUDGED_TRUTH.get(truth, lambda: truth.with_judge(judge), *map(id, held))


def _may_keep_tables(judges: Sequence[Judge], n_users: int) -> bool:
    """Whether tables of users and regions of all judges take little memory."""
    regions = sum(of.assignment.shape[1] for one in judges for of in (*one.audit_maps, *one.objective_maps))
    return n_users * regions * TABLE_CELL_BYTES <= MAX_KEPT_BYTES


def reads_maps(want: MetricAtK) -> bool:
    """Whether a metric may read co-occurrence maps: those of this package that do, and each that is not of it."""
    home, _, module = want.metric.__module__.rpartition(".")
    return home != "recsys.metrics" or (module in _MAP_READERS and not want.name.endswith("_content"))


def _align_folds(
    runs: Sequence[Runs], truth: GroundTruth, judges: Sequence[Judge], k: int
) -> tuple[Ints, list[dict[str, Ints]]]:
    """Return the users that are judged, and the picks of each fold's runs."""
    if not judges or len(runs) != len(judges):
        raise RecsysError(f"evaluate_folds: found runs of {len(runs)} folds and {len(judges)} judges, expected as many")
    of = [judge.fold.halving for judge in judges]
    for halving in dict.fromkeys(of):
        if of.count(halving) != 2:
            raise RecsysError(f"evaluate_folds: halving {halving} has {of.count(halving)} folds, expected 2")
    for judge in judges:
        for taste_map in (*judge.audit_maps, *judge.objective_maps, *judge.witness_maps):
            check_map(taste_map, truth.split)
    placed = [align_runs(one, truth.split, k) for one in runs]
    users, first = placed[0]
    for f, (there, found) in enumerate(placed):
        if list(found) != list(first) or not np.array_equal(there, users):
            raise RecsysError(f"evaluate_folds: fold {f} has other runs or users than the first, expected the same")
    return users, [found for _, found in placed]


def _select_audience(judge: Judge, users: Ints, reader: Reader, n_users: int) -> Bools:
    chosen = np.ones(len(users), dtype=bool) if reader.users is None else reader.users[users]
    if reader.audience == "all":
        return chosen
    inside = np.zeros(n_users, dtype=bool)
    inside[judge.fold.judge_users] = True
    return np.asarray(chosen & (inside[users] == (reader.audience == "inside")))


def _build_scores(
    sums: Mapping[tuple[str, str, int], FoldSums], users: Ints, seed: int, n_bootstrap: int
) -> tuple[Score, ...]:
    """Return the scores, with the draws of users for so many of them at once that memory does not grow with runs."""
    cells, keys, step = list[Score](), list(sums), max(1, INFLUENCE_CELLS // max(len(users), 1))
    for some in (keys[first : first + step] for first in range(0, len(keys), step)):
        meant = [sums[key] for key in some if not isinstance(sums[key].answer, PerCatalogue)]
        table = np.stack([of.influence / len(of.values) for of in meant]) if meant else np.zeros((0, len(users)))
        drawn = iter(bootstrap_sums(table, users, seed, n_bootstrap))
        for key in some:
            of = sums[key]
            if isinstance(of.answer, PerCatalogue):
                cells.append(_build_catalogue_score(key, of, of.answer))
            else:
                cells.append(_build_user_score(key, of, next(drawn), seed))
    return tuple(cells)


def _build_user_score(key: tuple[str, str, int], of: FoldSums, drawn: Doubles, seed: int) -> Score:
    value, n, halved = float(np.mean(of.values)), len(of.values), of.halving_values
    n_users = 0 if np.isnan(value) else round(float(np.mean(of.behind)))
    draws = value + drawn + draw_map_deviations(of.map_values, len(drawn), seed)
    spread, freedom = choose_interval("users", len(halved), n_users, len(of.contributions))
    draws = draws if len(halved) < 2 else spread_over_halvings(draws, halved, seed)
    return Score(
        *key,
        value=value,
        limits=spread(value, draws) if n_users > 1 else NO_INTERVAL,
        n_users=n_users,
        convention=describe_convention(_describe_folds(of), n_users),
        direction=_get_answer(of).direction,
        shape="maps" if isinstance(of.answer, PerMap) else "users",
        per_user=np.where(of.user_folds > 0, of.user_sum / np.maximum(of.user_folds, 1), np.nan),
        user_contributions=of.contributions / n,
        user_weights=of.weights / n,
        draws=draws,
        make_interval=spread,
        degrees_of_freedom=freedom,
        counts=_average_counts(of.counts) if n_users else {},
        halving_parts=of.halving_parts,
    )


def _build_catalogue_score(key: tuple[str, str, int], of: FoldSums, answer: PerCatalogue) -> Score:
    value, halved, judged = float(np.mean(of.values)), of.halving_values, len(of.contributions)
    replicates = np.asarray(of.replicates / len(of.values))
    draws = replicates if len(halved) < 2 or not len(replicates) else np.concatenate([replicates, halved])
    how = choose_interval("catalogue", len(halved), judged, judged)
    said = replace(answer, convention=_describe_folds(of))
    return assemble_catalogue_score(key, said, value, draws, how, round(float(np.mean(of.behind))))


def _describe_folds(of: FoldSums) -> str:
    halvings = len(set(of.halvings))
    said = f"cross-fitted: mean over {halvings} halving{'s' if halvings > 1 else ''} of the users, both ways"
    return f"{_get_answer(of).convention}; {said}"


def _get_answer(of: FoldSums) -> MetricValues:
    if of.answer is None:
        raise RecsysError("evaluate_folds: a metric was called in no fold, expected at least one")
    return of.answer


def _average_counts(counts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([of.get(name, np.nan) for of in counts])) for name in counts[0]}
