"""A search over the half-life of evidence: models, pools and own maps follow it, what judges does not."""

import shutil

import pandas as pd
import pytest
from searches import CONFIG
from synthetic import write_tables

from recsys import configs
from recsys.experiments import bench
from recsys.sweeps import sweep
from recsys.sweeps.plans import read_sweep
from recsys.types import RecsysError

AGED = CONFIG.replace("[split]", '[split]\nkind = "global_time"').replace('"coverage"', '"discovery"')
SEARCH = """
extends = "aged.toml"

[sweep]
maximize = ["ndcg@5", "discovery@5"]
trials = 3
accuracy_budget = "60%"

[time]
half_life = { float = [0.01, 0.1], log = true }

[blends.wide]
relevance = 1.0
negative_space = { float = [0.1, 1.0] }
guards = { exclude = { items = ["3", "23"] } }
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps")
    write_tables(folder, users=110)
    (folder / "aged.toml").write_text(AGED, encoding="utf-8")
    (folder / "search.toml").write_text(SEARCH, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cells"))
        return folder, sweep(folder / "search.toml", out=tmp_path_factory.mktemp("runs"), quiet=True)


@pytest.fixture
def home(template, tmp_path, monkeypatch):
    shutil.copytree(template[0], tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "home" / "cells"))
    return tmp_path / "home"


def test_a_trials_value_is_that_of_a_benchmark_with_its_half_life(home, template):
    trials = template[1].trials
    assert trials["time.half_life"].nunique() == 3 and trials["base ndcg@5"].nunique() == 1
    row = trials.iloc[1]
    text = (
        AGED.replace("[evaluation]", '[evaluation]\nsplit = "validation"')
        + f"""
[time]
half_life = {float(row["time.half_life"])!r}

[blends.again]
relevance = 1.0
negative_space = {float(row["blends.wide.negative_space"])!r}
guards = {{ exclude = {{ items = ["3", "23"] }} }}

[control]
compare = false
"""
    )
    (home / "again.toml").write_text(text, encoding="utf-8")
    found = bench("again.toml", out="runs", quiet=True).summary.set_index(["run", "metric", "k"]).value
    for metric in ("ndcg", "discovery"):
        assert found["again", metric, 5] == pytest.approx(row[f"{metric}@5"], abs=1e-12)
    assert found["ease", "ndcg", 5] != row["base ndcg@5"]  # the base of the search does not age


def test_the_winner_gives_what_was_judged_on_test(home, template):
    done = template[1]
    chosen = done.chosen.trial.iloc[0]
    assert done.winner.time.half_life == done.trials.set_index("trial").loc[chosen, "time.half_life"]
    shutil.copy(done.folder / "winner.toml", home / "winner.toml")
    again = bench("winner.toml", out="runs", quiet=True).summary
    columns = ["metric", "k", "value", "ci_low", "ci_high"]
    ours, theirs = (
        table[table.run == run][columns].reset_index(drop=True)
        for table, run in ((again, "wide"), (done.test_bench.summary, f"wide-{chosen}"))
    )
    pd.testing.assert_frame_equal(ours, theirs)
    slates = done.test_bench.slates[5][f"wide-{chosen}"]
    assert not {"3", "23"} & set(slates.item_ids[slates.items].ravel().tolist())


def test_the_base_ages_as_in_the_config_that_is_extended(home):
    assert read_sweep("search.toml").base_config().time is None
    (home / "aged.toml").write_text(AGED + "\n[time]\nhalf_life = 0.2\n", encoding="utf-8")
    assert read_sweep("search.toml").base_config().time.half_life == 0.2
    assert configs.read_config("aged.toml").time.half_life == 0.2


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("half_life = {", "half_life = 3\nnow = {", "time.now has a range, which would change what is measured"),
        ("[0.01, 0.1], log", "[-1, 0.1], log", "range of time.half_life"),
        ("[blends.wide]", "[blends.b]\nrelevance = { float = [0.5, 1.0] }\n[blends.wide]",
         "time.half_life has a range beside 2 blends"),
    ],
)  # fmt: skip
def test_searches_that_cannot_be_are_one_line(home, old, new, line):
    (home / "search.toml").write_text(SEARCH.replace(old, new), encoding="utf-8")
    with pytest.raises(RecsysError, match=line) as error:
        read_sweep("search.toml")
    assert "\n" not in str(error.value)


def test_a_split_that_is_not_at_one_point_in_time_is_refused(home):
    (home / "aged.toml").write_text(AGED.replace('kind = "global_time"', ""), encoding="utf-8")
    with pytest.raises(
        RecsysError, match=r"search: time.half_life has a range, and the split per_user_time is not at one"
    ):
        sweep("search.toml", out="runs", quiet=True)
