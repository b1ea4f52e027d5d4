"""`finish_forgets`: what is pending is made anew, as a fit without the rows makes it, whole or not at all."""

import os
import signal
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from forked import fork, wait_for
from synthetic import make_exposures, make_maps, make_split, write_tables

import recsys as rs
from recsys.cli import main
from recsys.control import forget_lists
from recsys.experiments import export, finish_forgets
from recsys.models import forgetting
from recsys.rankers import Ranker, fitting, remakes
from recsys.support.serialization import flatten_record
from recsys.types import RecsysError
from recsys.types.arrays import Csr

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
USERS, SEED, GONE, PAIR, ITEM = 60, 4, "u3", ("u5", 0), "i7"
BLENDS = {
    "plain": {"relevance": 1.0, "mmr": 0.3, "negative_space": 0.3, "unexplored": 0.2},
    "popular": {"relevance": 1.0, "novelty": 0.2},
}
MODELS = {
    "most_popular": rs.models.MostPopular(),
    "user_knn": rs.models.UserKNN(k=5),
    "item_knn": rs.models.ItemKNN(k=5, shrink=10.0),
    "p3alpha": rs.models.P3alpha(),
    "bpr": rs.models.BPR(factors=4, iterations=3),
    "ease": rs.models.EASE(l2=5.0),
    "als": rs.models.ALS(factors=4, iterations=3),
}


@pytest.fixture(autouse=True)
def _write_to_memory_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("os.fsync", lambda number: None)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))


@cache
def make_data(half_life=None):
    split = make_split(users=USERS, items=50, seed=SEED, times=True)
    return split if half_life is None else split.with_half_life(half_life, now=2000 * 86_400)


def fit(model, split, blend="plain", **others):
    fitted = MODELS[model].fit(split.train, split.side_information)
    settings = {"n": 20, "k": 6, **others}
    return Ranker.fit(fitted, split, BLENDS[blend], **settings)


def say(path, split):
    """Write a forget of a person, of an interaction, and of an item."""
    liked = split.item_ids[split.train[[split.user_ids.tolist().index(PAIR[0])]].indices[PAIR[1]]]
    forget_lists.forget(path, user=GONE)
    forget_lists.forget(path, user=PAIR[0], item=liked)
    forget_lists.forget(path, item=ITEM)
    return path


def take_out(split, path):
    """Return the split with the cells of the named rows empty, entry by entry: the slow statement."""
    found = forget_lists.read_forget_list(path)
    named = {(line.user, line.item) for line in found.list_holding()}
    users = {code: found.hash_user(name) for code, name in enumerate(split.user_ids.tolist())}
    items = {code: found.hash_item(name) for code, name in enumerate(split.item_ids.tolist())}

    def drop(matrix):
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        kept = [
            not named & {(users[u], ""), ("", items[i]), (users[u], items[i])}
            for u, i in zip(rows.tolist(), matrix.indices.tolist(), strict=True)
        ]
        pointers = np.searchsorted(rows[kept], np.arange(matrix.shape[0] + 1)).astype(matrix.indptr.dtype)
        return Csr((matrix.data[kept], matrix.indices[kept], pointers), shape=matrix.shape)

    names = ("train", "train_negatives", "train_times")
    return replace(split, **{name: drop(getattr(split, name)) for name in names})


def list_arrays(ranker):
    """Return all arrays that a ranker saves, by name, but for ids of forgotten people and what is available."""
    arrays = flatten_record(ranker._collect_parts())
    return {name: one for name, one in arrays.items() if name not in ("user_ids", "available")}


def assert_same(one, other, skipped=()):
    ours, theirs = (
        {name: array for name, array in list_arrays(of).items() if not name.startswith(tuple(skipped))}
        for of in (one, other)
    )
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype and np.array_equal(array, theirs[name]), name


@pytest.mark.parametrize(
    ("model", "half_life"),
    [
        *((name, None) for name in ("most_popular", "user_knn", "item_knn", "p3alpha", "als", "bpr")),
        ("most_popular", 300),
        ("item_knn", 300),
    ],
)
def test_the_ranker_is_that_of_a_fit_without_the_rows(tmp_path, model, half_life):
    """To the bit: model, own maps, scales and every derived table."""
    split = make_data(half_life)
    path = say(tmp_path / "list", split)
    folder = fit(model, split).save(tmp_path / "ranker")
    assert len(Ranker.load(folder, forget_list=path).pending_forgets) == 3
    done = finish_forgets(folder, forget_list=path, settings=MODELS[model], quiet=True)
    assert done.finished.lines == (1, 2, 3) and done.finished.model.is_exact
    made = Ranker.load(folder)
    assert made.pending_forgets == () and made.finished_forgets == done.finished and made.name == done.policy
    expected = fit(model, take_out(split, path)).follow_forget_list(path)
    assert_same(made, expected)
    assert dict(made.scales) == dict(expected.scales)
    for user in ("u1", "u5", "u40"):
        assert made.rank(user=user, now=9).items == expected.rank(user=user, now=9).items
    assert GONE not in made.known_users and ITEM not in made.known_items
    assert not (tmp_path / "ranker.unfinished").exists()


def test_weights_of_ease_are_within_the_bound(tmp_path):
    split = make_split(users=40, items=200, seed=SEED, times=True)
    path = forget_lists.forget(tmp_path / "list", user=GONE).path
    folder = fit("ease", split, "popular").save(tmp_path / "ranker")
    (part,) = finish_forgets(folder, forget_list=path, quiet=True).finished.model.parts
    made, expected = Ranker.load(folder), fit("ease", take_out(split, path), "popular")
    assert part.state == "exact" and 0 < part.bound <= 2**-16
    assert np.abs(made.model.weights - expected.model.weights).max() <= part.bound
    assert_same(made, expected, skipped=("models.0.weights", "models.0.inverse_diagonal", "models.0.probe_images"))


def test_an_index_is_made_of_the_new_factors(tmp_path):
    pytest.importorskip("sklearn")
    split = make_data()
    folder = fit("als", split, "popular", index_recall=0.8).save(tmp_path / "ranker")
    path = forget_lists.forget(tmp_path / "list", user=GONE).path
    assert "index" in Ranker.load(folder, forget_list=path).pending_forgets[0].parts
    before = Ranker.load(folder).index
    assert "index" in finish_forgets(folder, forget_list=path, settings=MODELS["als"], quiet=True).finished.remade
    after = Ranker.load(folder).index
    assert after.target_recall == before.target_recall and not np.array_equal(after.centres, before.centres)


def test_what_was_saved_after_a_forget_is_finished_too(tmp_path):
    """Its folder no longer has the rows, so that no update can be made from them."""
    split = make_data()
    path = say(tmp_path / "list", split)
    for model in ("als", "ease", "item_knn", "bpr"):
        folder = fit(model, split).follow_forget_list(path).save(tmp_path / model)
        done = finish_forgets(folder, settings=MODELS[model], quiet=True).finished
        assert {part.state for part in done.model.parts} - {"exact"} == {"refitted"} and done.lines == (1, 2, 3)
        made, expected = Ranker.load(folder), fit(model, take_out(split, path)).follow_forget_list(path)
        assert made.pending_forgets == ()
        if model != "als":
            assert_same(made, expected)


def test_a_later_forget_is_pending_again(tmp_path):
    split = make_data()
    path = forget_lists.forget(tmp_path / "list", user=GONE).path
    folder = fit("user_knn", split).save(tmp_path / "ranker")
    finish_forgets(folder, forget_list=path, quiet=True)
    forget_lists.forget(path, user="u9")
    served = Ranker.load(folder)
    assert [one.line for one in served.pending_forgets] == [2] and served.finished_forgets.lines == (1,)
    assert finish_forgets(folder, quiet=True).finished.lines == (1, 2)
    assert_same(Ranker.load(folder), fit("user_knn", take_out(split, path)).follow_forget_list(path))


def test_exposures_dials_and_guards_stay(tmp_path):
    split = make_data()
    path = forget_lists.forget(tmp_path / "list", user=GONE).path
    own = {"guards": [rs.guards.at_most(2, features=["f1"])], "shown": make_exposures(split, rows=300)}
    before = fit("user_knn", split, **own).set_user_dials({"u1": {"mmr": 2.0}, GONE: {"mmr": 2.0}})
    folder = before.save(tmp_path / "ranker", about={"origin": "here"})
    finish_forgets(folder, forget_list=path, out=tmp_path / "other", quiet=True)
    assert_same(Ranker.load(folder), before)
    made = Ranker.load(tmp_path / "other")
    assert made.user_dials.user_ids.tolist() == ["u1"] and made.about["origin"] == "here"
    assert [guard.name for guard in made.guards] == [guard.name for guard in before.guards]
    code = before.known_users[GONE]
    pointers = made.context.exposures.pointers
    assert pointers[code] == pointers[code + 1] and pointers[-1] > 0


def test_nothing_pending_is_one_line(tmp_path, capsys):
    path = forget_lists.forget(tmp_path / "list", user="nobody").path
    folder = fit("user_knn", make_data(), forget_list=path).save(tmp_path / "ranker")
    before = (folder / "manifest.json").read_bytes()
    main(["forget", "run", str(folder)])
    assert capsys.readouterr().out == f"{folder}: nothing is pending\n"
    assert (folder / "manifest.json").read_bytes() == before and not (tmp_path / "ranker.unfinished").exists()


def test_given_maps_need_a_word(tmp_path):
    split = make_data()
    path = forget_lists.forget(tmp_path / "list", user=GONE).path
    folder = fit("user_knn", split, maps=make_maps(split)).save(tmp_path / "ranker")
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(RecsysError, match="forget: the maps of the ranker were given to it, expected maps among"):
        finish_forgets(folder, forget_list=path, quiet=True)
    assert (folder / "manifest.json").read_bytes() == before
    assert finish_forgets(folder, forget_list=path, keep=["maps"], quiet=True).finished.kept == ("maps",)
    assert_same(Ranker.load(folder), fit("user_knn", take_out(split, path), maps=make_maps(split)))
    forget_lists.forget(path, user="u9")
    assert "maps" not in Ranker.load(folder).pending_forgets[0].parts
    folder = fit("user_knn", split, maps=make_maps(split)).save(tmp_path / "ranker")
    finish_forgets(folder, forget_list=path, make_maps=lambda train: make_maps(split)[:1], quiet=True)
    assert len(Ranker.load(folder).context.maps) == 1
    folder = fit("user_knn", split, maps=make_maps(split)).save(tmp_path / "ranker")
    finish_forgets(folder, forget_list=path, remake=["maps"], quiet=True)
    assert_same(Ranker.load(folder), fit("user_knn", take_out(split, path)))


@pytest.mark.parametrize(
    ("model", "others", "message"),
    [
        ("bpr", {}, "its model FittedBPR has no update and is fitted anew, expected the settings"),
        ("bpr", {"settings": MODELS["ease"]}, "they make a FittedEASE, and the ranker has a FittedBPR"),
        ("user_knn", {"keep": ["map"]}, "forget: keep: unknown part 'map': did you mean 'maps'?"),
        ("user_knn", {"remake": ["model"]}, "forget: remake: unknown part 'model'"),
        ("user_knn", {"forget_list": None}, "follows no forget list, expected forget_list="),
        ("user_knn", {"forget_list": "nowhere"}, "forget list nowhere: No such file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, model, others, message):
    split = make_data()
    path = forget_lists.forget(tmp_path / "list", user=GONE).path
    folder = fit(model, split, "popular").save(tmp_path / "ranker")
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(RecsysError) as error:
        finish_forgets(folder, **{"forget_list": path, "quiet": True, **others})
    assert message in str(error.value) and "\n" not in str(error.value)
    assert (folder / "manifest.json").read_bytes() == before and not (tmp_path / "ranker.unfinished").exists()


def kill_job(folder, path, last):
    """Begin what is pending in another process, which dies once it has kept the part `last`."""

    def begin():
        make = remakes.PartStore.make

        def make_and_die(self, name, *others):
            found = make(self, name, *others)
            if name == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        remakes.PartStore.make = make_and_die
        finish_forgets(folder, forget_list=path, settings=MODELS["bpr"], quiet=True)

    assert wait_for(fork(begin)) == -signal.SIGKILL


@FORKS
@pytest.mark.parametrize("last", ["model", "maps", "tables"])
def test_a_job_that_was_killed_goes_on(tmp_path, monkeypatch, last):
    split = make_data()
    path = say(tmp_path / "list", split)
    folder = fit("bpr", split).save(tmp_path / "ranker")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    kill_job(folder, path, last)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert Ranker.load(folder, forget_list=path).pending_forgets
    order = ("model", "maps", "tables")
    kept = tmp_path / "ranker.unfinished"
    (store,) = [one for one in kept.iterdir() if one.is_dir()]
    assert sorted(one.name for one in store.iterdir()) == sorted(order[: order.index(last) + 1])
    made = []
    for module, name in ((remakes, "forget_rows"), (fitting, "fit_ranker_parts")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, name=name, **b: made.append(name) or real(*a, **b))
    assert forgetting.forget_rows is not remakes.forget_rows
    finish_forgets(folder, forget_list=path, settings=MODELS["bpr"], quiet=True)
    assert made == ([] if last == "tables" else ["fit_ranker_parts"])
    assert not kept.exists()
    assert_same(Ranker.load(folder), fit("bpr", take_out(split, path)).follow_forget_list(path))


@FORKS
def test_parts_of_another_job_are_not_taken(tmp_path):
    split = make_data()
    path = say(tmp_path / "list", split)
    folder = fit("bpr", split).save(tmp_path / "ranker")
    kill_job(folder, path, "maps")
    forget_lists.forget(path, user="u9")
    finish_forgets(folder, forget_list=path, settings=MODELS["bpr"], quiet=True)
    assert_same(Ranker.load(folder), fit("bpr", take_out(split, path)).follow_forget_list(path))


@FORKS
def test_a_damaged_part_is_made_anew(tmp_path):
    split = make_data()
    path = say(tmp_path / "list", split)
    folder = fit("bpr", split).save(tmp_path / "ranker")
    kill_job(folder, path, "model")
    file = next((tmp_path / "ranker.unfinished").rglob("*item_factors.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    finish_forgets(folder, forget_list=path, settings=MODELS["bpr"], quiet=True)
    assert_same(Ranker.load(folder), fit("bpr", take_out(split, path)).follow_forget_list(path))


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of files")
def test_two_jobs_on_one_ranker_do_not_meet(tmp_path):
    from recsys.rankers.part_stores import hold_parts

    path = forget_lists.forget(tmp_path / "list", user=GONE).path
    folder = fit("user_knn", make_data()).save(tmp_path / "ranker")
    with hold_parts(folder), pytest.raises(RecsysError, match="another process works in it, expected to be alone"):
        finish_forgets(folder, forget_list=path, quiet=True)
    assert finish_forgets(folder, forget_list=path, quiet=True).finished.lines == (1,)


def export_ranker(folder, **config):
    write_tables(folder, users=120)
    whole = {
        "name": "shop",
        "data": {"path": str(folder / "ratings.csv"), "items": str(folder / "items.csv")},
        "filter": {"positive": "rating >= 3"},
        "pool": {"n": 30},
        "blends": {"mixed": {"relevance": 1.0, "mmr": 0.2}},
    }
    return export({**whole, **config}, folder / "ranker", quiet=True).folder


def test_an_exported_ranker_knows_its_config(tmp_path, capsys):
    """The model is fitted with the settings of the config in it; commands tell what became of each line."""
    folder = export_ranker(tmp_path, model={"kind": "bpr", "factors": 4, "iterations": 3})
    path = forget_lists.forget(tmp_path / "list", user="u3").path
    main(["forget", "run", str(folder), "--list", str(path), "--quiet"])
    first, second = capsys.readouterr().out.splitlines()
    made = Ranker.load(folder)
    assert first == "line 1: FittedBPR: model refitted; made anew: maps, scales, tables"
    assert second == f"ranker: {folder}, policy {made.name}"
    main(["forget", "show", str(path), "--ranker", str(folder)])
    assert capsys.readouterr().out.splitlines()[0].endswith(f"Z: {first.removeprefix('line 1: ')}")
    forget_lists.forget(path, user="u4")
    main(["forget", "show", str(path), "--ranker", str(folder)])
    assert ": pending: model: FittedBPR, maps, scales, table: " in capsys.readouterr().out.splitlines()[1]


def test_the_likelihood_of_an_exported_ranker_is_fitted_to_what_is_left(tmp_path):
    """Of a catalogue that lost an item, for the items that the ranker has."""
    split = {"kind": "random", "validation": 0.3, "test": 0.2}
    folder = export_ranker(tmp_path, model={"kind": "random"}, split=split, likelihood={})
    before = Ranker.load(folder)
    path = forget_lists.forget(tmp_path / "list", user="u3").path
    forget_lists.forget(path, item="7")
    assert "likelihood" in Ranker.load(folder, forget_list=path).pending_forgets[0].parts
    done = finish_forgets(folder, forget_list=path, quiet=True).finished
    assert "likelihood" in done.remade and done.model.parts == ()
    after = Ranker.load(folder)
    assert not np.array_equal(after.likelihood.coefficients, before.likelihood.coefficients)
    after.likelihood.check_items(before.context.item_ids)
    assert after.likelihood.n_users < before.likelihood.n_users


def test_a_likelihood_needs_a_config_or_a_word(tmp_path):
    split = {"kind": "random", "validation": 0.3, "test": 0.2}
    folder = export_ranker(tmp_path, model={"kind": "random"}, split=split, likelihood={})
    whole = Ranker.load(folder)
    about = {name: value for name, value in whole.about.items() if name != "config"}
    folder = replace(whole, about=about, name="").save(tmp_path / "bare")
    path = forget_lists.forget(tmp_path / "list", user="u3").path
    with pytest.raises(RecsysError, match="the likelihood of the ranker is fitted anew, expected the config"):
        finish_forgets(folder, forget_list=path, quiet=True)
    given = replace(whole.likelihood, coefficients=whole.likelihood.coefficients * 1.5)
    assert finish_forgets(folder, forget_list=path, likelihood=given, quiet=True).finished.kept == ()
    assert np.array_equal(Ranker.load(folder).likelihood.coefficients, given.coefficients)
    forget_lists.forget(path, user="u4")
    assert finish_forgets(folder, keep=["likelihood"], quiet=True).finished.kept == ("likelihood",)
