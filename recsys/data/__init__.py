"""Public datasets and your own, as one validated `Dataset`."""

from recsys.data.card_files import list_datasets, read_card
from recsys.data.cards import Card
from recsys.data.check_figures import CheckFigure
from recsys.data.check_policies import CheckLimits, CheckPolicy, read_policy
from recsys.data.data_checks import DataCheck, check_data
from recsys.data.datasets import load_dataset, read_dataset, read_exposures, read_frame
from recsys.data.profile import Description, describe_dataset
from recsys.data.sources import fetch_dataset

__all__ = [
    "Card",
    "CheckFigure",
    "CheckLimits",
    "CheckPolicy",
    "DataCheck",
    "Description",
    "check_data",
    "describe_dataset",
    "fetch_dataset",
    "list_datasets",
    "load_dataset",
    "read_card",
    "read_dataset",
    "read_exposures",
    "read_frame",
    "read_policy",
]
