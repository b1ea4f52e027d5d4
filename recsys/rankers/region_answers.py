"""Answers about regions that requests bring: names of regions as codes, and as rows of the user's least squares."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from recsys.maths.region_answers import RegionAnswers, solve_with_regions
from recsys.models.factor_model import FittedFactors
from recsys.objectives.derived_tables import (
    get_factor_gram,
    get_familiarity,
    get_region_factors,
    get_region_names,
    get_region_shares,
)
from recsys.rankers.requests import RequestUser, build_user_context
from recsys.types import Context, Factors, RecsysError, Scorer
from recsys.types.arrays import Bools, Csr, Floats, Ints, Longs

ANSWERS = ("like", "dislike", "unknown")
MIN_ITEMS = 3  # that may be shown, of a region that is asked about
MAX_NAMED = 3  # items that stand for a region
_NEEDED_BY = "region_answers"


def refuse_regions(model: Scorer | None, context: Context, needed_by: str) -> None:
    """Refuse answers and questions about regions where there are none, or no factors that they would move.

    Raises:
        RecsysError: saying what is missing.
    """
    if not isinstance(model, FittedFactors):
        found = "no model" if model is None else type(model).__name__
        raise RecsysError(f"ranker: {needed_by} need a model of factors, such as als or ials, found {found}")
    if not context.maps:
        raise RecsysError(f"ranker: {needed_by} need own maps, found none")


def add_region_answers(context: Context, asker: RequestUser, answers: Mapping[Any, Any]) -> RequestUser:
    """Return the user of a request with answers about regions, by name; "unknown" says nothing.

    Names that are none of the ranker's are its `unknown_regions`.

    Raises:
        RecsysError: for something else than a mapping of names and answers.
    """
    if not isinstance(answers, Mapping):
        raise RecsysError(
            f"ranker: region_answers are {answers!r}, expected a mapping such as {{'region-1f0c': 'like'}}"
        )
    for name, answer in answers.items():
        if answer not in ANSWERS:
            raise RecsysError(f"ranker: the answer about {name} is {answer!r}, expected like, dislike or unknown")
    codes = get_region_names(context)[1]
    told = {codes[name]: answer == "like" for name, answer in answers.items() if name in codes and answer != ANSWERS[2]}
    unknown = tuple(str(name) for name in answers if name not in codes)
    return asker._replace(regions=dict(sorted(told.items())), unknown_regions=unknown)


def collect_region_answers(context: Context, asker: RequestUser) -> RegionAnswers | None:
    """Return the answers of a request as rows of least squares, None without any."""
    if not asker.regions:
        return None
    rows, scatter = get_region_factors(context, _NEEDED_BY)
    codes = list(asker.regions)
    return RegionAnswers(rows[codes], scatter[codes], np.array(list(asker.regions.values()), dtype=bool))


def solve_region_user(factors: Factors, context: Context, asker: RequestUser, answers: RegionAnswers) -> Floats:
    """Return the factor of the user of a request with answers about regions, (d,)."""
    asks, common = build_user_context(context, asker), get_factor_gram(context, _NEEDED_BY)
    return solve_with_regions(factors, common, asks.need_weighted_train(_NEEDED_BY), asks.dislikes, answers)


def name_region_answers(context: Context, asker: RequestUser) -> dict[str, str]:
    """Return the answers of a request by names of regions, as a request brings them."""
    if not asker.regions:
        return {}
    names = get_region_names(context)[0]
    return {names[code]: ANSWERS[0] if liked else ANSWERS[1] for code, liked in asker.regions.items()}


def find_open_regions(context: Context, open_items: Bools) -> Bools:
    """Return the regions that may be asked about, (Z,): with items enough that are open (I,), equal ones once."""
    names, codes = get_region_names(context)
    shares = get_region_shares(context)
    n_open = np.asarray((shares > 0).astype(np.float32).T @ open_items.astype(np.float32))
    made = n_open >= MIN_ITEMS
    made[[code for code, name in enumerate(names) if codes[name] != code]] = False
    return np.asarray(made)


def describe_regions(context: Context, regions: Longs, open_items: Bools) -> tuple[str, ...]:
    """Return the titles, or ids, of the open items of each region that most users know, as one text each."""
    columns = Csr(get_region_shares(context)[:, regions].T)
    known = get_familiarity(context, _NEEDED_BY)
    return tuple(
        _name_best(context, columns.indices[a:b], known, open_items)
        for a, b in zip(columns.indptr[:-1].tolist(), columns.indptr[1:].tolist(), strict=True)
    )


def list_liked_regions(context: Context, asker: RequestUser, item: int) -> tuple[int, ...]:
    """Return the regions that a request says to like and that an item lies in, codes."""
    if not asker.regions:
        return ()
    shares = get_region_shares(context)
    own = shares.indices[shares.indptr[item] : shares.indptr[item + 1]].tolist()
    return tuple(code for code in own if asker.regions.get(code))


def _name_best(context: Context, items: Ints, known: Any, open_items: Bools) -> str:
    there = np.sort(items[open_items[items]])
    best = there[np.argsort(-known[there], kind="stable")][:MAX_NAMED]
    titles = [] if context.items is None else [str(context.items.titles[code]) for code in best]
    return " / ".join(titles[n] if titles and titles[n] else str(context.item_ids[code]) for n, code in enumerate(best))
