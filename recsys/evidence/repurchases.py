"""Hazards of repurchase by item: fitted, their families chosen on held-out gaps, saved and loaded."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.evidence.gap_fits import fit_log_gaps
from recsys.evidence.gaps import Gaps, list_gaps
from recsys.evidence.hazards import compute_log_hazards, cumulate_hazards
from recsys.evidence.rate_fits import fit_rates
from recsys.evidence.user_rates import fit_user_kappa, measure_user_rates
from recsys.maths.renewals import FAMILIES, LOG_NORMAL, WEIBULL
from recsys.support.record_files import load_record, save_record
from recsys.types.arrays import Anys, Bools, Doubles, Ints
from recsys.types.checks import check_array
from recsys.types.errors import RecsysError, check_choice
from recsys.types.numbers import check_number
from recsys.types.purchases import Purchases
from recsys.types.repurchases import Repurchases

MIN_HELD_OUT = 30  # observed held-out gaps of a category that chooses for itself; others take the catalogue's choice


def fit_repurchases(
    purchases: Purchases,
    categories: Anys | None = None,
    *,
    validation: float = 0.25,
    families: Sequence[str] = FAMILIES,
    min_gap: float = 1.0,
) -> Repurchases:
    """Return when items are bought again, fitted to the gaps between purchases of each pair of user and item.

    The last gap of each pair is censored at the moment that purchases are known until. `categories` (I,) are codes of
    items from 0 on, -1 for an item without one: such items are a category of their own. Without them all items are
    one. The family of a category, and whether users have rates of their own, is what gives held-out gaps the largest
    likelihood: fitted to the first 1 - `validation` of the time, judged on the rest; then all is fitted to the whole.
    Purchases of a pair that are nearer than `min_gap` days are one.

    Raises:
        RecsysError: if too few items were bought twice, before or after the cut; or for an invalid setting.
    """
    share = check_number("repurchases: validation", validation, above=0, below=1, noun="a share")
    least = check_number("repurchases: min_gap", min_gap, above=0)
    if isinstance(families, str) or not len(families):
        raise RecsysError(f"repurchases: families is {families!r}, expected a list of names such as {list(FAMILIES)}")
    for name in families:
        check_choice("family", name, FAMILIES, where="repurchases")
    category, n_categories = _check_categories(categories, purchases.n_items)
    gaps = list_gaps(purchases, least)
    begin = int(purchases.datetime.min(initial=purchases.end))
    cut = begin + round((purchases.end - begin) * (1.0 - share))
    known = list_gaps(purchases.take_before(cut), least)
    for name, found in (("before", known), ("on both sides of", gaps)):
        _check_gaps(found, f"{name} the moment that families are chosen by, {np.datetime64(cut, 's')}")
    draft = _fit_all(known, category, n_categories, least)
    draft = _choose_families(draft, gaps, cut, [FAMILIES.index(name) for name in families])
    draft = _choose_user_rates(draft, known, gaps, cut)
    made = _fit_all(gaps, category, n_categories, least)
    chosen = {name: getattr(draft, name) for name in ("family", "held_out", "held_out_users", "user_kappa")}
    made = replace(made, **chosen, n_without_category=_count_without_category(categories))
    return made if not made.user_kappa else replace(made, user_kappa=fit_user_kappa(made, gaps))


def save_repurchases(model: Repurchases, path: str | Path) -> Path:
    """Write fitted repurchases as .npz, whole or not at all, and return the path.

    Raises:
        RecsysError: if the file cannot be written.
    """
    return save_record(model, path)


def load_repurchases(path: str | Path) -> Repurchases:
    """Return the repurchases that `save_repurchases` wrote, their arrays checked.

    Raises:
        RecsysError: if they cannot be read, or the file holds something else.
    """
    return load_record(Repurchases, path, "holds no repurchases that can be read")


def _check_categories(categories: Anys | None, n_items: int) -> tuple[Ints, int]:
    """Return the category of each item, and how many there are; the last holds the items without one."""
    if categories is None:
        return np.zeros(n_items, dtype=np.int32), 1
    codes = np.asarray(categories)
    check_array("repurchases: categories", codes, (n_items,), "i")
    if n_items and int(codes.min()) < -1:
        raise RecsysError(f"repurchases: categories holds {int(codes.min())}, expected codes from 0 on, or -1 for none")
    _, made = np.unique(codes[codes >= 0], return_inverse=True)
    n_named = int(made.max(initial=-1)) + 1
    category = np.full(n_items, n_named, dtype=np.int32)
    category[codes >= 0] = made
    return category, n_named + 1


def _count_without_category(categories: Anys | None) -> int:
    return 0 if categories is None else int((np.asarray(categories) < 0).sum())


def _check_gaps(gaps: Gaps, place: str) -> None:
    if gaps.observed.sum() < 2:
        raise RecsysError(
            f"repurchases: found {int(gaps.observed.sum())} purchases of an item again {place}, expected at least 2: "
            "hazards are fitted to gaps between purchases of one item by one user"
        )


def _fit_all(gaps: Gaps, category: Ints, n_categories: int, min_gap: float) -> Repurchases:
    """Return all families fitted to gaps, none of them chosen."""
    fits = [fit_log_gaps(family, gaps, category, n_categories) for family in (WEIBULL, LOG_NORMAL)]
    rates = fit_rates(gaps, category, n_categories)
    return Repurchases(
        family=np.zeros(gaps.n_items, dtype=np.int32),
        category=category,
        slope=np.stack([one.slope for one in fits]),
        offset=np.stack([one.offset for one in fits]),
        share=np.stack([one.share for one in fits]),
        **rates._asdict(),
        held_out=np.zeros((n_categories + 1, len(FAMILIES))),
        user_kappa=0.0,
        held_out_users=0.0,
        min_gap=min_gap,
        until=gaps.until,
        n_gaps=int(gaps.observed.sum()),
        n_pairs=int((~gaps.observed).sum()),
        n_merged=gaps.n_merged,
        n_without_category=0,
    )


def _choose_families(draft: Repurchases, gaps: Gaps, cut: int, allowed: list[int]) -> Repurchases:
    """Return the fit with each category's family: of the largest likelihood of gaps that end after the cut."""
    held = gaps.take_rows(_find_held_out(gaps, cut))
    group = draft.category[held.item]
    n = draft.n_categories
    trials = np.bincount(group, minlength=n)
    held_out = np.zeros((n + 1, len(FAMILIES)))
    for family in range(len(FAMILIES)):
        found = _score_gaps(draft, held, cut, family, None)
        held_out[:n, family] = np.bincount(group, found, n) / np.maximum(trials, 1)
        held_out[n, family] = found.mean()
    best = np.asarray(allowed)[held_out[:, allowed].argmax(axis=1)]
    few = np.bincount(group, held.observed, n) < MIN_HELD_OUT
    best[:n][few] = best[n]
    return replace(draft, family=best[:n][draft.category].astype(np.int32), held_out=held_out)


def _choose_user_rates(draft: Repurchases, known: Gaps, gaps: Gaps, cut: int) -> Repurchases:
    """Return the fit with kappa of users' rates, 0 where held-out gaps are likelier without them."""
    held = gaps.take_rows(_find_held_out(gaps, cut))
    rated = replace(draft, user_kappa=fit_user_kappa(draft, known))
    rates = measure_user_rates(rated, known)
    found = [float(_score_gaps(draft, held, cut, None, rate).mean()) for rate in (None, rates[held.user])]
    return replace(rated if found[1] > found[0] else draft, held_out_users=found[1])


def _find_held_out(gaps: Gaps, cut: int) -> Bools:
    """Return which gaps end at or after a moment."""
    return np.asarray(~gaps.observed | (gaps.start + np.round(gaps.days * 86_400.0) >= cut))


def _score_gaps(model: Repurchases, gaps: Gaps, cut: int, family: int | None, rates: Doubles | None) -> Doubles:
    """Return the log likelihood of each gap given that it had not ended at the cut, (R,)."""
    after = cumulate_hazards(model, gaps, gaps.days, family)
    before = cumulate_hazards(model, gaps, gaps.measure_elapsed(cut), family)
    rate = np.ones(len(gaps)) if rates is None else rates
    found = rate * (before - after)
    seen = gaps.take_rows(gaps.observed)
    found[gaps.observed] += np.log(rate[gaps.observed]) + compute_log_hazards(model, seen, seen.days, family)
    return found
