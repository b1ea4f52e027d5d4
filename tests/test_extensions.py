"""Code of somebody's own, by name or itself: found, refused in one line, run from configs, Python and the commands."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_maps, make_split, write_tables

import recsys as rs
from recsys import metrics, models, objectives
from recsys.cli import main
from recsys.configs import parse_config, read_config
from recsys.experiments import bench
from recsys.reranking.guards import parse_guards
from recsys.scores.metric_names import resolve_metrics
from recsys.support import resolver
from recsys.support.resolver import name_extension, resolve_extension, search_folder
from recsys.sweeps.plans import read_sweep
from recsys.types import Evaluation, GroundTruth, Modular, PerUser, RecsysError

OWN = '''
"""Extensions of somebody's own."""
from dataclasses import dataclass

import numpy as np
import recsys as rs
from recsys.types import PerUser

from {name}_helper import SIZE


def short_ids(pool, k, *, power: float = 1.0):
    """Return more for items with short ids."""
    size = np.char.str_len(pool.context.item_ids)[np.maximum(pool.items, 0)]
    return rs.Modular((SIZE / size**power).astype(np.float32))


def share_of_short(evaluation, k):
    """Return the share of picks with ids of one character."""
    top = evaluation.get_top_picks(k)
    short = np.char.str_len(evaluation.truth.split.item_ids) == 1
    return PerUser(np.where(top >= 0, short[np.maximum(top, 0)], False).mean(axis=1), "picks with short ids", 1)


def no_first(n: int = 1):
    """Return the guard that never shows the first n items."""
    return rs.guards.exclude(items=[str(i) for i in range(n)])


@rs.splits.define_split
def every_third(pairs, *, step: int = 3, seed: int = 0):
    """Return every third pair as test, the one before as validation."""
    place = (np.arange(len(pairs.user)) + seed) % step
    return np.where(place == 0, 2, np.where(place == 1, 1, 0))


@dataclass(frozen=True)
class Fitted:
    popularity: np.ndarray
    factors: None = None

    def score(self, users):
        return np.tile(self.popularity, (len(users), 1))

    def fold(self, histories):
        return np.tile(self.popularity, (histories.shape[0], 1))


@dataclass(frozen=True)
class Rarest:
    power: float = 1.0

    def fit(self, train, side=None) -> Fitted:
        return Fitted((-np.asarray(train.sum(axis=0)).ravel() ** self.power).astype(np.float32))
'''

CONFIG = """
seed = 3

[data]
path = "ratings.csv"
items = "items.csv"

[split]
kind = "{name}:every_third"
step = 4

[model]
kind = "{name}:Rarest"
power = 0.5

[models.rare]
kind = "{name}:Rarest"

[pool]
n = 15

[slate]
k = [5]

[evaluation]
metrics = ["ndcg", "{name}:share_of_short"]
n_bootstrap = 100

[guards]
"{name}:no_first" = {{ n = 2 }}

[blends.short]
relevance = 1.0
"{name}:short_ids" = {{ weight = 0.5, power = 2 }}
"""


def write_own(folder, name):
    """Write a config of everything of one's own, its module, and the module that this one imports."""
    (folder / f"{name}.py").write_text(OWN.format(name=name), encoding="utf-8")
    (folder / f"{name}_helper.py").write_text("SIZE = 2.0\n", encoding="utf-8")
    (folder / "my.toml").write_text(CONFIG.format(name=name), encoding="utf-8")
    write_tables(folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder of somebody's own, and a finished benchmark of it."""
    folder = write_own(tmp_path_factory.mktemp("own"), "own_parts")
    before = list(sys.path)
    done = bench(folder / "my.toml", out=folder / "runs", quiet=True)
    assert sys.path == before
    yield SimpleNamespace(folder=folder, bench=done)
    sys.modules.pop("own_parts", None)
    sys.modules.pop("own_parts_helper", None)


@pytest.fixture
def pool():
    split = make_split()
    return rs.candidates(RandomFactorModel(split), split, n=20, maps=make_maps(split))


class TestNames:
    def test_a_name_a_path_and_the_object_are_one(self, pool):
        given = ["novelty", "recsys.objectives:novelty", objectives.novelty]
        slates = [rs.rerank(pool, {"relevance": 1.0, one: 0.5}, k=5) for one in given]
        assert all((one.items == slates[0].items).all() for one in slates)
        assert [one.objectives[0] for one in slates] == ["novelty", "recsys.objectives:novelty", "novelty"]
        with pytest.raises(RecsysError, match="found an objective twice"):
            rs.rerank(pool, {"novelty": 1.0, objectives.novelty: 0.5}, k=5)

    def test_metrics_and_guards_and_models_too(self, pool):
        truth = GroundTruth(make_split())
        slates = {"base": rs.rerank(pool, {"relevance": 1.0}, k=5)}
        given = ["ndcg", "recsys.metrics:ndcg", metrics.ndcg]
        cells = [rs.evaluate(slates, truth, [one], [5], n_bootstrap=100).cells[0] for one in given]
        assert len({cell.value for cell in cells}) == 1
        assert [cell.metric for cell in cells] == ["ndcg", "recsys.metrics:ndcg", "ndcg"]
        for name in ("at_most", "recsys.reranking.guards:at_most", rs.guards.at_most):
            assert parse_guards({name: {"m": 1}})[0].name == "at_most"
        for kind in ("ease", "recsys.models:EASE", models.EASE):
            assert models.registry.build_model(kind, {"l2": 3}, "[model]") == models.EASE(3.0)
            assert models.Ensemble([kind]).models == (models.EASE(),)

    def test_a_function_of_ones_own_is_called_by_module_and_name(self, pool):
        def mine(pool, k, *, up: float = 1.0):
            return Modular(np.full(pool.items.shape, up, np.float32))

        def broken(pool, k):
            return Modular(np.zeros((1, 1), np.float32))

        slates = rs.rerank(pool, {"relevance": 1.0, mine: {"weight": 0.5, "up": 2}}, k=5)
        assert slates.objectives[1].startswith(f"{__name__}:TestNames") and slates.objectives[1].endswith("mine")
        with pytest.raises(RecsysError, match=r"mine: unknown setting 'upp': did you mean 'up'\?"):
            rs.rerank(pool, {mine: {"weight": 1.0, "upp": 2}}, k=5)
        with pytest.raises(RecsysError, match="broken"):
            rs.rerank(pool, {broken: 1.0}, k=5)

    def test_a_config_takes_objects_and_says_their_names(self):
        content = {
            "data": {"name": "ml-100k"}, "model": {"kind": models.EASE}, "guards": {rs.guards.at_most: {"m": 2}},
            "evaluation": {"metrics": [metrics.ndcg, count_picks]}, "blends": {"b": {objectives.novelty: 1.0, up: 0.5}},
        }  # fmt: skip
        told = parse_config(content).dump_settings()
        assert told["model"]["kind"] == "ease" and told["guards"] == {"at_most": {"m": 2}}
        assert told["evaluation"]["metrics"] == ["ndcg", f"{__name__}:count_picks"]
        assert told["blends"]["b"] == {"novelty": 1.0, f"{__name__}:up": 0.5}
        with pytest.raises(RecsysError, match="cannot be named: expected a function or class at the top of a module"):
            parse_config({**content, "blends": {"b": {(lambda pool, k: None): 1.0}}})

    def test_a_ranker_takes_what_a_later_process_could_import(self):
        split = make_split()
        model = RandomFactorModel(split)
        ranker = rs.Ranker.fit(model, split, {objectives.relevance: 1.0, up: 0.5}, maps=make_maps(split), k=5, n=20)
        assert dict(ranker.blend) == {"relevance": 1.0, f"{__name__}:up": 0.5}
        with pytest.raises(RecsysError, match="cannot be named"):
            rs.Ranker.fit(model, split, {(lambda pool, k: None): 1.0}, maps=make_maps(split), k=5, n=20)


def up(pool, k):
    return Modular(np.ones(pool.items.shape, np.float32))


def count_picks(evaluation: Evaluation, k: int) -> PerUser:
    return PerUser((evaluation.get_top_picks(k) >= 0).sum(axis=1).astype(float), "number of picks shown", 0)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("ndgc", r"unknown metric 'ndgc': did you mean 'ndcg'\?"),
        ("recsys.metrics:ndgc", r"'recsys.metrics:ndgc' cannot be imported: unknown metric 'ndgc': did you mean 'ndcg'\?"),
        ("math:pi", "'math:pi' cannot be imported: it is a float, expected a function"),
        ("no.such:f", r"'no.such:f' cannot be imported \(no module 'no' in .*site-packages.*\), expected package.module:"),
        ("math.no:f", r"'math.no:f' cannot be imported"),
        (":f", r"':f' cannot be imported"),
        (".x:f", r"'.x:f' cannot be imported"),
        (3, "found 3, expected the name of a metric, package.module:function or a function"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_in_one_line(given, line):
    with pytest.raises(RecsysError, match=f"^here: {line}") as caught:
        resolve_extension("metric", given, {"ndcg": metrics.ndcg}, where="here")
    assert "\n" not in str(caught.value)


def test_names_that_a_module_imports_are_not_among_those_it_has(tmp_path):
    (tmp_path / "own_names.py").write_text(
        "from dataclasses import dataclass\nfrom math import sqrt\n@dataclass\nclass Mine:\n    a: int = 1\ndef rank(): return 1\n"
    )
    with search_folder(tmp_path), pytest.raises(RecsysError, match=r"unknown model 'Nine'.*\(known: Mine, rank\)$"):
        resolve_extension("model", "own_names:Nine", {})


class TestFolder:
    def test_it_is_the_last_place_that_is_looked_in_and_only_there(self, tmp_path):
        (tmp_path / "own_last.py").write_text("def f(): return 1\n")
        (tmp_path / "json.py").write_text("raise ValueError\n")  # a module of that name is there already
        with search_folder(tmp_path):
            assert sys.path[-1] == str(tmp_path.resolve())
            assert resolve_extension("x", "own_last:f", {})() == 1
            assert resolve_extension("x", "json:dumps", {})(1) == "1"
        assert str(tmp_path.resolve()) not in sys.path
        assert resolve_extension("x", "own_last:f", {})() == 1  # once imported it stays
        with pytest.raises(RecsysError, match="no module 'own_late'"):
            (tmp_path / "own_late.py").write_text("def f(): return 1\n")
            resolve_extension("x", "own_late:f", {})
        del sys.modules["own_last"]

    def test_a_folder_that_fails_is_taken_away_too(self, tmp_path):
        (tmp_path / "own_wrong.py").write_text("import nowhere_at_all\n")
        (tmp_path / "own_raises.py").write_text("raise KeyError('gone')\n")
        before = list(sys.path)
        with (
            pytest.raises(RecsysError, match="own_wrong imports 'nowhere_at_all', which is not there"),
            search_folder(tmp_path),
        ):
            resolve_extension("x", "own_wrong:f", {})
        with pytest.raises(RecsysError, match="KeyError: 'gone'"), search_folder(tmp_path):
            resolve_extension("x", "own_raises:f", {})
        assert sys.path == before and not resolver._searched_folders

    def test_two_folders_with_modules_of_one_name_are_not_mixed_up(self, tmp_path):
        for folder, value in (("a", 1), ("b", 2)):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "own_twice.py").write_text(f"def f(): return {value}\n")
        (tmp_path / "b" / "own_other.py").write_text("import own_twice\ndef f(): return own_twice.f()\n")
        with search_folder(tmp_path / "a"):
            assert resolve_extension("x", "own_twice:f", {})() == 1
        for name in ("own_twice:f", "own_other:f"):
            line = r"module 'own_twice' of .*a is loaded already, expected another name"
            with pytest.raises(RecsysError, match=line), search_folder(tmp_path / "b"):
                resolve_extension("x", name, {})
        del sys.modules["own_twice"]
        with search_folder(tmp_path / "b"):
            assert resolve_extension("x", "own_other:f", {})() == 2
        for name in ("own_twice", "own_other"):
            del sys.modules[name]


class TestBenchmark:
    def test_everything_of_ones_own_runs_from_a_config(self, run):
        scores = run.bench.scores
        assert scores.runs == ("most_popular", "random", "random_rerank", "rarest", "rare", "short")
        values = {(cell.run, cell.metric): cell.value for cell in scores.cells}
        assert values["short", "own_parts:share_of_short"] > values["rarest", "own_parts:share_of_short"]
        shown = run.bench.slates[5]["short"]
        assert not {"0", "1"} & set(shown.item_ids[shown.items[shown.items >= 0]].tolist())

    def test_its_source_is_part_of_the_name_of_the_run(self, run):
        config = read_config(run.folder / "my.toml")
        assert {name.partition(":")[2] for name in config.list_own_code()} == {
            "short_ids", "share_of_short", "no_first", "every_third", "Rarest"
        }  # fmt: skip
        before = config.compute_digest()
        path = run.folder / "own_parts_helper.py"
        text = path.read_text()
        path.write_text(f"{text}# changed\n")
        assert config.compute_digest() != before
        path.write_text(text)
        assert config.compute_digest() == before

    def test_compare_needs_no_module(self, run, tmp_path):
        copy = tmp_path / "elsewhere"
        shutil.copytree(run.bench.folder, copy)
        code = "import sys; sys.modules['own_parts'] = None; from recsys.__main__ import main; main()"
        command = [sys.executable, "-c", code, "compare", str(copy), "--metrics", "ndcg,own_parts:share_of_short"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert "own_parts:share_of_short" in done.stdout and "short" in done.stdout

    def test_the_split_is_that_of_the_function_with_its_settings(self, run):
        from own_parts import every_third

        split, data = run.bench.preparation.split, run.bench.preparation.dataset
        made = every_third(data, step=4, seed=3).test_view()
        assert (made.test != split.test).nnz == 0 and split.kind == "own_parts:every_third"
        told = read_config(run.bench.folder / "config.toml").dump_settings()["split"]
        assert told == {"kind": "own_parts:every_third", "step": 4, "cold_items": "drop"}

    @pytest.mark.parametrize(
        ("change", "line"),
        [
            ("step = 4\ntest = 0.3", r"[split]: unknown key 'test': did you mean 'step'?"),
            ("stp = 4", r"[split]: unknown key 'stp': did you mean 'step'?"),
            ("step = 2.5", r"[split]: step is 2.5, expected a whole number"),
            ("step = 4\ncold_items = 'kep'", r"cold_items is 'kep': input should be 'drop' or 'keep'"),
        ],
    )
    def test_settings_of_a_split_are_those_of_its_signature(self, run, change, line):
        (run.folder / "wrong.toml").write_text((run.folder / "my.toml").read_text().replace("step = 4", change))
        with pytest.raises(RecsysError, match=re.escape(line)):
            read_config(run.folder / "wrong.toml")

    def test_a_config_elsewhere_says_where_its_module_was_looked_for(self, run, tmp_path):
        code = "from recsys.__main__ import main; main()"
        shutil.copytree(run.bench.folder, tmp_path / "there")
        command = [sys.executable, "-c", code, "bench", str(tmp_path / "there" / "config.toml")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "no module 'own_parts' in" in done.stderr and str((tmp_path / "there").resolve()) in done.stderr

    def test_a_sweep_looks_in_its_own_folder_too(self, run, tmp_path):
        (tmp_path / "own_search.py").write_text(
            "from own_parts import *\ndef more(pool, k): return short_ids(pool, k)\n"
        )
        text = f"""
extends = {str(run.folder / "my.toml")!r}
[sweep]
maximize = ["own_parts:share_of_short@5"]
[split]
kind = "per_user_time"
[blends.found]
relevance = 1.0
"own_search:more" = {{ float = [0.01, 1.0] }}
"""
        (tmp_path / "search.toml").write_text(text)
        plan = read_sweep(tmp_path / "search.toml")
        assert plan.methods[0].ranges[0].path == ("blends", "found", "own_search:more")
        before = plan.digest()
        (tmp_path / "own_search.py").write_text("def more(pool, k): return None\n")
        assert plan.digest() != before and str(tmp_path) not in sys.path
        del sys.modules["own_search"]
        (tmp_path / "search.toml").write_text(text.replace("own_search:more", "own_search:mor"))
        with pytest.raises(RecsysError, match="unknown objective 'mor': did you mean 'more'"):
            read_sweep(tmp_path / "search.toml")
        sys.modules.pop("own_search", None)

    def test_a_wrong_name_is_one_line_and_exit_code_2(self, run, capsys, tmp_path):
        text = (run.folder / "my.toml").read_text().replace("own_parts:short_ids", "own_parts:short_id")
        (run.folder / "wrong.toml").write_text(text)
        with pytest.raises(SystemExit) as caught:
            main(["bench", str(run.folder / "wrong.toml"), "--out", str(tmp_path)])
        assert caught.value.code == 2
        assert "unknown objective 'short_id': did you mean 'short_ids'?" in capsys.readouterr().err


def test_names_say_what_resolves():
    for found in (objectives.novelty, metrics.ndcg, up, os.path.join):
        assert resolve_extension("x", name_extension(found, {}), {}) is found


@pytest.mark.parametrize("name", ["own_parts:Nothing", "own_parts:no_first"])
def test_a_model_is_a_dataclass_with_fit(run, name):
    with (
        pytest.raises(
            RecsysError, match=r"\[model\]: ('own_parts:no_first' is no model, expected a dataclass|.*unknown)"
        ),
        search_folder(run.folder),
    ):
        models.registry.build_model(name, {}, "[model]")


def test_metrics_of_one_name_are_refused():
    one, two = (lambda evaluation, k: None for _ in range(2))
    with pytest.raises(RecsysError, match="found two functions called"):
        resolve_metrics([one, two], [5])


def test_a_setting_whose_default_is_none_takes_what_its_annotation_says():
    def read(*, songs: str | None = None, days: int | None = None, share: "float | None" = None, labels=None):
        """Return rows."""

    known = resolver.list_settings(read, "here")
    given = {"songs": "songs.csv", "days": 3, "share": 0.5, "labels": ["a"]}
    assert resolver.check_settings("here", known, given) == given
    assert resolver.check_settings("here", known, dict.fromkeys(given)) == dict.fromkeys(given)
    for name, wrong, line in (
        ("songs", 3, "songs is 3, expected text"),
        ("days", "3", "days is '3', expected a whole number"),
        ("share", "much", "share is 'much', expected a"),
    ):
        with pytest.raises(RecsysError, match=line):
            resolver.check_settings("here", known, {name: wrong})


@pytest.mark.parametrize(
    ("values", "direction", "line"),
    [
        (np.ones(3), 1, r"mine': values has shape \(3,\), expected 30"),
        ([1.0] * 30, 1, "mine': values is a list, expected an array"),
        (np.full(30, "a"), 1, "mine': values is of type <U1, expected"),
        (np.ones(30), "less", "mine': direction is 'less', expected -1, 0 or 1"),
    ],
)
def test_what_a_metric_returns_is_refused_in_one_line_where_it_is_no_score(values, direction, line):
    def mine(evaluation, k):
        """Return values."""
        return PerUser(values, "values of somebody's own", direction)

    mine.__qualname__ = "mine"
    split = make_split()
    picks = np.tile(np.arange(5, dtype=np.int32), (30, 1))
    with pytest.raises(RecsysError, match=line):
        rs.evaluate({"a": picks}, GroundTruth(split), [mine], ks=[5])


def test_what_is_no_fitted_model_is_refused_in_one_line():
    split = make_split()
    bare = SimpleNamespace(score=RandomFactorModel(split).score, fold=None)
    for model, line in (
        (models.ALS(), "the ALS is not fitted, expected what its fit"),
        (bare, "the SimpleNamespace has no attribute factors, expected recsys.Factors, or None"),
    ):
        with pytest.raises(RecsysError, match=f"pool: {line}"):
            rs.candidates(model, split, n=5)
        with pytest.raises(RecsysError, match=f"ranker: {line}"):
            rs.Ranker.fit(model, split, {"relevance": 1.0})


def test_a_rule_that_no_split_is_made_of_is_refused_in_one_line():
    with pytest.raises(
        RecsysError, match=r"\[split\] kind: '.*' is a rule, expected the split that .*define_split makes"
    ):
        parse_config({"data": {"name": "ml-100k"}, "split": {"kind": rule_of_pairs}})
    with pytest.raises(rs.testing.ContractError, match=r"does not take a dataset first, .*define_split makes such"):
        rs.testing.check_split(rule_of_pairs)


def rule_of_pairs(pairs):
    """Return parts."""
    return np.zeros(len(pairs.user), int)
