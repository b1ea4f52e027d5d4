"""Rules of [control] and [evidence] in a closed loop: what a recommender keeps to, and what it is refused."""

from itertools import pairwise

import numpy as np
import pytest
from synthetic import make_taste_world

import recsys as rs
from recsys.evidence import detect_one_offs
from recsys.reranking import guards
from recsys.simulation import Log, Recommender, simulate
from recsys.simulation.plans import read_simulation
from recsys.simulation.policies import update_split
from recsys.types import Exposures, RecsysError
from recsys.types.exposures import DAY

KNN = rs.models.ItemKNN()
USUAL = {"k": 5, "pool": 20}


@pytest.fixture(scope="module")
def world():
    return make_taste_world(no_choice=1.0)


def play(world, policy, rounds=5):
    """Yield the running policy, the log, the slates of each round and what is consumed."""
    people = world.start(0)
    log, running = Log(people.shape, people.history), policy.start(people, 0)
    for number in range(rounds):
        offer = running.recommend(log, number)
        eaten = people.consume(offer, log.met, number)
        yield number, running, log, offer.items
        log.record(offer, eaten)


class Notes:
    """A model that keeps what it is fitted to."""

    def __init__(self, model=KNN):
        self.model, self.fits = model, []

    def fit(self, train, side_information=None):
        self.fits.append((train, side_information))
        return self.model.fit(train)


@pytest.mark.parametrize(("window", "round_days", "again"), [(2.0, 1.0, True), (50.0, 10.0, False), (1.0, 1.0, True)])
def test_a_cap_counts_what_was_shown_in_the_rounds_of_its_window(world, window, round_days, again):
    """An exposure counts while its age is below the window: one of one day does not count in a window of one."""
    cap = {"frequency_cap": {"m": 1, "window_days": window}}
    shown = [slates for *_, slates in play(world, Recommender(KNN, control=cap, round_days=round_days, **USUAL))]
    times = {}
    for number, slates in enumerate(shown):
        for user, slate in enumerate(slates):
            for item in slate[slate >= 0]:
                times.setdefault((user, int(item)), []).append(number * round_days)
    gaps = [b - a for of in times.values() for a, b in pairwise(of)]
    assert all(gap >= window for gap in gaps)
    assert bool(gaps) == again


def test_fatigue_is_that_of_the_library_with_the_log_of_what_was_shown(world):
    policy = Recommender(KNN, control={"fatigue": {"weight": 0.7, "exponent": 0.8}}, **USUAL)
    blend, rows = {"relevance": 1.0, "fatigue": {"weight": 0.7, "exponent": 0.8}}, []
    for number, _, log, slates in play(world, policy, 3):
        split = update_split(world.start(0).history, log)
        user, item, when = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
        told = Exposures(user.astype(np.int32), item.astype(np.int32), when, split.user_ids, split.item_ids)
        pool = rs.candidates(KNN.fit(split.train), split, n=20, shown=told, now=number * DAY)
        assert np.array_equal(slates, rs.rerank(pool, blend, 5).items)
        rows += [(u, int(i), number * DAY) for u, slate in enumerate(slates) for i in slate if i >= 0]
    plain = simulate(world, Recommender(KNN, **USUAL), rounds=3, measures=["welfare"])
    assert not np.array_equal(plain.shown[2], slates)


def test_items_of_sensitive_topics_are_neither_used_nor_shown(world):
    model, ids = Notes(rs.models.Random()), world.split.item_ids[:8].tolist()
    control = {"topics": {"topics": {"private": {"items": ids}}}}
    shown = [slates for *_, slates in play(world, Recommender(model, control=control, **USUAL))]
    assert not np.isin(shown, np.arange(8)).any()
    assert all(train[:, np.arange(8)].nnz == 0 and side.dislikes[:, np.arange(8)].nnz == 0
               for train, side in model.fits)  # fmt: skip
    assert np.isin([slates for *_, slates in play(world, Recommender(rs.models.Random(), **USUAL))], np.arange(8)).any()
    assert (np.array(shown) >= 0).all()


def test_one_offs_count_less_in_each_training(world):
    model, share = Notes(), {"share": 0.1, "weight": 0.3, "min_history": 3}
    for _, running, log, _ in play(world, Recommender(model, evidence={"one_offs": share}, **USUAL), 2):
        split = update_split(world.start(0).history, log)
        expected = detect_one_offs(split, KNN.fit(split.train), **share).time_weights.weights
        assert (model.fits[-1][1].weights != expected).nnz == 0
        assert expected.data.min() == pytest.approx(0.3)
        assert running._split.one_offs is not None
    assert len(model.fits) == 4


def test_what_is_ignored_so_often_is_a_dislike_and_is_not_shown_again(world):
    counts, model = np.zeros(world.split.shape, dtype=int), Notes()
    for _, running, log, slates in play(world, Recommender(model, ignored_after=2, **USUAL), 6):
        expected = (log.met & ~log.liked) | ((counts >= 2) & ~log.met)
        assert np.array_equal(running._split.train_negatives.toarray() > 0, expected)
        for user, slate in enumerate(slates):
            assert not expected[user, slate[slate >= 0]].any()
            counts[user, slate[slate >= 0]] += 1
    assert counts.max() == 2


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"control": {"dials": {}}}, "policy: control has dials, which says nothing in a simulation: no request"),
        ({"control": {"cool_down": {"days": 3}}}, "policy: control has cool_down, which says nothing in a simulation"),
        ({"control": {"compare": True}}, "policy: control has compare, which says nothing in a simulation: compare"),
        ({"control": {"frequency_cup": {}}}, "policy: control: unknown key 'frequency_cup': did you mean"),
        ({"control": {"frequency_cap": {"m": 0, "window_days": 1}}}, "policy: control: frequency_cap: m is 0"),
        ({"control": {"fatigue": {"exponent": -1}}}, "policy: control: "),
        ({"control": 3}, "policy: control is 3, expected a table as [control] of a benchmark"),
        ({"evidence": {"repeat": {}}}, "policy: evidence has repeat, which says nothing in a simulation: nothing is"),
        ({"evidence": {"guest_runs": {}}}, "policy: evidence has guest_runs, which says nothing in a simulation"),
        ({"evidence": {"like_curve": True}}, "policy: evidence has like_curve, which says nothing in a simulation"),
        ({"evidence": {"one_offs": {"share": 2.0}}}, "policy: evidence: [one_offs] share is 2.0"),
        ({"guards": [guards.cool_down(3)]}, "policy: guards has cool_down, which says nothing in a simulation"),
        ({"guards": [guards.frequency_cap(1, window_days=2)],
          "control": {"frequency_cap": {"m": 1, "window_days": 2}}}, "policy: guards and control both have"),
        ({"blend": {"relevance": 1, "fatigue": 1}, "control": {"fatigue": 1.0}}, "policy: blend and control both have"),
        ({"round_days": 0}, "policy: round_days is 0"),
        ({"ignored_after": -1}, "policy: ignored_after is -1"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_one_line(settings, line):
    with pytest.raises(RecsysError) as error:
        Recommender(KNN, **settings)
    assert str(error.value).startswith(line)


def test_rules_of_a_file_start_from_its_folder_and_are_part_of_the_digest(tmp_path):
    digests = []
    text = (
        'rounds = 1\n[world]\nkind = "ring_beliefs"\n[policies.x]\nkind = "recommender"\n[policies.x.control]\n'
        'topics = "topics.toml"\nfrequency_cap = { m = 1, window_days = 3 }\n[policies.x.evidence]\none_offs = {}\n'
    )
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    for item in ("1", "2"):
        (tmp_path / "topics.toml").write_text(f'[topics.private]\nitems = ["{item}"]\n', encoding="utf-8")
        plan = read_simulation(tmp_path / "run.toml")
        rules = plan.policies["x"].build_rules()
        assert rules.topics.topics[0].items == (item,)
        assert rules.one_offs.share == 0.02
        assert [one.name for one in rules.guards] == ["frequency_cap"]
        digests.append(plan.digest)
    assert digests[0] != digests[1]
    (tmp_path / "run.toml").write_text(
        text.replace("topics =", "dials =").replace('"topics.toml"', "{}"), encoding="utf-8"
    )
    with pytest.raises(RecsysError, match=r"\[policies\.x\] policy: control has dials, which says nothing"):
        read_simulation(tmp_path / "run.toml")
