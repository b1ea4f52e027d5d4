"""Whatever takes a path refuses what is none in one line, before it begins."""

from pathlib import Path

import pytest

import recsys as rs
from recsys import sweeps
from recsys.configs import read_config
from recsys.data.locations import resolve_data_folder
from recsys.data.published_splits import read_published_lists, read_published_ratings
from recsys.experiments import export, recommend
from recsys.likelihoods.stores import load_likelihood, save_likelihood
from recsys.models.stores import load_model
from recsys.reports.coefficients import write_coefficients
from recsys.reproductions.published_settings import read_reproduction
from recsys.sweeps.plans import read_sweep
from recsys.types import RecsysError
from recsys.types.paths import check_path

CONFIG = {"data": {"name": "ml-100k"}}
FITTED = type("EaseFit", (), {})()
TAKERS = {
    "bench": lambda path: rs.bench(CONFIG, out=path, quiet=True),
    "discover": lambda path: sweeps.discover(CONFIG, out=path, quiet=True),
    "sweep": lambda path: sweeps.sweep("ml-100k", out=path, quiet=True),
    "export": lambda path: export(CONFIG, path, quiet=True),
    "recommend": lambda path: recommend(CONFIG, path, quiet=True),
    "Ranker.load": rs.Ranker.load,
    "load_model": load_model,
    "load_likelihood": load_likelihood,
    "save_likelihood": lambda path: save_likelihood(FITTED, path),
    "write_coefficients": lambda path: write_coefficients(FITTED, path),
    "read_config": read_config,
    "read_sweep": read_sweep,
    "read_reproduction": read_reproduction,
    "read_published_lists": read_published_lists,
    "read_published_ratings": lambda path: read_published_ratings(path, "ml-1m"),
}


@pytest.mark.parametrize("path", [None, 3, b"runs", "a\0b", ["runs"]], ids=["none", "number", "bytes", "nul", "list"])
@pytest.mark.parametrize("name", TAKERS)
def test_what_is_no_path_is_one_line(name, path):
    with pytest.raises(RecsysError, match=r" is .*, expected (a|the) path") as caught:
        TAKERS[name](path)
    assert str(caught.value).count("\n") == 0


def test_a_path_is_itself():
    assert check_path("out", "runs") == check_path("out", Path("runs")) == Path("runs")
    with pytest.raises(RecsysError, match=r"^data_dir is 3, expected the path of a folder$"):
        resolve_data_folder(3)
