"""Configs: defaults, expansion of weights, and one clear line for whatever cannot be."""

import csv
from pathlib import Path

import pytest

from recsys.configs import parse_config, read_config
from recsys.reproductions.published_settings import read_reproduction
from recsys.support.resources import find_shipped_folder
from recsys.sweeps import plans
from recsys.types import RecsysError

SMALL = {"data": {"path": "log.csv"}}


@pytest.mark.parametrize("name", ["ml-100k", "ml-latest-small", "own-csv"])
def test_every_shipped_config_reads_and_runs_the_controls(name):
    config = read_config(name)
    runs = {run.name: run.kind for run in config.list_runs()}
    assert [n for n, kind in runs.items() if kind == "control"] == ["most_popular", "random", "random_rerank"]
    assert runs["als"] == "base"
    assert runs["ease"] == "model"
    blends = [
        "mmr",
        "dpp",
        "calibration",
        "novelty",
        "popularity",
        "serendipity",
        "ucb",
        "thompson",
        "negative_space",
        "unexplored",
        "noise",
    ]
    for blend in blends:
        assert sum(n.startswith(f"{blend}-") for n in runs) == 3
    assert read_config(find_shipped_folder("configs") / f"{name}.toml").compute_digest() == config.compute_digest()


def test_a_list_of_weights_is_one_run_each():
    config = parse_config({**SMALL, "blends": {"both": {"relevance": 1, "mmr": {"weight": [0.1, 2], "agg": "mean"}}}})
    runs = [run for run in config.list_runs() if run.kind == "blend"]
    assert [(r.name, r.family, r.weight) for r in runs] == [("both-0.1", "both", 0.1), ("both-2", "both", 2.0)]
    assert runs[1].blend == {"relevance": 1, "mmr": {"weight": 2, "agg": "mean"}}


def test_each_weight_of_a_list_follows_what_the_table_says():
    config = parse_config(
        {**SMALL, "blends": {"told": {"relevance": 1, "novelty": {"weight": [0.1, 2], "adapt_to": "entropy"}}}}
    )
    assert [run.blend["novelty"] for run in config.list_runs() if run.kind == "blend"] == [
        {"weight": 0.1, "adapt_to": "entropy"},
        {"weight": 2, "adapt_to": "entropy"},
    ]


def test_the_digest_names_settings_and_not_the_name():
    assert (
        parse_config({**SMALL, "name": "a"}).compute_digest() == parse_config({**SMALL, "name": "b"}).compute_digest()
    )
    assert parse_config(SMALL).compute_digest() == parse_config({**SMALL, "pool": {"n": 200}}).compute_digest()
    assert parse_config(SMALL).compute_digest() != parse_config({**SMALL, "seed": 1}).compute_digest()


def test_a_resolved_config_reads_back_as_itself(tmp_path):
    import tomli_w

    config = read_config("ml-100k")
    path = tmp_path / "config.toml"
    path.write_text(tomli_w.dumps(config.dump_settings()), encoding="utf-8")
    assert read_config(path) == config


def test_paths_start_at_the_config_file(tmp_path):
    (tmp_path / "mine.toml").write_text('[data]\npath = "log.csv"\nitems = "items.csv"\n', encoding="utf-8")
    config = read_config(tmp_path / "mine.toml")
    assert config.data.path == str(tmp_path / "log.csv")
    assert config.data.items == str(tmp_path / "items.csv")
    assert config.name == "mine"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({}, "config: data is missing"),
        ({"data": {}}, "config: data has neither name nor path, expected one of name, path, reader and in_memory"),
        ({"data": {"name": "x", "items": "y"}}, "config: data has items beside name"),
        ({**SMALL, "splitt": {}}, "config: unknown key 'splitt': did you mean 'split'?"),
        ({**SMALL, "split": {"knd": "random"}}, "config: [split]: unknown key 'knd': did you mean 'kind'?"),
        ({**SMALL, "split": {"kind": "randum"}}, "config: [split] kind: unknown split 'randum': did you mean 'random'?"),
        ({**SMALL, "split": {"test": "much"}}, "config: [split] test is 'much': input should be a valid number"),
        ({**SMALL, "split": {"test": 0}}, "config: [split] test is 0: input should be greater than 0"),
        ({**SMALL, "model": {"kind": "asl"}}, "config: [model]: unknown model 'asl': did you mean 'als'?"),
        ({**SMALL, "model": {"kind": "als", "factor": 3}}, "[model] als: unknown setting 'factor': did you mean 'factors'"),
        ({**SMALL, "model": {"kind": "als", "factors": "many"}}, "[model]: factors is 'many', expected a finite number"),
        ({**SMALL, "models": {"e": {"kind": "eas"}}}, "unknown model 'eas': did you mean 'ease'?"),
        ({**SMALL, "evaluation": {"metrics": ["ndgc"]}}, "unknown metric 'ndgc': did you mean 'ndcg'?"),
        ({**SMALL, "slate": {"k": []}}, "config: [slate] k is [], expected 1 or more of them"),
        ({**SMALL, "slate": {"k": [0]}}, "config: [slate] k is [0], expected different whole numbers of at least 1"),
        ({**SMALL, "slate": {"k": [300]}}, "[slate] k is 300, expected at most [pool] n = 200"),
        ({**SMALL, "pool": {"exploration_share": 2}}, "[pool] exploration_share is 2: input should be less than or equal to 1"),
        ({**SMALL, "blends": {"x": {"novelty": {"weight": 1, "adapt_to": "age"}}}}, "blend: novelty: adapt_to is 'age', expected entropy"),
        ({**SMALL, "slate": {"temperature": -1}}, "[slate] temperature is -1: input should be greater than or equal to 0"),
        ({**SMALL, "slate": {"temperature": float("inf")}}, "[slate] temperature is inf: input should be a finite number"),
        ({**SMALL, "slate": {"order": "relevance", "epsilon": 0.1}}, "slate: order is 'relevance' where picks are drawn"),
        ({**SMALL, "slate": {"epsilon": 1.1}}, "[slate] epsilon is 1.1: input should be less than or equal to 1"),
        ({**SMALL, "blends": {"x": {"relevence": 1}}}, "[blends.x] blend: unknown objective 'relevence': did you mean"),
        ({**SMALL, "blends": {"x": {"negative_space": {"weight": 1, "tua": 1}}}}, "unknown setting 'tua': did you mean 'tau'"),
        ({**SMALL, "blends": {"x": {"novelty": [1], "noise": [1]}}}, "novelty and noise have lists of weights"),
        ({**SMALL, "blends": {"x": {"mmr": [[0.1], 0.2]}}}, "[blends.x]: a weight of mmr is [0.1], expected a finite number"),
        ({**SMALL, "blends": {"x": {"mmr": [0.1, "x"]}}}, "[blends.x]: a weight of mmr is 'x', expected a finite number"),
        ({**SMALL, "blends": {"x": {"mmr": {"weight": [0.1, True]}}}}, "a weight of mmr is True, expected a finite number"),
        ({**SMALL, "blends": {"x": {"mmr": []}}}, "[blends.x]: mmr has an empty list, expected at least one weight"),
        ({**SMALL, "blends": {"x": {"mmr": True}}}, "[blends.x] blend: the weight of 'mmr' is True, expected a number"),
        ({**SMALL, "evaluation": {"metrics": ["math:pi"]}}, "'math:pi' cannot be imported: it is a float, expected a function"),
        ({**SMALL, "model": {"kind": "als", "factors": 2.5}}, "als: factors is 2.5, expected a whole number from 1 on"),
        ({**SMALL, "blends": {"als": {"novelty": 1}}}, "two runs are called 'als'"),
        ({**SMALL, "guards": {"exlude": {}}}, "[guards] unknown guard 'exlude': did you mean 'exclude'?"),
        ({**SMALL, "guards": {"exclude": {"item": ["1"]}}}, "[guards] exclude: unknown setting 'item': did you mean 'items'?"),
        ({**SMALL, "guards": {"at_most": [{"m": -1}]}}, "[guards] at_most: m is -1, expected a whole number from 0 on"),
        ({**SMALL, "guards": {"at_most": {}}}, "[guards] at_most has no m, expected one"),
        ({**SMALL, "guards": {"at_most": 2}}, "[guards] at_most is 2, expected a table of settings"),
        ({**SMALL, "guards": {"nowhere:x": {}}}, "[guards] 'nowhere:x' cannot be imported"),
        ({**SMALL, "guards": {"cool_down": {"days": 3}}}, "cool_down needs what was shown before, expected [shown] with the path"),
        ({**SMALL, "blends": {"x": {"fatigue": 1.0}}}, "fatigue needs what was shown before, expected [shown]"),
        ({**SMALL, "shown": {}}, "config: shown has both or neither of path and in_memory, expected one of them"),
        ({**SMALL, "time": {"half_life": "soon"}}, "[time] half_life is 'soon', expected days above 0, or 'validation'"),
        ({**SMALL, "shown": {"path": "a", "now": "soon"}}, "now is 'soon', expected seconds since 1970, a datetime or an ISO 8601 time"),
        ({**SMALL, "shown": {"path": "a", "colums": {}}}, "unknown key 'colums': did you mean 'columns'?"),
        ({**SMALL, "blends": {"x": {"relevance": 1, "guards": {"at_mst": {}}}}}, "[blends.x] guards unknown guard 'at_mst': did you mean 'at_most'?"),
        ({**SMALL, "blends": {"x": {"relevance": 1, "guards": 3}}}, "[blends.x] guards is 3, expected a table as [guards]"),
        ({**SMALL, "guards": {"pin": {"slot": 1, "item": "5"}}, "slate": {"order": "relevance"}}, "[slate] order is 'relevance' beside a pinned item"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(content, line):
    with pytest.raises(RecsysError) as caught:
        parse_config(content)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_guards_are_tables_of_settings_or_lists_of_them():
    table = {"exclude": {"features": ["Horror"]}, "at_most": [{"m": 2}, {"m": 1, "groups": {"50": "Lucas"}}]}
    config = parse_config({**SMALL, "guards": table})
    assert [guard.name for guard in config.build_guards()] == ["exclude", "at_most", "at_most"]
    assert config.compute_digest() != parse_config(SMALL).compute_digest()
    assert parse_config(SMALL).build_guards() == []


def test_a_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "mine.toml").write_text("", encoding="utf-8")
    with pytest.raises(RecsysError, match=r"No such file or directory, did you mean '.*mine.toml'\?"):
        read_config(tmp_path / "mime.toml")
    with pytest.raises(RecsysError, match="did you mean 'ml-100k'"):
        read_config("ml-100")


@pytest.mark.parametrize("text", [b"[data\n", b"a = " + b"[" * 5000, b"a = " + b"9" * 5000, b"\xff", b"\0", b'a = """'])
def test_a_file_that_is_no_toml_is_one_line(tmp_path, text):
    (tmp_path / "bad.toml").write_bytes(text)
    for what, reader in (("config", read_config), ("sweep", plans.read_sweep), ("", read_reproduction)):
        with pytest.raises(RecsysError, match="not TOML") as caught:
            reader(tmp_path / "bad.toml")
        assert "\n" not in str(caught.value) and what in str(caught.value)


def test_the_base_may_be_written_out_as_a_blend():
    config = parse_config({**SMALL, "blends": {"als": {"relevance": 1.0}}})
    assert [run.name for run in config.list_runs()] == ["most_popular", "random", "random_rerank", "als"]


@pytest.mark.parametrize("name", ["ml-100k", "ml-latest-small"])
def test_shipped_settings_are_the_best_of_the_search_that_is_kept(name):
    table = Path(__file__).parents[1] / "benchmarks" / "results" / f"tuning-{name}.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({sum(row["model"] == kind for row in rows) for kind in {row["model"] for row in rows}}) == 1
    best = {row["model"]: row["settings"] for row in rows if row["rank"] == "1"}
    config = read_config(name)
    for section in (config.model, *config.models.values()):
        assert " ".join(f"{key}={value}" for key, value in (section.model_extra or {}).items()) == best[section.kind]


@pytest.mark.parametrize("name", ["é" * 300, "a" * 5000, "\0", "a/" * 3000 + "b.toml", "two\nlines"])
def test_a_path_that_no_system_takes_is_one_line(name):
    from recsys.experiments.comparisons import compare_folders
    from recsys.sweeps.plans import read_sweep as read_sweep

    for ask in (read_config, read_sweep, lambda path: compare_folders([path])):
        with pytest.raises(RecsysError) as refused:
            ask(name)
        assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "section", ["blends", "model", "slate", "pool", "evaluation", "data", "filter", "split", "models", "guards"]
)
@pytest.mark.parametrize("value", ["1.5", "true", "'x'", "[1]", "[]", "0"])
def test_a_section_of_a_sweep_that_is_none_is_one_line(tmp_path, section, value):
    from recsys.sweeps.plans import read_sweep as read_sweep

    path = tmp_path / "search.toml"
    path.write_text(f'extends = "ml-100k"\n{section} = {value}\n[sweep]\ntrials = 3\n', encoding="utf-8")
    with pytest.raises(RecsysError, match=f"{section} is .*, expected a section"):
        read_sweep(path)


@pytest.mark.parametrize(
    ("asked", "ks", "headline"),
    [(["ndcg"], [5, 10], 10), (["ndcg@7"], [5], 7), (["ndcg@5", "recall@7"], [10, 5], 5), (["ndcg@10"], [5, 10], 10)],
)
def test_the_headline_is_at_a_length_that_metrics_are_judged_at(asked, ks, headline):
    config = parse_config({**SMALL, "slate": {"k": ks}, "evaluation": {"metrics": asked}})
    assert config.headline_k == headline
    assert parse_config(config.dump_settings(), check=False).headline_k == headline
