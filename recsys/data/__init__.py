"""Public datasets and your own, as one validated `Dataset`."""

from recsys.data.card_files import list_datasets, read_card
from recsys.data.cards import Card
from recsys.data.datasets import load_dataset, read_dataset, read_exposures, read_frame
from recsys.data.profile import Description, describe_dataset
from recsys.data.sources import fetch_dataset

__all__ = [
    "Card",
    "Description",
    "describe_dataset",
    "fetch_dataset",
    "list_datasets",
    "load_dataset",
    "read_card",
    "read_dataset",
    "read_exposures",
    "read_frame",
]
