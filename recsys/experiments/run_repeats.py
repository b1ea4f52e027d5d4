"""What users of a benchmark may buy again, by [evidence.repeat]."""

import time

from recsys.configs import Config
from recsys.evidence import (
    build_repeats,
    categorize_items,
    fit_repurchases,
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
    section, (start, end) = config.evidence.repeat, judged.cuts[-2:]
    if section.score == "frequency" and not section.hold_back_durables:
        return build_repeats(purchases, now=start, half_life=section.half_life)
    model, window = _fit_or_load_repurchases(judged, purchases, cache), (end - start) / SECONDS_PER_DAY
    return build_repeats(
        purchases,
        now=start,
        half_life=section.half_life,
        probabilities=predict_repurchases(model, purchases, start, window) if section.score == "hazard" else None,
        median_gaps=measure_median_gaps(model) if section.hold_back_durables else None,
        window_days=window,
    )


def _fit_or_load_repurchases(judged: Split, purchases: Purchases, cache: Cache) -> Repurchases:
    def fit() -> CacheEntry:
        start = time.perf_counter()
        model = fit_repurchases(purchases, categorize_items(judged.items))
        return CacheEntry(flatten_record(model), time.perf_counter() - start)

    arrays = cache.get_or_make("repurchases", [judged.fingerprint, purchases.end], fit).arrays
    return restore_record(Repurchases, arrays)
