"""Sampled negatives: a few items among which a held-out positive is ranked."""

from dataclasses import dataclass

from recsys.types.arrays import Ints


@dataclass(frozen=True, eq=False)
class SampledNegatives:
    """P held-out positives, and the items that each is ranked among: never itself, none twice.

    What is measured against a sample is inconsistent with what is measured against the catalogue, also in which
    of two models is better (Krichene and Rendle 2020). It is there to check published numbers, and is called
    sampled wherever it is printed.
    """

    users: Ints  # (P,) rows of the split
    items: Ints  # (P,) the positive
    negative_items: Ints  # (P, N) item codes, -1 = none
    source: str  # "seed 3, 99 each", or the name of a file
    n_dropped: int = 0  # how many were left out because they were the positive, or there already
