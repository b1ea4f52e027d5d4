"""Contracts: everything of ours keeps them, found by itself, and what breaks a promise is refused in one line."""

import inspect
import re
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import sparse
from synthetic import SHOP_CARD, SHOP_LOG
from test_models import SMALL

import recsys as rs
from recsys import data, metrics, models, objectives, splits, testing
from recsys.reranking import guards
from recsys.support import resources
from recsys.types import Guard, Modular, PerCatalogue, PerUser, Rule, Split

# Values that a guard's settings of these names have in its contract test; others have one of their type.
GUARD_SETTINGS = {"share": 0.5, "m": 2, "features": ["f1"], "items": ["i1", "i2"], "slot": 2, "item": "i3",
    "groups": {f"i{i}": "ab"[i % 2] for i in range(40)},
}  # fmt: skip
GUARD_VALUES = {int: 1975, float: 0.5, bool: True, str: "f1"}
# Metrics that rest on communities of users, which are found from a random start.
RANDOM_START = (
    "exposure_deficit", "exposure_deficit_own", "out_of_bubble_recall", "over_exposure_near", "under_exposure_near"
)  # fmt: skip


@pytest.mark.parametrize("name", objectives.__all__)
def test_an_objective_keeps_its_contract(name):
    testing.check_objective(name)


@pytest.mark.parametrize("name", metrics.__all__)
def test_a_metric_keeps_its_contract(name):
    testing.check_metric(name, random_start=name in RANDOM_START)


@pytest.mark.parametrize("name", models.__all__)
def test_a_model_keeps_its_contract(name):
    # scores of the model "random" follow the user, so a history alone cannot tell them
    testing.check_model(SMALL.get(name, getattr(models, name)), known_history=name != "Random")


def choose_value(name, parameter):
    """Return a value for a setting of a guard: by its name, or by its type."""
    assert name in GUARD_SETTINGS or parameter.annotation in GUARD_VALUES, f"add a value for {name} to GUARD_SETTINGS"
    return GUARD_SETTINGS[name] if name in GUARD_SETTINGS else GUARD_VALUES[parameter.annotation]


def list_guard_cases():
    """Return every guard with each of its settings that can stand beside those that it needs."""
    cases = []
    for name in guards.__all__:
        taken = inspect.signature(getattr(guards, name)).parameters
        values = {one: choose_value(one, p) for one, p in taken.items()}
        needed = {one: values[one] for one, p in taken.items() if p.default is p.empty}
        others = [one for one in taken if one not in needed]
        cases += [(name, {**needed, one: values[one]}) for one in others] or [(name, needed)]
    return cases


@pytest.mark.parametrize(
    ("name", "given"), list_guard_cases(), ids=lambda one: one if isinstance(one, str) else "-".join(one)
)
def test_a_guard_keeps_its_contract(name, given):
    testing.check_guard(name, **given)


@pytest.mark.parametrize("name", splits.__all__)
def test_a_split_keeps_its_contract(name):
    testing.check_split(name)
    taken = inspect.signature(getattr(splits, name)).parameters
    if "validation" in taken:  # a share, or a number of pairs
        size = 0.2 if isinstance(taken["validation"].default, float) else 1
        testing.check_split(name, validation=size, positive="rating >= 3")


@pytest.mark.parametrize("name", [path.stem for path in resources.find_shipped_folder("datasets").glob("*.toml")])
def test_a_card_keeps_its_contract(name):
    testing.check_card(name)


def test_objects_and_paths_are_tested_as_names_are():
    testing.check_objective(objectives.novelty)
    testing.check_objective("recsys.objectives:long_tail", head=0.5)
    testing.check_metric(metrics.gini)
    testing.check_model(models.EASE, l2=3.0)
    testing.check_guard(guards.pin(1, "i3"))
    testing.check_guard(guards.at_most, m=1)
    testing.check_split(splits.random)
    testing.check_card(data.read_card("ml-1m"))


def refused(line):
    return pytest.raises(testing.ContractError, match=line)


def gain(pool, value=1.0):
    return Modular(np.full(pool.items.shape, value, np.float32))


def objective_without_words(pool, k):
    return gain(pool)


def objective_of_one_input(pool):
    """Return gains."""


def objective_with_a_bare_setting(pool, k, tau=1.0):
    """Return gains."""
    return gain(pool)


def objective_of_another_kind(pool, k):
    """Return gains."""
    return np.ones(pool.items.shape)


def objective_of_another_shape(pool, k):
    """Return gains."""
    return Modular(np.zeros((1, 1), np.float32))


def objective_without_numbers(pool, k):
    """Return gains."""
    return gain(pool, np.nan)


def objective_that_draws(pool, k):
    """Return gains."""
    return Modular(np.random.default_rng().random(pool.items.shape).astype(np.float32))


def objective_of_the_block(pool, k):
    """Return gains."""
    return gain(pool, float(len(pool.users)))


def objective_of_who_is_there(pool, k):
    """Return gains."""
    return gain(pool, float(len(pool.context.user_ids)))


def objective_that_writes(pool, k):
    """Return gains."""
    pool.scores[:] = 0
    return gain(pool)


def objective_that_fails_on_short_pools(pool, k):
    """Return gains."""
    if (pool.items < 0).any():
        raise IndexError("no such item")
    return gain(pool)


def objective_out_of_range(pool, k):
    """Return gains.

    :Range: [0, 1]
    """
    return gain(pool, 2.0)


def objective_of_no_range(pool, k):
    """Return gains.

    :Range: often small
    """
    return gain(pool)


@pytest.mark.parametrize(
    ("objective", "line"),
    [
        (objective_without_words, "has no docstring"),
        (objective_of_one_input, r"takes \(pool, ...\), expected \(pool, k"),
        (objective_with_a_bare_setting, "takes tau=1.0, expected a setting by keyword"),
        (objective_of_another_kind, "returns a ndarray, expected one of Modular"),
        (objective_of_another_shape, r"gain has shape \(1, 1\), expected \(30, 20\)"),
        (objective_without_numbers, "holds NaN or infinity"),
        (objective_that_draws, "gives other gains at a second call"),
        (objective_of_the_block, "gives a user other gains among fewer users"),
        (objective_of_who_is_there, "gives a user other gains in a request"),
        (objective_that_writes, "changes an array that it is given"),
        (objective_that_fails_on_short_pools, "fails on pools of three candidates and of none: IndexError: no such"),
        (objective_out_of_range, r"has gains from 2 to 2, expected its range \[0, 1\]"),
        (objective_of_no_range, "its range 'often small' cannot be read"),
    ],
)
def test_an_objective_that_breaks_a_promise_is_refused(objective, line):
    with refused(f"^objective '.*{objective.__name__}': .*{line}") as caught:
        testing.check_objective(objective)
    assert "\n" not in str(caught.value)


def metric_without_words(evaluation, k):
    return PerUser(np.ones(len(evaluation.items)), "a number for each user", 1)


def metric_of_other_inputs(slates, k):
    """Return ones."""


def metric_of_a_number(evaluation, k):
    """Return one."""
    return 1.0


def metric_of_another_shape(evaluation, k):
    """Return ones."""
    return PerUser(np.ones(3), "a number for each user", 1)


def metric_without_a_convention(evaluation, k):
    """Return ones."""
    return PerUser(np.ones(len(evaluation.items)), "", 1)


def metric_without_a_direction(evaluation, k):
    """Return ones."""
    return PerUser(np.ones(len(evaluation.items)), "a number for each user", 2)


def metric_that_draws(evaluation, k):
    """Return numbers."""
    return PerUser(np.random.default_rng().random(len(evaluation.items)), "a number for each user", 1)


def metric_that_writes(evaluation, k):
    """Return ones."""
    evaluation.items[:] = -1
    return metric_without_words(evaluation, k)


def metric_that_needs_maps(evaluation, k):
    """Return ones."""
    evaluation.truth.audit_maps[0]
    return metric_without_words(evaluation, k)


def metric_of_slots(evaluation, k):
    """Return ones."""
    return PerUser(np.full(len(evaluation.items), float(evaluation.items.shape[1])), "slots of a slate", 1)


def metric_of_places(evaluation, k):
    """Return places."""
    return PerUser(np.arange(float(len(evaluation.items))), "the row of a user", 1)


def metric_out_of_range(evaluation, k):
    """Return ones.

    :Range: [0, 1 / 2]
    """
    return metric_without_words(evaluation, k)


def metric_that_is_better_the_less(evaluation, k):
    """Return ones.

    :Better: less
    """
    return metric_without_words(evaluation, k)


def metric_of_one_count(evaluation, k):
    """Return how many items are shown."""
    return PerCatalogue(evaluation.get_top_picks(k), 40, lambda n: (n > 0).sum(), "items that are shown", 1)


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        (metric_without_words, "has no docstring"),
        (metric_of_other_inputs, r"takes \(slates, k\), expected \(evaluation, k\)"),
        (metric_of_a_number, "returns a float, expected PerUser, PerMap or PerCatalogue"),
        (metric_of_another_shape, r"has values of \(3,\) float64, expected \(30,\) float64"),
        (metric_without_a_convention, "has the convention '', expected its variant in words"),
        (metric_without_a_direction, "has the direction 2, expected -1, 0 or 1"),
        (metric_that_draws, "gives other values at a second call"),
        (metric_that_writes, "changes an array that it is given"),
        (metric_that_needs_maps, "fails without maps, where NaN is expected: IndexError"),
        (metric_of_slots, "gives other values where empty slots are appended"),
        (metric_of_places, "gives a user another value where users come in another order"),
        (metric_out_of_range, r"has values outside of its range \[0, 0.5\] at k = 1: 1 to 1"),
        (metric_that_is_better_the_less, "says that less is better, and its direction is 1: more"),
        (metric_of_one_count, r"has a statistic that does not map counts \(..., I\) to numbers"),
    ],
)
def test_a_metric_that_breaks_a_promise_is_refused(metric, line):
    with refused(f"^metric '.*{metric.__name__}': .*{line}") as caught:
        testing.check_metric(metric)
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Shares:
    """The popularity of items, with noise of the users."""

    counts: np.ndarray
    factors: None = None

    def score(self, users):
        return np.tile(self.counts, (len(users), 1))

    def fold(self, histories):
        return np.tile(self.counts, (histories.shape[0], 1))


@dataclass(frozen=True)
class Good:
    """Popularity."""

    power: float = 1.0

    def fit(self, train, side=None) -> Shares:
        return Shares((np.asarray(train.sum(axis=0)).ravel() ** self.power).astype(np.float32))


def test_a_model_of_ones_own_can_keep_its_contract():
    testing.check_model(Good)
    testing.check_model(Good(0.5))
    testing.check_model(f"{__name__}:Good", power=2)


@dataclass
class ModelThatThaws:
    """A model whose settings can be changed."""

    power: float = 1.0

    def fit(self, train, side=None):
        return Good(self.power).fit(train)


class ModelThatWrites(Good):
    """A model."""

    def fit(self, train, side=None):
        train.data[:] = 2
        return Good().fit(train)


class ModelThatDraws(Good):
    """A model."""

    def fit(self, train, side=None):
        return Shares(np.random.default_rng().random(40).astype(np.float32))


class ModelOfDoubles(Good):
    """A model."""

    def fit(self, train, side=None):
        return Shares(np.ones(40))


class ModelWithoutOrder(Good):
    """A model."""

    def fit(self, train, side=None):
        return Shares(np.ones(40, np.float32))


class ModelOfWhoIsAsked(Good):
    """A model."""

    def fit(self, train, side=None):
        class Fitted(Shares):
            def score(self, users):
                return Shares.score(self, users) * np.float32(len(users))

        return Fitted(Good().fit(train).counts)


class ModelOfOtherHistories(Good):
    """A model."""

    def fit(self, train, side=None):
        class Fitted(Shares):
            def fold(self, histories):
                return Shares.fold(self, histories) + np.float32(1)

        return Fitted(Good().fit(train).counts)


class ModelOfNothingNew(Good):
    """A model."""

    def fit(self, train, side=None):
        class Fitted(Shares):
            def fold(self, histories):
                return Shares.fold(self, histories) * (np.asarray(histories.sum(axis=1)) > 0)[:, None]

        return Fitted(Good().fit(train).counts)


class ModelOfNoArrays(Good):
    """A model."""

    def fit(self, train, side=None) -> Shares:
        return Shares(Good().fit(train).counts, factors=object())


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (ModelThatThaws, "lets its setting power be changed, expected a frozen dataclass"),
        (ModelThatWrites, "changes an array that it is given"),
        (ModelThatDraws, "gives other scores when it is fitted again"),
        (ModelOfDoubles, r"score returns \(60, 40\) float64, expected \(60, 40\) float32"),
        (ModelWithoutOrder, "scores all items of each user the same"),
        (ModelOfWhoIsAsked, "score gives a user other scores beside other users"),
        (ModelOfOtherHistories, "fold of a training user's history gives other scores than score"),
        (ModelOfNothingNew, "fold of an empty history returns zeros"),
        (ModelOfNoArrays, "keeps factors that no array can hold"),
    ],
)
def test_a_model_that_breaks_a_promise_is_refused(model, line):
    with refused(f"^model 'model_.*': .*{line}") as caught:
        testing.check_model(model())
    assert "\n" not in str(caught.value)


def closing(closed):
    """Return a rule that excludes items."""
    return lambda pool, k: Rule(excluded_items=closed(pool))


EVEN = Guard("even", closing(lambda pool: np.arange(40) % 2 == 0), is_static=True)
GROUPS = sparse.csr_array(np.eye(2, dtype=np.float32)[np.arange(40) % 2])


def write_to_pool(pool, k):
    pool.scores[:] = 0
    return Rule()


def test_a_guard_of_ones_own_can_keep_its_contract():
    testing.check_guard(EVEN)
    testing.check_guard(replace(EVEN, make_rule=lambda pool, k: Rule(groups=GROUPS, max_picks=np.array([1, 2]))))


@pytest.mark.parametrize(
    ("guard", "line"),
    [
        (Guard("g", lambda pool, k: None), "fails to make its rule .*returns a NoneType, expected a recsys.types.Rule"),
        (Guard("g", closing(lambda pool: np.ones(3, bool))), r"excluded_items has shape \(3,\), expected 40"),
        (Guard("g", closing(lambda pool: np.random.default_rng().random(40) < 0.5)), "makes another rule at a second"),
        (Guard("g", write_to_pool), "changes an array that it is given"),
        (Guard("g", closing(lambda pool: np.bincount(pool.items[:, 0], minlength=40) > 0), is_static=True),
         "is_static, and has another rule for other users or candidates"),
        (replace(EVEN, config_settings={"exclude": {"items": ["i1"]}}), "has another rule than the guard that its config"),
        (Guard("g", lambda pool, k: 1 / 0), "fails to make its rule .*ZeroDivisionError"),
        (lambda: 3, "guard: fails to be made: .*returns int, expected a recsys.Guard"),
    ],
)  # fmt: skip
def test_a_guard_that_breaks_a_promise_is_refused(guard, line):
    with refused(line) as caught:
        testing.check_guard(guard)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", ["shown", "crowded", "miscounted"])
def test_a_guard_that_slates_do_not_keep_is_refused(monkeypatch, broken):
    """What the kernel and the counting of guards promise is tested too: break them once."""
    from recsys.testing import guards as contract

    guard = EVEN
    if broken == "crowded":
        guard = Guard("few", lambda pool, k: Rule(groups=GROUPS, max_picks=np.array([1, 1])))
    if broken == "miscounted":
        monkeypatch.setattr(contract.slot_rules, "count_violations", lambda rules, items: np.ones((len(items), 1), int))
    else:
        whole = contract.rerank
        monkeypatch.setattr(contract, "rerank", lambda pool, blend, k, guards: whole(pool, blend, k=k))
    line = {"shown": "excludes an item that is shown", "crowded": "more picks than it may", "miscounted": "not counted"}
    with refused(line[broken]):
        testing.check_guard(guard)


def make_rule_split(rule, words="Return a split."):
    """Return the split of a rule, with a docstring."""
    rule.__doc__ = words
    return splits.define_split(rule)


def every_fourth(pairs):
    """Return every fourth pair as test."""
    return np.where(np.arange(len(pairs.user)) % 4, 0, 2)


def change_split(**parts):
    """Return a split that changes what the one at random returns."""

    def split(dataset, *, seed: int = 0):
        """Return a split."""
        made = splits.random(dataset, seed=seed)
        return replace(made, **{name: change(made) for name, change in parts.items()})

    return split


def split_that_draws(dataset, *, positive: str | None = None):
    """Return a split."""
    return splits.random(dataset, positive=positive, seed=int(np.random.default_rng().integers(1 << 30)))


def split_of_nothing(dataset):
    """Return nothing."""


def split_of_rows(dataset):
    """Return a split by the order of the rows."""
    return splits.random(dataset, seed=int(dataset.interactions.user[0]))


def split_without_words(dataset):
    return splits.random(dataset)


def split_by_position(dataset, test=0.2):
    """Return a split."""
    return splits.random(dataset, test=test)


def split_that_writes(dataset):
    """Return a split."""
    made = splits.random(dataset)
    dataset.interactions.weight[:] = 0
    return made


def split_that_needs_times(dataset):
    """Return a split."""
    dataset.interactions.datetime.max()
    return splits.random(dataset)


def test_a_split_of_ones_own_can_keep_its_contract():
    testing.check_split(make_rule_split(lambda pairs: every_fourth(pairs)))
    testing.check_split(splits.define_split(every_fourth))


@pytest.mark.parametrize(
    ("split", "line"),
    [
        (split_without_words, "has no docstring"),
        (split_by_position, "takes test=0.2, expected a setting by keyword"),
        (split_of_nothing, "returns a NoneType, expected a recsys.Split"),
        (split_that_draws, "has other pairs in .* at a second call"),
        (split_of_rows, "has other pairs in .* at another order of the rows"),
        (split_that_writes, "changes an array that it is given"),
        (split_that_needs_times, "fails on data without times, expected a split or a RecsysError"),
        (change_split(test=lambda made: made.validation), "has nothing in test"),
        (change_split(test=lambda made: made.train), "pairs in train and in test, expected each in one part"),
        (change_split(test=lambda made: made.test * 2), "has entries other than 1 in test"),
        (
            change_split(test=lambda made: sparse.csr_array(np.ones(made.shape, np.float32))),
            "that the data does not have",
        ),
        (change_split(fingerprint=lambda made: ""), "has no fingerprint"),
        (change_split(fingerprint=lambda made: "mine"), "has the same fingerprint for other data"),
    ],
)
def test_a_split_that_breaks_a_promise_is_refused(split, line):
    with refused(f"^split '.*': .*{line}") as caught:
        testing.check_split(split)
    assert "\n" not in str(caught.value)


ARCHIVE_CARD = SHOP_CARD.replace('kind = "local"', 'kind = "archive"').replace(
    'files = ["shop.csv"]', 'url = "https://shop.example/shop.zip"'
)


def test_a_card_of_ones_own_can_keep_its_contract(tmp_path):
    (tmp_path / "own-shop.toml").write_text(ARCHIVE_CARD)
    testing.check_card(tmp_path / "own-shop.toml")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop.csv").write_text(SHOP_LOG)
    (tmp_path / "own-shop.toml").write_text(SHOP_CARD)
    testing.check_card(tmp_path / "own-shop.toml", data_dir=tmp_path)
    (tmp_path / "own-shop.toml").write_text((tmp_path / "own-shop.toml").read_text().replace("users = 2", "users = 3"))
    with refused("fails to be loaded from .*2 users, expected 3"):
        testing.check_card(tmp_path / "own-shop.toml", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            'about = "',
            'abuot = "x"\nabout = "',
            "fails to be read: own-shop.toml: unknown key 'abuot': did you mean 'about'",
        ),
        ('licence = "MIT"', 'licence = " "', "has no licence, expected some words"),
        ("@misc", "misc", "has a citation that is no BibTeX"),
        ("https://", "http://", "fetches from http://shop.example/shop.zip, expected an https address"),
        ("users = 2", "users = 0", "fails to be read: own-shop.toml: expected.users: found '0', expected 1 or more"),
        ('zip"\n', 'zip"\nsha256 = "abc"\n', "fails to be read: .*sha256: found 'abc', expected 64 hexadecimal"),
        ('item_id = "article"', 'title = "article"', "item_id"),
    ],
)
def test_a_card_that_breaks_a_promise_is_refused(tmp_path, old, new, line):
    assert old in ARCHIVE_CARD
    (tmp_path / "own-shop.toml").write_text(ARCHIVE_CARD.replace(old, new))
    with refused(f"^card '.*own-shop.toml': .*{line}") as caught:
        testing.check_card(tmp_path / "own-shop.toml")
    assert "\n" not in str(caught.value)


def read_nothing():
    """Return no rows."""
    return [("a", "b")][:0]


def read_without_words():
    return [("a", "b")]


def read_other_rows():
    """Return a row at random."""
    return [("a", f"{np.random.default_rng().integers(1 << 30)}")]


def read_a_number():
    """Return a number."""
    return 3


def read_wrong_codes():
    """Return a dataset whose codes are of nobody."""
    made = rs.read_dataset([("a", "x"), ("b", "y")])
    return replace(made, interactions=replace(made.interactions, user=made.interactions.user + 7))


@pytest.mark.parametrize(
    ("reader", "line"),
    [
        (read_nothing, "reader 'read_nothing': "),
        (read_without_words, "has no docstring"),
        (read_other_rows, "reads other data at a second call"),
        (read_a_number, "reader 'read_a_number': fails to be read: "),
        (read_wrong_codes, "interactions: user holds 7 to 8, expected whole numbers from 0 to 1"),
    ],
)
def test_a_reader_that_breaks_a_promise_is_refused(reader, line):
    with refused(re.escape(line)) as caught:
        testing.check_reader(reader)
    assert "\n" not in str(caught.value)


def test_it_is_loaded_when_it_is_asked_for_and_needs_no_pytest():
    code = (
        "import sys; sys.modules['pytest'] = None; import recsys; assert 'recsys.testing' not in sys.modules; "
        "recsys.testing.check_objective('relevance'); print('kept')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("kept\n", "")


def test_every_kind_is_a_public_function_with_a_docstring():
    checks = [name for name in testing.__all__ if name.startswith("check_")]
    kinds = ("card", "guard", "metric", "model", "no_leak", "objective", "reader", "split")
    assert checks == [f"check_{kind}" for kind in kinds]
    for name in testing.__all__:
        assert inspect.getdoc(getattr(testing, name))
    assert isinstance(splits.random(testing.make_dataset()), Split)


def test_an_objective_is_named_once_in_a_line():
    with refused("^objective '[^']+': fails on 20 candidates of 30 users: objective '[^' ]+': Modular: gain holds NaN"):
        testing.check_objective(objective_of_nothing)


def objective_of_nothing(pool, k):
    """Return gains that are no numbers."""
    return gain(pool, np.nan)
