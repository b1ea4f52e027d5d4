"""Records are pickled and copied: what comes back says the same, bit for bit. Nothing here reads a pickle but these tests."""

import ast
import copy
import pickle
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, is_dataclass
from multiprocessing import get_context
from operator import methodcaller
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from synthetic import make_exposures, make_maps, make_split

import recsys as rs
from recsys import configs, metrics, models, objectives
from recsys.data import read_frame
from recsys.data.profile import describe_dataset
from recsys.rankers import Ranker, Recommendation
from recsys.reranking import guards
from recsys.reranking.blends import BASE_OBJECTIVES
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.scores.comparisons import compare_scores
from recsys.support.cache import CacheEntry
from recsys.types import GroundTruth, RecsysError, TableCache
from recsys.types.pools import ConstantFunction

BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2, "novelty": 0.1}
ROUND = {
    **{
        f"pickle {version}": lambda record, version=version: pickle.loads(pickle.dumps(record, version))
        for version in (2, 5)
    },
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
SPLIT = make_split()
MAPS = make_maps(SPLIT)


def make_guards():
    return [
        guards.exclude(items=["i3"], features=["f1"]),
        guards.require(["f0"]),
        guards.at_most(1, features=["f2"]),
        guards.at_most(2),
        guards.at_least(1, groups={"i1": "a", "i2": ["a", "b"]}),
        guards.pin(2, "i9"),
        guards.pin(1, [f"i{u}" for u in range(30)]),
    ]


@pytest.fixture(scope="module", params=ROUND)
def again(request):
    """What makes a record go round."""
    return ROUND[request.param]


@pytest.fixture(scope="module")
def fitted():
    return rs.models.ALS(factors=4, iterations=2).fit(SPLIT.train)


@pytest.fixture(scope="module")
def ranker(fitted):
    return Ranker.fit(fitted, SPLIT, BLEND, maps=MAPS, n=20, k=5, guards=[guards.exclude(items=["i3"])], epsilon=0.2)


@pytest.fixture(scope="module")
def pool(fitted):
    return candidates(fitted, SPLIT, n=20, maps=MAPS)


def assert_same(one, other, path="record"):
    """Fail where two records differ in a bit."""
    assert type(one) is type(other) or (isinstance(one, np.memmap) and isinstance(other, np.ndarray)), path
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.shape == other.shape, path
        assert one.tobytes() == other.tobytes(), path
    elif sparse.issparse(one):
        for part in ("data", "indices", "indptr"):
            assert_same(getattr(one, part), getattr(other, part), f"{path}.{part}")
    elif isinstance(one, TableCache | ConstantFunction):
        pass
    elif isinstance(one, Recommendation):
        for tells in ("list_relevance_slate", "explain", "explain_likelihood", "measure_ages", "estimate_likes"):
            assert_same(getattr(one.details, tells)(), getattr(other.details, tells)(), f"{path}.{tells}")
        assert_same(one.details.list_whys(one), other.details.list_whys(other), f"{path}.whys")
        told = ({name: x for name, x in vars(part).items() if name != "details"} for part in (one, other))
        assert_same(*told, path)
    elif is_dataclass(one):
        for field in fields(one):
            if not callable(getattr(one, field.name)) and not field.name.startswith("_"):
                assert_same(getattr(one, field.name), getattr(other, field.name), f"{path}.{field.name}")
    elif isinstance(one, tuple | list):
        assert len(one) == len(other), path
        for i, (mine, its) in enumerate(zip(one, other, strict=True)):
            assert_same(mine, its, f"{path}[{i}]")
    elif isinstance(one, Mapping):
        assert [*one] == [*other], path
        for name in one:
            assert_same(one[name], other[name], f"{path}[{name}]")
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    elif not callable(one):
        assert one == other or (one != one and other != other), path


def test_data_and_splits_go_round(again):
    log = {"user_id": ["a", "b", "b"], "item_id": ["1", "2", "3"], "source": ["x", "y", "x"], "consent": [1, 1, 1]}
    data = read_frame(log, items={"item_id": ["1"], "title": ["One"], "features": ["A|B"]})
    assert_same(data, again(data))
    split = rs.splits.random(read_frame({"user_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3, 1, 2, 4]}))
    assert_same(split, again(split))
    assert_same(SPLIT.test_view(), again(SPLIT).test_view())
    assert_same(MAPS, again(MAPS))
    described = describe_dataset(data)
    assert_same(described, again(described))


@pytest.mark.parametrize("name", sorted(models.__all__))
def test_models_and_fitted_models_go_round(again, name):
    make = getattr(models, name)
    model = make(["ease", "most_popular"]) if name == "Ensemble" else make()
    assert_same(model, again(model))
    fitted = model.fit(SPLIT.train, SPLIT.side_information)
    back, who = again(fitted), np.arange(5, dtype=np.int32)
    assert_same(fitted, back)
    assert np.asarray(fitted.score(who)).tobytes() == np.asarray(back.score(who)).tobytes()


@pytest.mark.parametrize("name", sorted(objectives.__all__))
def test_pools_go_round_whatever_objectives_made(again, fitted, name):
    split = make_split()
    pool = candidates(fitted, split, n=20, maps=MAPS, shown=make_exposures(split))
    blend = {name: 1.0} if name in BASE_OBJECTIVES else {"relevance": 1.0, name: 0.3}
    right = rerank(pool, blend, 5, scale=None)  # its tables are made
    back = again(pool)
    assert_same(pool, back)
    assert_same(right, rerank(back, blend, 5, scale=None))
    assert_same(right, again(right))


def test_a_pool_of_maps_that_are_not_made_yet_goes_round(again, fitted):
    pool = candidates(fitted, SPLIT, n=20)
    assert again(pool).context.make_maps is not None
    given = rs.Pool.from_frame(["u1", "u1"], ["i1", "i2"], [2.0, 1.0], split=SPLIT, maps=MAPS)
    assert_same(given, again(given))
    assert_same(given.context.maps, again(given).context.maps)
    plain = rs.Pool.from_frame(["a"], ["x"], [1.0])
    assert_same(plain, again(plain))


@pytest.mark.parametrize("number", range(len(make_guards())))
def test_guards_go_round(again, pool, number):
    guard = make_guards()[number]
    back = again(guard)
    assert (back.name, back.config_settings, back.is_static) == (guard.name, guard.config_settings, guard.is_static)
    assert_same(guard.make_rule(pool, 5), back.make_rule(pool, 5))
    assert_same(rerank(pool, BLEND, 5, guards=[guard]), rerank(pool, BLEND, 5, guards=[back]))


NOW = 1_000_000_000
REQUESTS = [{"user": "u3"}, {"history": ["i1", "i2"]}, {}, {"user": "u4", "k": 3, "seed": 7}]


@pytest.fixture(scope="module")
def loaded(ranker, tmp_path_factory):
    return Ranker.load(ranker.save(tmp_path_factory.mktemp("rankers") / "r"))


@pytest.mark.parametrize("which", ["fitted", "loaded"])
def test_rankers_and_answers_go_round(again, ranker, loaded, which):
    made = ranker if which == "fitted" else loaded
    back = again(made)
    assert (back.name, back.policy, dict(back.blend), dict(back.scales)) == (
        made.name,
        made.policy,
        dict(made.blend),
        dict(made.scales),
    )
    assert dict(back.about) == dict(made.about) and back.index is made.index is None
    assert [guard.config_settings for guard in back.guards] == [guard.config_settings for guard in made.guards]
    for asked in REQUESTS:
        one, other = made.rank(**asked, now=NOW), back.rank(**asked, now=NOW)
        assert_same(one, other)
        assert one.displaced == other.displaced and one.explanations() == other.explanations()
        assert_same(*(one.rerank(["i1", "i2", "i5"], [3, 2, 1], **asked, now=NOW) for one in (made, back)))
        gone = again(one)
        assert_same(one, gone)
        assert (gone.displaced, gone.explanations(), gone.scores.tobytes()) == (
            one.displaced,
            one.explanations(),
            one.scores.tobytes(),
        )


def test_a_ranker_with_an_index_and_without_a_model_go_round(again, fitted, pool):
    quick = Ranker.fit(fitted, SPLIT, BLEND, maps=MAPS, n=5, k=5, index_recall=0.9)
    back = again(quick)
    assert_same(quick.index, back.index)
    assert_same(quick.rank(user="u3", now=NOW), back.rank(user="u3", now=NOW))
    alone = Ranker.fit(None, SPLIT, BLEND, maps=MAPS, pool=pool, k=5)
    assert_same(*(one.rerank(["i1", "i2"], [1, 2], now=NOW) for one in (alone, again(alone))))


def test_a_pickled_answer_holds_nothing_of_its_ranker(ranker):
    answer = ranker.rank(user="u3")
    assert len(pickle.dumps(answer)) < 6000 < len(pickle.dumps(ranker))
    assert len(pickle.dumps(ranker.rerank([], []))) < 6000


def test_a_pickled_ranker_keeps_its_tables(loaded):
    assert {name for name, _ in loaded.context.tables.items()} == {
        name for name, _ in pickle.loads(pickle.dumps(loaded)).context.tables.items()
    }


@pytest.mark.parametrize("way", ["spawn", "fork", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_process_pools_answer_as_this_process_does(ranker, pool, way):
    with ProcessPoolExecutor(1, mp_context=get_context(way)) as workers:
        answers = list(workers.map(methodcaller("rank", user="u3", now=NOW), [ranker, ranker]))
        slates = workers.submit(rerank, pool, BLEND, 5, guards=make_guards()[:2]).result()
    for answer in answers:
        assert_same(answer, ranker.rank(user="u3", now=NOW))
        assert answer.explanations() == ranker.rank(user="u3").explanations()
    assert_same(slates, rerank(pool, BLEND, 5, guards=make_guards()[:2]))


def test_scores_and_judgements_go_round(again, pool):
    slates = {name: rerank(pool, blend, 5) for name, blend in [("base", {"relevance": 1.0}), ("mmr", BLEND)]}
    truth = GroundTruth(SPLIT, MAPS, MAPS, ())
    scores = rs.evaluate(slates, truth, ["ndcg@5", "coverage@5", "discovery@5"], [5], n_bootstrap=100)
    back = again(scores)
    assert_same(scores, back)
    for one, other in zip(scores.cells, back.cells, strict=True):
        assert one.shape == other.shape and one.draws.tobytes() == other.draws.tobytes()
    assert_same(compare_scores(scores, "base"), again(compare_scores(scores, "base")))
    costs = rs.opportunity_costs(pool, slates["mmr"], BLEND)
    assert_same(costs, again(costs))
    same = rs.evaluate(slates, again(truth), ["ndcg@5", "coverage@5", "discovery@5"], [5], n_bootstrap=100)
    assert_same(scores, same)


def test_settings_and_smaller_records_go_round(again):
    config = configs.parse_config(
        {"data": {"name": "ml-100k"}, "blends": {"mmr": {"relevance": 1.0, "mmr": [0.1, 0.2]}}}
    )
    assert (
        again(config) == config
        and again(config).list_runs() == config.list_runs()
        and again(config).compute_digest() == config.compute_digest()
    )
    assert_same(CacheEntry({"x": np.arange(3)}, 0.5), again(CacheEntry({"x": np.arange(3)}, 0.5)))
    error = RecsysError("one line")
    assert str(again(error)) == "one line" and type(again(error)) is RecsysError


def test_tables_go_round_without_what_cannot(again):
    tables = TableCache(3)
    tables.get("kept", lambda: (np.arange(3), sparse.csr_array(np.eye(2))))
    tables.get("function", lambda: lambda: 3)
    tables.get("nested", lambda: TableCache())
    back = again(tables)
    assert [name for name, _ in back.items()] == ["kept"] and back._most == 3
    assert back.get("function", lambda: 4) == 4
    assert tables.get("function", lambda: 4)() == 3


def test_no_module_reads_a_pickle():
    """The rule of ARCHITECTURE.md, of the source itself."""
    home = Path(rs.__file__).parent
    for path in home.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {one.name for one in node.names} if isinstance(node, ast.Import) else set()
            names |= {node.module} if isinstance(node, ast.ImportFrom) else set()
            assert not names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, path


def test_metrics_are_functions_by_name(again):
    for name in metrics.__all__:
        assert again(getattr(metrics, name)) is getattr(metrics, name)
