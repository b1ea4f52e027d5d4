"""A ranker with rows that came since it was fitted: what is that of a fit to all rows, what is stale, and it says so."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from synthetic import make_maps, make_split

import recsys as rs
from recsys.cli import cli
from recsys.control import forget_lists
from recsys.experiments import update_ranker
from recsys.models.forgetting import Forgotten, update_model
from recsys.rankers import Ranker
from recsys.types import RecsysError
from recsys.types.arrays import Csr

BLEND = {"relevance": 1.0, "mmr": 0.3, "negative_space": 0.3, "unexplored": 0.2}
MODELS = {
    "als": rs.models.ALS(factors=4, iterations=3),
    "ease": rs.models.EASE(l2=5.0),
    "item_knn": rs.models.ItemKNN(k=5, similarity="tfidf", shrink=2.0),
    "most_popular": rs.models.MostPopular(),
    "rp3beta": rs.models.RP3beta(k=5),
    "user_knn": rs.models.UserKNN(k=5),
}


@pytest.fixture(scope="module")
def worlds():
    """Return the split of all rows, that without the last users and some likes, and what is missing there."""
    whole = make_split(users=40, seed=4, times=True)
    rows = np.repeat(np.arange(40), np.diff(whole.train.indptr))
    held = (rows >= 38) | ((rows % 9 == 3) & (np.arange(len(rows)) % 2 == 0))

    def take(kept, users):
        cells = rows[kept], whole.train.indices[kept]
        return [
            Csr((values[kept], cells), shape=(40, 40))[:users] for values in (whole.train.data, whole.train_times.data)
        ]

    old, old_times = take(~held, 38)
    new, new_times = take(held, 40)
    before = replace(
        whole, user_ids=whole.user_ids[:38], train=old, train_times=old_times, validation=old * 0, test=old * 0,
        train_negatives=whole.train_negatives[:38], validation_negatives=old * 0,
    )  # fmt: skip
    none = Csr((40, 40), dtype=np.float32)
    after = replace(whole, train_negatives=take_rows(whole.train_negatives, 38, 40))
    return whole, before, replace(after, train=new, train_times=new_times, validation=none, test=none)


@pytest.fixture(scope="module")
def rankers(worlds):
    whole, before, _ = worlds
    made = {}
    for name, model in MODELS.items():
        blend = BLEND if name == "als" else {"relevance": 1.0}
        made[name] = [
            Ranker.fit(model.fit(one.train), one, blend, maps=make_maps(one), n=20, k=6, scale=None)
            for one in ((before, whole) if name != "als" else (before,))
        ]
    return made


def take_rows(matrix, first, end):
    """Return a matrix without the entries of other rows."""
    made = Csr(matrix.multiply(((np.arange(40) >= first) & (np.arange(40) < end))[:, None]))
    made.eliminate_zeros()
    return made


def list_items(split, user):
    return split.item_ids[split.train[[user]].indices].tolist()


def test_users_are_those_of_requests_that_bring_all_of_their_rows_to_the_last_bit(worlds, rankers):
    (ranker,), (_, _, new) = rankers["als"], worlds
    updated = ranker.update(new)
    assert updated.last_update.new_users == 2 and updated.last_update.users > 4
    for user in np.flatnonzero(np.diff(new.train.indptr)):
        name = str(new.user_ids[user])
        given = {"user": name, "more": list_items(new, user)} if user < 38 else {"history": list_items(new, user)}
        expected, found = ranker.rank(**given, now=0), updated.rank(user=name, now=0)
        if user < 38:
            assert (found.items, found.relevance.tolist()) == (expected.items, expected.relevance.tolist())
        dislikes = worlds[0].item_ids[worlds[0].train_negatives[[user]].indices].tolist() if user >= 38 else ()
        assert set(found.items).isdisjoint([*list_items(new, user), *dislikes])
    untouched = ranker.rank(user="u0", now=0)
    assert updated.rank(user="u0", now=0).items == untouched.items
    assert ("model: item factors" in updated.last_update.stale) and not updated.last_update.is_exact


@pytest.mark.parametrize("name", ["ease", "item_knn", "most_popular", "rp3beta", "user_knn"])
def test_counts_and_links_are_those_of_a_fit_to_all_rows(worlds, rankers, name):
    (ranker, refit), (_, _, new) = rankers[name], worlds
    settings = MODELS[name] if name in ("item_knn", "rp3beta") else None
    updated = ranker.update(new, settings=settings)
    users = np.arange(40, dtype=np.int32)
    assert updated.last_update.is_exact
    np.testing.assert_allclose(updated.model.score(users), refit.model.score(users), atol=2e-5)
    assert not np.allclose(updated.model.score(users[:38]), ranker.model.score(users[:38]), atol=2e-5)
    assert updated.context.train.toarray().tolist() == refit.context.train.toarray().tolist()
    assert updated.context.times.toarray().tolist() == refit.context.times.toarray().tolist()


def test_links_without_settings_are_stale_and_made_anew_by_the_next_update(worlds, rankers):
    (ranker, refit), (_, _, new) = rankers["item_knn"], worlds
    first = replace(new, train=take_rows(new.train, 0, 20))
    stale = ranker.update(first)
    assert "model: links" in stale.last_update.stale
    assert (stale.model.links != ranker.model.links).nnz == 0
    updated = stale.update(new, settings=MODELS["item_knn"])
    assert updated.last_update.known == first.train.nnz < new.train.nnz
    assert abs(updated.model.links - refit.model.links).max() < 1e-6


def test_an_update_is_a_policy_of_its_own_that_is_saved_and_refuses_receipts_of_the_older(worlds, rankers, tmp_path):
    (ranker,), (_, _, new) = rankers["als"], worlds
    updated = ranker.update(new)
    assert updated.name != ranker.name and updated.last_update.policy == ranker.name
    loaded = Ranker.load(updated.save(tmp_path / "ranker"), verify=True)
    assert (loaded.name, loaded.last_update) == (updated.name, updated.last_update)
    assert loaded.rank(user="u39", now=0).items == updated.rank(user="u39", now=0).items
    assert loaded.replay(ranker.rank(user="u3", now=0).receipt()).verdict == "other artefact"
    assert ranker.update(new).name == updated.name
    again = updated.update(new)
    assert (again.last_update.likes, again.last_update.stale) == (0, updated.last_update.stale)


def test_what_is_forgotten_stays_forgotten_though_new_rows_have_it(worlds, rankers, tmp_path):
    (ranker,), (_, _, new) = rankers["als"], worlds
    path = tmp_path / "forget.jsonl"
    forget_lists.forget(path, user="u39")
    forget_lists.forget(path, user="u3", item=list_items(new, 3)[0])
    updated = ranker.follow_forget_list(path).update(new)
    assert "u39" not in updated.known_users and "u38" in updated.known_users
    liked = updated.context.item_ids[updated.context.train[[3]].indices].tolist()
    assert list_items(new, 3)[0] not in liked and set(list_items(new, 3)[1:]) <= set(liked)


def test_a_half_life_goes_on_from_its_moment(worlds):
    _, before, new = worlds
    aged = before.with_half_life(100.0)
    ranker = Ranker.fit(
        MODELS["als"].fit(aged.train, aged.side_information), aged, BLEND, maps=make_maps(aged), n=20, k=6, scale=None
    )
    updated = ranker.update(new)
    more = [(item, int(at)) for item, at in zip(list_items(new, 3), new.train_times[[3]].data, strict=True)]
    expected, found = ranker.rank(user="u3", more=more, now=0), updated.rank(user="u3", now=0)
    np.testing.assert_allclose(found.relevance, expected.relevance, atol=1e-6)
    assert found.items == expected.items


def test_items_that_are_not_known_are_left_out_and_counted(rankers):
    (ranker,) = rankers["als"]
    rows = [("u3", "nope", 1.0, 5), ("new", "nope", 1.0, 5), ("u5", ranker.rank(user="u5").items[0], 1.0, 5)]
    told = ranker.update(rows).last_update
    assert (told.likes, told.users, told.new_users, told.left_out) == (1, 1, 0, 2)


@pytest.mark.parametrize(
    ("name", "rows", "given", "said"),
    [
        ("als", [("u3", "i1")], {}, "the rows have no datetime and the ranker keeps times"),
        ("als", [("u3", "i1", 1.0, 5)], {"positive": "rating >= 4"}, "positive"),
        ("item_knn", None, {"settings": MODELS["ease"]}, "update: the settings are those of another model"),
    ],
)
def test_bad_input_is_one_line(worlds, rankers, name, rows, given, said):
    with pytest.raises(RecsysError, match=said) as caught:
        rankers[name][0].update(worlds[2] if rows is None else rows, **given)
    assert "\n" not in str(caught.value)


def test_the_command_writes_a_new_version_and_says_what_is_stale(rankers, tmp_path):
    folder, out = rankers["als"][0].save(tmp_path / "old"), tmp_path / "new"
    (tmp_path / "rows.csv").write_text(
        "client,article,stars,at\nu3,i0,5,2001-01-01\nzed,i1,5,2001-01-01\nzed,i2,1,2001-01-01\n"
    )
    names = ["--column", "user_id=client", "--column", "item_id=article", "--column", "weight=stars"]
    given = [
        "update",
        str(folder),
        str(tmp_path / "rows.csv"),
        *names,
        "--column",
        "datetime=at",
        "--positive",
        "stars >= 4",
    ]
    done = CliRunner().invoke(cli, [*given, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "item factors stale" in done.output and Ranker.load(out).name in done.output
    assert Ranker.load(out).last_update.new_users == 1
    with pytest.raises(RecsysError, match="is the ranker itself"):
        update_ranker(folder, rs.read_dataset([("u3", "i0")]), folder)


@pytest.mark.parametrize(
    "model",
    [rs.models.EASE(l2=5.0), *(rs.models.ItemKNN(k=4, similarity=one, shrink=1.0) for one in ("cosine", "tfidf"))],
)
def test_rows_that_are_added_are_an_exact_update_of_few_numbers(model):
    rng = np.random.default_rng(3)
    after = Csr((rng.random((60, 200)) < 0.015).astype(np.float32))
    before = after.toarray()
    for user in (7, 21):
        before[user, after[[user]].indices[:1]] = 0.0  # a like more
    before[59] = 0.0  # a new user
    users = np.array([7, 21, 59], np.int32)
    fitted = model.fit(Csr(before))
    updated = update_model(Forgotten(fitted, after, users, model, None, lost_dislikes=False))
    assert [part.state for part in updated.parts] == ["exact"]
    expected, everybody = model.fit(after), np.arange(60, dtype=np.int32)
    tolerance = 1e-5 if isinstance(model, rs.models.EASE) else 0.0
    np.testing.assert_allclose(updated.model.score(everybody), expected.score(everybody), rtol=0, atol=tolerance)
    assert not np.allclose(fitted.score(users), expected.score(users), atol=1e-4)
