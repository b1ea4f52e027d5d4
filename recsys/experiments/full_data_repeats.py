"""What users may buy again where nothing is held out: for the ranker of a run that is exported."""

from dataclasses import replace

from recsys.configs import Config, RunSpec
from recsys.evidence import categorize_items, fit_repurchases, measure_complements
from recsys.experiments.pipeline import split_dataset
from recsys.experiments.repeat_pools import reads_repeats
from recsys.experiments.run_repeats import apply_complements, apply_section, needs_repurchases
from recsys.splits import select_purchases
from recsys.types import Dataset, Split
from recsys.types.repeats import RepeatHistories
from recsys.types.time_weights import SECONDS_PER_DAY


def add_purchases(settings: Config, dataset: Dataset, split: Split) -> Split:
    """Return a split that holds nothing out with all purchases, where [evidence.repeat] asks for them."""
    if settings.evidence is None or settings.evidence.repeat is None or dataset.interactions.datetime is None:
        return split
    end = int(dataset.interactions.datetime.max()) + 1
    return replace(split, purchases=select_purchases(dataset, split, until=end), cuts=(end,))


def build_full_data_repeats(settings: Config, spec: RunSpec, dataset: Dataset, split: Split) -> RepeatHistories | None:
    """Return what users may buy again at the end of the data, None for a run that keeps no slots for it.

    The window is as long as the one that the config's split holds out for the evaluation.
    """
    purchases = split.train_purchases
    if not reads_repeats(spec, settings) or purchases is None or settings.evidence is None:
        return None
    section = settings.evidence.repeat
    assert section is not None
    if section.score == "complements":
        found = measure_complements(purchases, window=section.window)
        return apply_complements(section, purchases, found, purchases.end)
    held = split_dataset(settings, dataset)
    start, end = (held.test_view() if settings.evaluation.split == "test" else held.validation_view()).cuts
    model = fit_repurchases(purchases, categorize_items(split.items)) if needs_repurchases(section) else None
    return apply_section(section, purchases, model, purchases.end, (end - start) / SECONDS_PER_DAY)
