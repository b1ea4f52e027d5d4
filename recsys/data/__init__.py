"""Public datasets and your own, as one validated `Dataset`."""

from recsys.data.cards import Card, card, names
from recsys.data.datasets import from_frame, load, read
from recsys.data.descriptions import Description, describe
from recsys.data.sources import fetch

__all__ = ["Card", "Description", "card", "describe", "fetch", "from_frame", "load", "names", "read"]
