"""What users of a benchmark may buy again, by [evidence.repeat]."""

import time

from recsys.configs import Config, RepeatSection
from recsys.evidence import (
    Complements,
    build_complements,
    build_repeats,
    categorize_items,
    fit_repurchases,
    measure_complements,
    measure_median_gaps,
    predict_repurchases,
)
from recsys.support.cache import Cache, CacheEntry
from recsys.support.serialization import flatten_record, restore_record
from recsys.types import Split
from recsys.types.purchases import Purchases
from recsys.types.repeats import RepeatHistories
from recsys.types.repurchases import Repurchases
from recsys.types.time_weights import SECONDS_PER_DAY


def build_run_repeats(config: Config, judged: Split, cache: Cache) -> RepeatHistories | None:
    """Return what the users of the split that is judged may buy again at its cut, None without [evidence.repeat].

    Median gaps of items, by which durables are told, and probabilities are those of hazards of repurchase that are
    fitted to the purchases before the cut. Without `hold_back_durables` nothing is held back.
    """
    purchases = judged.train_purchases
    if config.evidence is None or config.evidence.repeat is None or purchases is None:
        return None
    start, end = judged.cuts[-2:]
    model = None
    if config.evidence.repeat.score == "complements":
        found = _measure_or_load_complements(config.evidence.repeat, judged, purchases, cache)
        return apply_complements(config.evidence.repeat, purchases, found, start)
    if needs_repurchases(config.evidence.repeat):
        model = _fit_or_load_repurchases(judged, purchases, cache)
    return apply_section(config.evidence.repeat, purchases, model, start, (end - start) / SECONDS_PER_DAY)


def needs_repurchases(section: RepeatSection) -> bool:
    """Whether what users may buy again is told by hazards of repurchase."""
    return section.score == "hazard" or section.hold_back_durables


def apply_section(
    section: RepeatSection, purchases: Purchases, model: Repurchases | None, start: int, window: float
) -> RepeatHistories:
    """Return what the users of purchases may buy again at the moment `start` and in the `window` of days after it."""
    if model is None:
        return build_repeats(purchases, now=start, half_life=section.half_life)
    return build_repeats(
        purchases,
        now=start,
        half_life=section.half_life,
        probabilities=predict_repurchases(model, purchases, start, window) if section.score == "hazard" else None,
        median_gaps=measure_median_gaps(model) if section.hold_back_durables else None,
        window_days=window,
    )


def apply_complements(
    section: RepeatSection, purchases: Purchases, complements: Complements, start: int
) -> RepeatHistories:
    """Return what goes with what the users of purchases bought lately at the moment `start`."""
    about = {"share": section.share, "window": section.window, "min_lift": section.min_lift, "by": section.by}
    return build_complements(purchases, complements, now=start, **about)  # type: ignore[arg-type]


def _measure_or_load_complements(
    section: RepeatSection, judged: Split, purchases: Purchases, cache: Cache
) -> Complements:
    def measure() -> CacheEntry:
        start = time.perf_counter()
        found = measure_complements(purchases, window=section.window)
        return CacheEntry(flatten_record(found), time.perf_counter() - start)

    key = [judged.fingerprint, purchases.end, section.window]
    return restore_record(Complements, cache.get_or_make("complements", key, measure).arrays)


def _fit_or_load_repurchases(judged: Split, purchases: Purchases, cache: Cache) -> Repurchases:
    def fit() -> CacheEntry:
        start = time.perf_counter()
        model = fit_repurchases(purchases, categorize_items(judged.items))
        return CacheEntry(flatten_record(model), time.perf_counter() - start)

    arrays = cache.get_or_make("repurchases", [judged.fingerprint, purchases.end], fit).arrays
    return restore_record(Repurchases, arrays)
