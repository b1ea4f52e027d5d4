"""Fitting of a likelihood to validation likes, out of fold over users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from recsys.likelihoods.columns import join_item_columns
from recsys.likelihoods.computing import (
    compute_features,
    deal_folds,
    order_best_first,
    run_over_users,
    score_out_of_fold,
)
from recsys.likelihoods.features import FeatureTables
from recsys.likelihoods.records import (
    COSINE_FEATURES,
    REGION_FEATURES,
    SPACES,
    Likelihood,
    digest_ids,
    list_feature_names,
)
from recsys.likelihoods.tables import find_missing_parts, get_feature_tables
from recsys.maths.choice_models import Choices, FittedChoice, fit_logistic, fit_softmax
from recsys.maths.held_out import mark_held_out
from recsys.maths.platt import fit_platt_curve
from recsys.support import rng
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import Evaluation, GroundTruth, Pool, RecsysError, Split, make_unknown_name_error
from recsys.types.arrays import Anys, Bools, Csr, Doubles, Floats, Ints, Longs, Strings
from recsys.types.errors import check_choice
from recsys.types.numbers import check_int, check_number
from recsys.types.pools import LIKELIHOOD_KINDS

K = 10  # of the nDCG that is compared
NORMAL = 1.959963984540054  # 97.5 % quantile


@dataclass(frozen=True, eq=False)
class Sample:
    """The candidates that are fitted to: all likes, the best ones, and a share of the others with weights."""

    features: Floats  # (R, F) as they are
    liked: Bools  # (R,)
    weights: Doubles  # (R,)
    users: Longs  # (R,) rows of the pool, ascending


@limit_to_one_blas_thread()
def fit_likelihood(
    pool: Pool,
    split: Split,
    *,
    features: Sequence[str] | None = None,
    kind: str = "softmax",
    space: str | None = None,
    items: Mapping[str, Sequence[Any]] | Any = None,
    n: int = 120,
    keep_top: int = 30,
    sample_share: float = 0.25,
    regularization: float = 10.0,
    n_folds: int = 5,
    seed: int = 0,
) -> Likelihood:
    """Return the likelihood of candidates, fitted to the validation likes of `split`.

    `pool` holds candidates, best first, of a model that was fitted to `split.train` (or anybody's scores, by
    `Pool.from_frame(..., split=split)`). Fitted is a linear model of `features` (all that the pool allows, by default)
    of each user's best `n` candidates: of kind "softmax" a choice from the user's list, which needs no calibration
    where a factor per user does not matter; of kind "logistic" the log-odds of a like, calibrated out of fold. All
    likes and the best `keep_top` candidates are looked at, and of the others a share, with weights to make up for it.
    Minimised is the sum of losses + `regularization` / 2 times the squared length of the coefficients of standardised
    features (1 / C of scikit-learn). Cosines are those of item vectors of a `space`: "factors" (by default, where the
    pool's model has some), "cooccurrence", "features" (of items) or "none". `items` is a table with `item_id` and
    columns of numbers, each a feature.

    For its accuracy users are dealt into `n_folds`, and each is ranked by coefficients that were fitted without it:
    nDCG@10 against validation likes, beside that of the pool's own order, and a 95 % interval of the difference over
    users. `Likelihood.beats_base` says whether it is not below. Apply it to the candidates of the model refitted to
    train and validation (`recsys.likelihoods.apply_likelihood`).

    Raises:
        RecsysError: if the split has no validation likes, the pool is of other users, items or histories, none or all
            of the candidates are liked, a feature is unknown or cannot be made, or a setting is invalid.
    """
    check_choice("kind", kind, LIKELIHOOD_KINDS, where="likelihood")
    if space is not None:
        check_choice("space", space, SPACES, where="likelihood")
    n, keep_top = check_int("likelihood: n", n, 2), check_int("likelihood: keep_top", keep_top, 1)
    sample_share = check_number("likelihood: sample_share", sample_share, above=0, most=1)
    regularization = check_number("likelihood: regularization", regularization, above=0)
    n_folds, seed = check_int("likelihood: n_folds", n_folds, 2), check_int("likelihood: seed", seed)
    pool = _select_pool(pool, split, n)
    context = pool.context
    if space is None:
        space = "cooccurrence" if context.population.factors is None else "factors"
    if missing := find_missing_parts(context, space, False):
        raise RecsysError(f"likelihood: the pool has no {missing}, expected them for space '{space}'")
    has_maps = not find_missing_parts(context, space, True)
    columns, notes = ({}, []) if items is None else join_item_columns(items, split.item_ids, list_feature_names())
    names, told = _choose_features(features, space, has_maps, columns)
    tables = get_feature_tables(context, space, has_maps)
    liked = mark_held_out(pool.users, pool.items, split.validation)
    sample = _draw_sample(pool, tables, names, columns, liked, keep_top, sample_share, n, seed, kind)
    fold_of_user = deal_folds(pool.draw_keys, n_folds, seed)
    _check_classes(sample, fold_of_user, n_folds)
    kept, left_out = _find_varying_features(sample, names, kind)
    sample, names = replace(sample, features=sample.features[:, kept]), [names[f] for f in kept]
    notes = [*notes, *told, *left_out]
    means, scales = _standardize(sample)
    choices = _make_choices(sample, means, scales, kind)
    fit = fit_softmax if kind == "softmax" else fit_logistic
    whole = fit(choices, regularization)
    row_fold = fold_of_user[np.unique(sample.users)]
    folds = [fit(choices.select_users(row_fold != k), regularization, whole.coefficients) for k in range(n_folds)]
    made = _make_record(
        whole, folds, names, means, scales, kind,
        space=space, has_maps=has_maps, head=n, n_items=len(split.item_ids), items_digest=digest_ids(split.item_ids),
        columns={name: values for name, values in columns.items() if name in names}, seed=seed, notes=notes,
        n_likes=int(liked.sum()),
    )  # fmt: skip
    scores = score_out_of_fold(pool, tables, made)
    if kind == "logistic":
        made, scores = _calibrate(made, scores, liked, pool.items >= 0)
    return _compare_with_base(made, pool, scores, split)


def _select_pool(pool: Pool, split: Split, n: int) -> Pool:
    """Return the best n candidates of the users with validation likes.

    Raises:
        RecsysError: if there are none, or the pool is not of the split's users, items and training histories.
    """
    if not isinstance(split, Split):
        raise RecsysError(f"likelihood: found a {type(split).__name__} for split, expected a Split")
    if not split.validation.nnz:
        raise RecsysError("likelihood: the split has no validation likes, expected a share of them to fit to")
    context = pool.context
    for name, own, theirs in (("users", context.user_ids, split.user_ids), ("items", context.item_ids, split.item_ids)):
        if not np.array_equal(own, theirs):
            raise RecsysError(f"likelihood: the pool is of other {name} than the split, expected the same ids")
    train = context.train
    if train is None or train.nnz != split.train.nnz or _differ(train, split.train):
        raise RecsysError(
            "likelihood: the pool's histories are not split.train, expected candidates of a model fitted to split.train"
        )
    chosen = np.flatnonzero(np.diff(split.validation.indptr)[pool.users] > 0)
    if not len(chosen):
        raise RecsysError("likelihood: no user of the pool has validation likes, expected some")
    items, scores = (np.ascontiguousarray(array[chosen, :n]) for array in (pool.items, pool.scores))
    return Pool(pool.users[chosen], cast(Ints, items), cast(Floats, scores), context)


def _differ(one: Csr, other: Csr) -> bool:
    """Return whether two matrices of equally many entries have them elsewhere."""
    one, other = (matrix if matrix.has_sorted_indices else matrix.sorted_indices() for matrix in (one, other))
    return not (np.array_equal(one.indptr, other.indptr) and np.array_equal(one.indices, other.indices))


def _choose_features(
    wanted: Sequence[str] | None, space: str, has_maps: bool, columns: Mapping[str, Doubles]
) -> tuple[list[str], list[str]]:
    """Return the names of the features to be fitted, and notes on those that cannot be made."""
    known = [*list_feature_names(), *columns]
    gone = {} if has_maps else dict.fromkeys(REGION_FEATURES, "the pool has no own maps")
    gone |= {} if space != "none" else dict.fromkeys(COSINE_FEATURES, "space is 'none'")
    if not has_maps and space == "none":
        gone |= dict.fromkeys((name for name in known if name.startswith("unexplored")), "neither maps nor a space")
    if wanted is None:
        told = {reason: [name for name in gone if gone[name] == reason] for reason in dict.fromkeys(gone.values())}
        return [name for name in known if name not in gone], [
            f"left out: {', '.join(names)} ({reason})" for reason, names in told.items()
        ]
    names = list(dict.fromkeys(wanted))
    for name in names:
        if name not in known:
            raise make_unknown_name_error("feature", name, known, where="likelihood")
        if name in gone:
            raise RecsysError(f"likelihood: feature '{name}' cannot be made: {gone[name]}")
    if not names:
        raise RecsysError("likelihood: features is empty, expected names of features")
    return names, []


def _draw_sample(
    pool: Pool, tables: FeatureTables, names: list[str], columns: dict[str, Doubles], liked: Bools, keep_top: int,
    sample_share: float, head: int, seed: int, kind: str,
) -> Sample:  # fmt: skip
    """Return the candidates that are fitted to; of kind "softmax" those of users who like one of theirs."""
    there = pool.items >= 0
    sure = there & (liked | (np.arange(pool.items.shape[1]) < keep_top))
    drawn = rng.draw_uniforms(seed, "likelihood sample", pool.draw_keys[:, None], np.maximum(pool.items, 0))
    chosen = np.asarray(sure | (there & (drawn < sample_share)))
    if kind == "softmax":
        chosen &= np.asarray(liked.any(axis=1))[:, None]
    starts = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))])
    found = np.empty((int(starts[-1]), len(names)), np.float32)

    def work(block: slice) -> None:
        part = pool.slice_users(block.start, block.stop)
        made = compute_features(part, tables, names, head, columns)
        found[starts[block.start] : starts[block.stop]] = made[chosen[block]]

    run_over_users(work, len(pool.users))
    return Sample(found, liked[chosen], np.where(sure, 1.0, 1.0 / sample_share)[chosen], np.nonzero(chosen)[0])


def _check_classes(sample: Sample, fold_of_user: Longs, n_folds: int) -> None:
    """Refuse a sample of one class only, and folds without users."""
    n, likes = len(sample.liked), int(sample.liked.sum())
    if not 0 < likes < n:
        raise RecsysError(f"likelihood: {likes} of {n} candidates are validation likes, expected a part of them")
    folds = np.unique(fold_of_user[sample.users[sample.liked]])
    if len(folds) < n_folds:
        found = f"users who like a candidate are in {len(folds)} of {n_folds} folds"
        raise RecsysError(f"likelihood: {found}, expected more users, or fewer folds: n_folds")


def _find_varying_features(sample: Sample, names: list[str], kind: str) -> tuple[Longs, list[str]]:
    """Return which features are finite and vary (of kind "softmax" within users), and notes on the others."""
    finite = np.isfinite(sample.features).all(axis=0)
    values = np.where(finite, sample.features, 0.0).astype(np.float64)
    size = np.abs(values).max(axis=0, initial=0.0)
    if kind == "softmax":
        starts = np.flatnonzero(np.diff(sample.users, prepend=-1))
        lengths = np.diff(np.append(starts, len(values)))
        means = np.add.reduceat(values, starts, axis=0) / lengths[:, None]
        values = values - np.repeat(means, lengths, axis=0)
    varies = values.std(axis=0) > 1e-6 * np.maximum(size, 1e-30)
    kept = np.flatnonzero(finite & varies)
    if not len(kept):
        raise RecsysError("likelihood: no feature varies among the candidates, expected one that does")
    where = "within users" if kind == "softmax" else "among candidates"
    reasons = {"not finite": ~finite, f"constant {where}": finite & ~varies}
    return kept, [
        f"left out: {', '.join(name for name, out in zip(names, gone, strict=True) if out)} ({reason})"
        for reason, gone in reasons.items()
        if gone.any()
    ]


def _standardize(sample: Sample) -> tuple[Doubles, Doubles]:
    """Return the weighted means and standard deviations of the features."""
    values, weights = sample.features.astype(np.float64), sample.weights / sample.weights.sum()
    means = weights @ values
    return means, np.sqrt(np.maximum(weights @ (values - means) ** 2, 1e-24))


def _make_choices(sample: Sample, means: Doubles, scales: Doubles, kind: str) -> Choices:
    features = (sample.features - means) / scales
    if kind == "logistic":
        features = np.column_stack([features, np.ones(len(features))])
    return Choices(features, sample.liked, sample.weights, np.flatnonzero(np.diff(sample.users, prepend=-1)))


def _make_record(
    whole: FittedChoice, folds: list[FittedChoice], names: list[str], means: Doubles, scales: Doubles, kind: str, *,
    space: str, has_maps: bool, head: int, n_items: int, items_digest: str, columns: dict[str, Doubles], seed: int,
    notes: list[str], n_likes: int,
) -> Likelihood:  # fmt: skip
    f = len(names)
    each = np.stack([one.coefficients for one in folds])
    intercepts = each[:, f] if kind == "logistic" else np.zeros(len(each))
    return Likelihood(
        kind=kind, features=_make_strings(names), means=means, scales=scales, coefficients=whole.coefficients[:f],
        covariance=whole.covariance[:f, :f], intercept=float(whole.coefficients[f]) if kind == "logistic" else 0.0,
        space=space, has_maps=has_maps, head=head, n_items=n_items, items_digest=items_digest,
        columns=_make_strings(columns), column_values=np.array([*columns.values()]).reshape(len(columns), n_items),
        fold_seed=seed, fold_coefficients=each[:, :f], fold_intercepts=intercepts, n_users=1, n_likes=n_likes,
        ndcg=0.0, base_ndcg=0.0, ci_low=0.0, ci_high=0.0, notes=_make_strings(notes),
    )  # fmt: skip


def _make_strings(texts: Any) -> Strings:
    return np.asarray(list(texts), dtype=np.str_)


def _calibrate(made: Likelihood, scores: Doubles, liked: Bools, there: Bools) -> tuple[Likelihood, Doubles]:
    """Return the likelihood whose score is the log-odds of a like, by Platt's curve of the scores out of fold."""
    slope, offset = fit_platt_curve(scores[there], liked[there])
    if not slope > 0:
        slope, offset = 1.0, 0.0
    calibrated = replace(
        made,
        coefficients=slope * made.coefficients,
        covariance=slope**2 * made.covariance,
        intercept=slope * made.intercept + offset,
        fold_coefficients=slope * made.fold_coefficients,
        fold_intercepts=slope * made.fold_intercepts + offset,
    )
    return calibrated, slope * scores + offset


def _compare_with_base(made: Likelihood, pool: Pool, scores: Doubles, split: Split) -> Likelihood:
    """Return the likelihood with its nDCG@10 out of fold, the base's, and the interval of the difference."""
    from recsys.metrics import ndcg  # here: a server that applies a likelihood needs no metrics

    truth = GroundTruth(split.validation_view())

    def judge(items: Anys) -> Doubles:
        shown = np.full((len(split.user_ids), K), -1, np.int32)
        shown[pool.users, : items.shape[1]] = items[:, :K]
        return ndcg(Evaluation(shown, truth), K).values[pool.users]

    ours, base = judge(np.take_along_axis(pool.items, order_best_first(scores, pool.items), axis=1)), judge(pool.items)
    apart = ours - base
    reach = NORMAL * float(apart.std(ddof=1)) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
    return replace(
        made, n_users=len(apart), ndcg=float(ours.mean()), base_ndcg=float(base.mean()),
        ci_low=float(apart.mean()) - reach, ci_high=float(apart.mean()) + reach,
    )  # fmt: skip
