"""`[likelihood] columns` and `items`: numbers of items that a config brings."""

import numpy as np
import pandas as pd
import pytest
from synthetic import write_tables
from test_likelihood_runs import CONFIG

from recsys.configs import read_config
from recsys.experiments import bench
from recsys.experiments.exports import export
from recsys.experiments.item_columns import read_item_columns
from recsys.experiments.pipeline import load_dataset, split_dataset
from recsys.rankers import Ranker
from recsys.types import RecsysError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))
    write_tables(tmp_path)
    return tmp_path


def list_items(home):
    return load_dataset(read_config(write_config(home))).items.ids.tolist()


def write_config(home, likelihood="", data=""):
    text = CONFIG.replace('path = "ratings.csv"', f'path = "ratings.csv"\n{data}')
    (home / "own.toml").write_text(text.replace("n_folds = 3", f"n_folds = 3\n{likelihood}"))
    return home / "own.toml"


def write_prices(home, items, **columns):
    prices = {"price": [float(1 + i) for i in range(len(items))], **columns}
    pd.DataFrame({"item_id": items, **prices}).to_csv(home / "prices.csv", index=False)


def read_columns(path):
    config = read_config(path)
    split = split_dataset(config, load_dataset(config))
    return split, read_item_columns(config, split)


def test_columns_of_a_table_are_those_of_the_items_by_id(home):
    items = list_items(home)
    write_prices(home, items[::-1])
    split, found = read_columns(write_config(home, 'items = "prices.csv"'))
    wanted = {item: float(1 + n) for n, item in enumerate(items[::-1])}
    assert list(found.table) == ["item_id", "price"]
    assert found.table["item_id"] == split.item_ids.tolist()
    assert found.table["price"] == [wanted[item] for item in split.item_ids.tolist()]


def test_without_columns_and_items_there_are_none(home):
    assert read_columns(write_config(home))[1] is None


def test_features_and_columns_go_together(home):
    write_prices(home, list_items(home))
    path = write_config(home, 'items = "prices.csv"\ncolumns = ["price"]\nfeatures = ["score", "log_rank"]')
    done = bench(path, out=home / "runs", quiet=True)
    assert sorted(done.likelihood.features.tolist()) == ["log_rank", "price", "score"]
    assert done.likelihood.columns.tolist() == ["price"]


def test_the_catalogue_of_the_data_has_years_and_features(home):
    items = list_items(home)
    table = {
        "item_id": items,
        "year": 1990,
        "genres": ["Drama" if i % 2 else "Comedy|Drama" for i in range(len(items))],
    }
    pd.DataFrame({**table, "stock": range(len(items))}).to_csv(home / "items.csv", index=False)
    path = write_config(home, 'columns = ["Comedy", "stock", "year"]', 'items = "items.csv"')
    split, found = read_columns(path)
    place = {item: i for i, item in enumerate(items)}
    rows = [place[item] for item in split.item_ids.tolist()]
    assert found.table["Comedy"] == [float(row % 2 == 0) for row in rows]
    assert found.table["stock"] == rows
    assert set(found.table["year"]) == {1990}


def test_a_changed_table_is_another_run_and_another_likelihood(home):
    items = list_items(home)
    path = write_config(home, 'items = "prices.csv"')
    write_prices(home, items)
    first = bench(path, out=home / "runs", quiet=True)
    same = bench(path, out=home / "runs", quiet=True)
    write_prices(home, items[::-1])
    second = bench(path, out=home / "runs", quiet=True)
    assert first.folder == same.folder != second.folder
    assert not np.array_equal(first.likelihood.column_values, second.likelihood.column_values)


def test_a_ranker_that_is_exported_has_them(home):
    write_prices(home, list_items(home))
    path = write_config(home, 'items = "prices.csv"\nfeatures = ["score"]')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.likelihoods.records.Likelihood.beats_base", property(lambda self: True))
        export(path, home / "ranker", blend="likelihood", quiet=True)
        (home / "prices.csv").unlink()
        ranker = Ranker.load(home / "ranker")
        answer = ranker.rank(history=list_items(home)[:2], k=3)
    assert set(answer.feature_contributions()[0]) == {"score", "price"}


@pytest.mark.parametrize(
    ("likelihood", "columns", "message"),
    [
        ('items = "prices.csv"\ncolumns = ["prise"]', {}, r"\[likelihood\] columns: unknown column 'prise'.*'price'"),
        ('columns = ["price"]', {}, r"\[likelihood\] columns: unknown column 'price'"),
        ('items = "none.csv"', {}, r"none\.csv"),
        (
            'items = "prices.csv"',
            {"words": "x"},
            r"\[likelihood\] items: column 'words' holds 'x', expected numbers",
        ),
        ('items = "prices.csv"', {"score": 1.0}, r"\[likelihood\] items: column 'score' has the name of a feature"),
        ('items = "prices.csv"', {"empty": None}, r"\[likelihood\] items: column 'empty' is empty"),
        ('items = "prices.csv"', {"far": "inf"}, r"\[likelihood\] items: column 'far' holds infinity"),
    ],
)
def test_mistakes_are_one_line(home, likelihood, columns, message):
    write_prices(home, list_items(home), **columns)
    with pytest.raises(RecsysError, match=message) as caught:
        read_columns(write_config(home, likelihood))
    assert "\n" not in str(caught.value)


def test_names_of_the_catalogue_s_own_table_that_could_be_used_are_listed_once(home):
    items = list_items(home)
    table = {"item_id": items, "title": "A film", "year": 1990, "stock": 1}
    pd.DataFrame(table).to_csv(home / "items.csv", index=False)
    with pytest.raises(RecsysError, match=r"\(known: stock, year\)$"):
        read_columns(write_config(home, 'columns = ["price"]', 'items = "items.csv"'))
    with pytest.raises(RecsysError, match=r"^\[likelihood\] columns: column 'title' holds 'A film', expected numbers$"):
        read_columns(write_config(home, 'columns = ["title"]', 'items = "items.csv"'))


def test_a_table_without_ids_twice_the_same_or_of_other_items_is_refused(home):
    items = list_items(home)
    path = write_config(home, 'items = "prices.csv"')
    pd.DataFrame({"price": [1.0]}).to_csv(home / "prices.csv", index=False)
    with pytest.raises(RecsysError, match=r"\[likelihood\] items: .* expected item_id among them"):
        read_columns(path)
    write_prices(home, [items[0], *items])
    with pytest.raises(RecsysError, match="twice, expected each once"):
        read_columns(path)
    write_prices(home, ["of nobody"])
    with pytest.raises(RecsysError, match="none of the items of the split"):
        read_columns(path)
