"""Examples for reports: for a few users, the slate of the base beside that of a blend."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recsys.configs import RunSpec
from recsys.experiments.repeat_pools import build_or_load_run_pool, reads_repeats
from recsys.experiments.results import Bench
from recsys.reports import Example
from recsys.reranking.opportunity_costs import OpportunityCosts, opportunity_costs
from recsys.types import RecsysError, Slates, Split
from recsys.types.arrays import Longs

USERS, HISTORY = 5, 10


def make_examples(bench: "Bench", preferred: Sequence[str]) -> list[Example]:
    """Return five users of the first blend in `preferred`, or of the first there is; none without a blend.

    They have histories short to long: the middle ones of five equal parts of those whose slate is not the base's.
    """
    config = bench.preparation.config
    blends = {spec.name: spec for spec in bench.specs if spec.kind == "blend"}
    name = next((run for run in [*preferred, *blends] if run in blends), None)
    slates = bench.slates[config.headline_k]
    if name is None or config.base_name not in slates:
        return []
    base, shown = slates[config.base_name], slates[name]
    split = bench.preparation.split
    rows = _choose_rows(split, base, shown)
    costs = _compute_costs(bench, blends[name], shown, rows) if len(rows) else None
    return [_build_example(split, base, shown, name, int(row), costs, i) for i, row in enumerate(rows)]


def _choose_rows(split: Split, base: Slates, shown: Slates) -> Longs:
    """Return rows of the slates, those with the shortest histories first."""
    unlike = np.flatnonzero((np.sort(base.items, axis=1) != np.sort(shown.items, axis=1)).any(axis=1))
    lengths = np.diff(split.train.indptr)[shown.users[unlike]]
    ordered = unlike[np.argsort(lengths, kind="stable")]
    places = ((np.arange(USERS) + 0.5) * len(ordered) / USERS).astype(np.int64)
    found: Longs = ordered[np.unique(places)] if len(ordered) else ordered
    return found


def _compute_costs(bench: "Bench", spec: "RunSpec", shown: Slates, rows: Longs) -> OpportunityCosts | None:
    """Return the items that the picks of some rows displace; None where a guard shows items that are no candidates."""
    config = bench.preparation.config
    about = (spec.model or config.model, spec.pool or config.pool, spec.by_likelihood, reads_repeats(spec, config))
    whole, _ = build_or_load_run_pool(bench.preparation, *about)
    some = replace(whole, users=whole.users[rows], items=whole.items[rows], scores=whole.scores[rows])
    of = replace(shown, users=shown.users[rows], items=shown.items[rows])
    try:
        return opportunity_costs(some, of, spec.blend or {})
    except RecsysError:
        return None


def _build_example(
    split: Split, base: Slates, shown: Slates, name: str, row: int, costs: OpportunityCosts | None, place: int
) -> Example:
    user = int(shown.users[row])
    liked = split.train.indices[slice(*split.train.indptr[user : user + 2])]
    if split.train_times is not None:
        times = split.train_times.indices[slice(*split.train_times.indptr[user : user + 2])]
        when = split.train_times.data[slice(*split.train_times.indptr[user : user + 2])]
        liked = times[np.argsort(-when, kind="stable")]
    picks = [int(item) for item in shown.items[row] if item >= 0]
    test = split.test.indices[slice(*split.test.indptr[user : user + 2])]
    instead = [-1] * len(picks) if costs is None else costs.items[place, : len(picks)].tolist()
    amounts = [np.nan] * len(picks) if costs is None else costs.amounts[place, : len(picks)].tolist()

    def titled(items: Sequence[int]) -> tuple[str, ...]:
        return tuple((split.items.titles[i] or split.item_ids[i]) if i >= 0 else "" for i in items)

    return Example(
        user=str(split.user_ids[user]),
        history=titled(liked[:HISTORY].tolist()),
        n_history=len(liked),
        base=titled([int(item) for item in base.items[row] if item >= 0]),
        blend=name,
        picks=titled(picks),
        displaced=titled(instead),
        costs=tuple(None if np.isnan(amount) else float(amount) for amount in amounts),
        held_out=frozenset(titled(test.tolist())),
    )
