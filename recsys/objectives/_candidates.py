"""What several objectives need of a pool's candidates."""

import numpy as np

from recsys.maths import cooccurrence_vectors, feature_vectors, logistic, unit
from recsys.types import Context, Pool, RecsysError, unknown
from recsys.types.arrays import Bools, Doubles, Floats, Longs

SPACES = ("cooccurrence", "factors", "features")
FORMS = ("range", "rank", "probability")


def rows(pool: Pool) -> Longs:
    """Return the item code of each candidate, (U, N), with 0 where there is none."""
    return np.maximum(pool.items, 0).astype(np.int64)


def present(pool: Pool) -> Bools:
    """Return where there is a candidate, (U, N)."""
    return np.asarray(pool.items >= 0)


def plausibility(pool: Pool) -> Doubles:
    """Return each candidate's score on [0, 1] within its user's pool, (U, N): 1 the best, 0 the last.

    A pool in which all scores are equal is plausible throughout: 1.
    """
    here = present(pool)
    scores = pool.scores.astype(np.float64)
    low = np.where(here, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(here, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    width = np.where(high > low, high - low, 1.0)
    share = np.where(high > low, (scores - low) / width, 1.0)
    return np.where(here, share, 0.0)


def check_form(form: str, slope: float, offset: float, known: tuple[str, ...], who: str) -> None:
    """Refuse an unknown form of a score, "probability" without a curve, and a curve with another form."""
    if form not in known:
        raise unknown("form", form, known, where=who)
    if form != "probability" and (slope or offset):
        raise RecsysError(f"{who}: slope {slope} and offset {offset} with form '{form}', expected form 'probability'")
    if form == "probability" and not (0 < slope < np.inf and np.isfinite(offset)):
        found = f"{who}: slope is {slope} and offset {offset}"
        raise RecsysError(f"{found}, expected a slope above 0 and a number: recsys.likes.fit_likes fits both")


def worth(pool: Pool, form: str, slope: float, offset: float, who: str) -> Doubles:
    """Return what each candidate's score is worth on [0, 1], (U, N), 0 where there is none.

    "range" is `plausibility`; "rank" is 1 - (r - 1) / n for the r-th of a user's n candidates; "probability" is
    logistic(slope score + offset), with what `recsys.likes.fit_likes` returns.

    Raises:
        RecsysError: as `check_form` does.
    """
    check_form(form, slope, offset, FORMS, who)
    makers = {
        "range": lambda: plausibility(pool),
        "rank": lambda: 1.0 - np.arange(pool.items.shape[1]) / np.maximum(pool.lengths, 1)[:, None],
        "probability": lambda: logistic(slope * pool.scores.astype(np.float64) + offset),
    }
    return np.where(present(pool), makers[form](), 0.0)


def vectors(context: Context, space: str, who: str) -> Floats:
    """Return unit item vectors (I, d) of a named space, made once per context.

    Raises:
        RecsysError: if there is no such space, or the pool does not have what it is made of.
    """
    makers = {
        "cooccurrence": lambda: cooccurrence_vectors(context.need_train(who)),
        "factors": lambda: unit(context.need_factors(who).item_factors),
        "features": lambda: feature_vectors(context.need_items(who)),
    }
    if space not in makers:
        raise unknown("space", space, SPACES, where=who)
    return context.tables.get(f"vectors {space}", makers[space])


def check_strength(who: str, strength: float) -> None:
    """Refuse pseudo-observations that are none."""
    if not 0 < strength < np.inf:
        raise RecsysError(f"{who}: strength is {strength}, expected a number above 0")
