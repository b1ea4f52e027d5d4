"""`recsys batch`: partitions and a manifest that shards, kills and damage leave the same, and one line for mistakes."""

import errno
import json
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from synthetic import draw_candidates, fit_blended_ranker, make_split

from recsys.batch import rank_batches, run_batch, runs
from recsys.cli import main
from recsys.control import forget_lists
from recsys.rankers import Ranker
from recsys.support.atomic_files import hold_folder
from recsys.types import RecsysError

NOW, USERS, K = 1_800_000_000, 25, 3


@pytest.fixture(scope="module")
def split():
    return make_split(users=USERS, seed=4)


@pytest.fixture(scope="module")
def ranker(split):
    return fit_blended_ranker(split)


@pytest.fixture(scope="module")
def folder(ranker, tmp_path_factory):
    return ranker.save(tmp_path_factory.mktemp("rankers") / "ranker")


@pytest.fixture(autouse=True)
def _load_once(monkeypatch, ranker):
    """Loading answers requests: it takes a while, and is tested elsewhere."""
    load = Ranker.load

    def find(folder, *, forget_list=None, **settings):
        if settings.pop("allow_imports", ()) or not (folder / "manifest.json").exists():
            return load(folder)
        return ranker if forget_list is None else ranker.follow_forget_list(forget_list)

    monkeypatch.setattr(Ranker, "load", find)


def read_files(out):
    """Return the bytes of each partition, and the manifest."""
    return {one.name: one.read_bytes() for one in sorted(out.glob("part-*"))}, json.loads(
        (out / "_manifest.json").read_text()
    )


def write(folder, out, **settings):
    return run_batch(folder, out, **{"now": NOW, "partition_size": 4, "quiet": True, **settings})


@pytest.fixture(scope="module")
def whole(folder, ranker, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ranker, "load", lambda *given, **settings: ranker)
        out = tmp_path_factory.mktemp("batches") / "whole"
        write(folder, out)
    return out


def test_partitions_are_the_slates_of_all_users(whole, ranker):
    files, manifest = read_files(whole)
    rows = pd.concat(parquet.read_table(whole / name).to_pandas() for name in files)
    ranked = rank_batches(ranker, [pa.RecordBatch.from_pydict({"user": list(ranker.known_users)})], now=NOW)
    pd.testing.assert_frame_equal(rows.reset_index(drop=True), pa.Table.from_batches(ranked).to_pandas())
    assert len(files) == 7 and manifest["files"].keys() == files.keys()
    assert manifest["counts"]["slates"] == manifest["requests"] == USERS
    assert manifest["policy"] == ranker.name and manifest["now"] == NOW
    assert len(pd.read_parquet(whole)) == len(rows)  # engines pass over what is no partition


def test_shards_make_the_same_files_in_any_order(whole, folder, tmp_path):
    done = [write(folder, tmp_path / "b", shard=(part, 3)) for part in (2, 3, 1)]
    assert [one.is_whole for one in done] == [False, False, True]
    assert read_files(tmp_path / "b") == read_files(whole)
    assert sum(one.counts.slates for one in done) == USERS


def test_a_killed_batch_goes_on_as_of_its_moment(whole, folder, tmp_path, monkeypatch):
    out, replace_file, left = tmp_path / "b", runs.replace_file, iter(range(3))

    def stop_in_the_middle(path):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return replace_file(path)

    monkeypatch.setattr(runs, "replace_file", stop_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        write(folder, out)
    monkeypatch.undo()
    first = out / "part-00000.parquet"
    first.write_bytes(first.read_bytes()[:-1])  # damaged since
    record = out / "_partitions" / "00001.json"
    record.write_text(record.read_text().replace('"users": 4', '"users": "four"'))
    done = write(folder, out, now=None)
    assert (done.kept, done.made, done.damaged, done.now) == (1, 6, 1, NOW)
    assert read_files(out) == read_files(whole)


@pytest.mark.parametrize(
    ("name", "write_users"),
    [
        ("users.txt", lambda path, names: path.write_text("\n".join(names) + "\n")),
        ("users.csv", lambda path, names: pd.DataFrame({"user_id": names, "k": 2}).to_csv(path, index=False)),
        ("users.parquet", lambda path, names: pd.DataFrame({"user": names}).to_parquet(path, row_group_size=3)),
    ],
)
def test_users_of_a_file_are_answered_once(folder, tmp_path, name, write_users):
    users = ["u7", "u3", "nobody", "u3", "u9", "u1", "u7", "u2"]
    write_users(tmp_path / name, users)
    done = [write(folder, tmp_path / "b", users=tmp_path / name, shard=(part, 2)) for part in (1, 2)]
    rows = pd.read_parquet(tmp_path / "b")
    assert rows["user"].drop_duplicates().tolist() == ["u7", "u3", "u9", "u1", "u2"]
    assert set(rows["user"].value_counts()) == {2 if name == "users.csv" else K}
    counts = done[0].counts + done[1].counts
    assert (counts.users, counts.slates, counts.unknown_users, counts.repeated_users) == (8, 5, 1, 2)


def test_candidates_of_several_files_are_reranked(folder, ranker, split, tmp_path):
    rows, expected = [], []
    for user, items, scores in draw_candidates(split, ("u1", "u2", "new", "u7", "u5")):
        history = ["i1", "i4"] if user == "new" else None
        rows += [(user, item, score, history) for item, score in zip(items, scores, strict=True)]
        who = {"user": user} if history is None else {"history": history}
        expected += ranker.rerank(items, scores, now=NOW, **who).items
    frame = pd.DataFrame(rows, columns=["user", "item", "score", "history"])
    (tmp_path / "candidates").mkdir()
    for part, (start, stop) in enumerate([(0, 8), (8, 20), (20, 30)]):
        frame[start:stop].to_parquet(tmp_path / "candidates" / f"{part}.parquet", row_group_size=3)
    done = write(folder, tmp_path / "b", candidates=tmp_path / "candidates", partition_size=2)
    assert done.partitions == 3 and done.counts.slates == 5
    assert pd.read_parquet(tmp_path / "b")["item"].tolist() == expected


def run(capsys, *arguments):
    code = 0
    try:
        main(["batch", *map(str, arguments)])
    except SystemExit as error:
        code = error.code
    told = capsys.readouterr()
    return code, told.out.splitlines(), told.err.splitlines()


def test_the_command_counts_what_has_no_slate(folder, ranker, tmp_path, capsys):
    forget_lists.forget(tmp_path / "list", user="u2")
    (tmp_path / "users.txt").write_text("u1\nu2\nnobody\n")
    pd.DataFrame({"user": ["u1"], "item": ["i1"], "datetime": [NOW - 9]}).to_csv(tmp_path / "shown.csv", index=False)
    given = ("--users", tmp_path / "users.txt", "--forget", tmp_path / "list", "--shown", tmp_path / "shown.csv")
    (tmp_path / "guards.toml").write_text(f'[guards.exclude]\nitems = ["{ranker.rank(user="u1").items[0]}"]\n')
    more = ("--now", NOW, "--k", 2, "--weights", "mmr=0.5", "--guards", tmp_path / "guards.toml", "--contributions")
    code, lines, errors = run(capsys, folder, "--out", tmp_path / "b", *given, *more, "--quiet")
    assert (code, errors) == (0, [])
    assert lines[:3] == [
        "note: users whom the ranker does not know, without a slate: 1",
        "note: users whom the forget list took out, without a slate: 1",
        "slates: 1 of 3 users in 1 partitions",
    ]
    rows = pd.read_parquet(tmp_path / "b")
    assert ranker.rank(user="u1").items[0] not in rows["item"].tolist()
    assert rows["user"].tolist() == ["u1", "u1"] and {"contribution_mmr", "contribution_relevance"} <= {*rows.columns}


def split_user(path):
    pd.DataFrame({"user": ["u1", "u2", "u1"], "item": ["i1"] * 3, "score": 1.0}).to_parquet(path)


def unlike_files(path):
    path.mkdir()
    pd.DataFrame({"user": ["u1"]}).to_parquet(path / "a.parquet")
    pd.DataFrame({"user": ["u2"], "k": [2]}).to_parquet(path / "b.parquet")


def foreign_items(path):
    pd.DataFrame({"user": ["u1"], "item": ["4711"], "score": 1.0}).to_parquet(path)


def no_score(path):
    pd.DataFrame({"user": ["u1"], "item": ["i1"]}).to_parquet(path)


def flipped(path):
    """Write candidates whose first page is not that of its checksum, as Spark writes them."""
    rows = pa.table({"user": ["u1"] * 4, "item": ["i1", "i2", "i3", "i4"], "score": [4.0, 3.0, 2.0, 1.0]})
    settings = {"use_dictionary": False, "compression": "none", "write_page_checksum": True}
    parquet.write_table(rows, path, **settings)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"i3", b"i5", 1))


@pytest.mark.parametrize(
    ("write_input", "arguments", "message"),
    [
        (None, ("--users", "INPUT"), "no such file"),
        (lambda path: path.write_text("a\nb\n"), ("--users", "INPUT"), "none of 2 users is one of the ranker's (the"),
        (lambda path: path.write_text(""), ("--users", "INPUT"), "the file is empty"),
        (split_user, ("--candidates", "INPUT.parquet"), "candidates of user 'u1' come again after those of others"),
        (foreign_items, ("--candidates", "INPUT.parquet"), "none of its first 1 items is one of the ranker's"),
        (lambda path: path.write_bytes(b"PAR1"), ("--candidates", "INPUT.parquet"), "cannot be read"),
        (foreign_items, ("--users", "INPUT.parquet"), "has items and scores, expected users"),
        (no_score, ("--candidates", "INPUT.parquet"), "has no column for score, expected user, item and score"),
        (flipped, ("--candidates", "INPUT.parquet"), "cannot be read"),
        (unlike_files, ("--users", "INPUT"), "b.parquet: has a column 'k', which a.parquet has not"),
        (
            lambda path: path.write_text("user,k\nu1,\nu2,2.5\n"),
            ("--users", "INPUT.csv"),
            "row 2: k is '2.5', expected",
        ),
        (
            lambda path: path.write_text("who,k\nu1,2\n"),
            ("--users", "INPUT.csv"),
            "name it, for instance 'user' instead of 'who' in the table (columns: who, k)",
        ),
        (
            lambda path: path.write_text("u1\nu2\n"),
            ("--users", "INPUT.csv"),
            "name it, for instance 'user' above column 0 in a header line (no header line, columns",
        ),
        (
            lambda path: path.write_text("client,item_id,datetime\nu1,i1,5\n"),
            ("--shown", "INPUT.csv"),
            "name it, for instance 'user_id' instead of 'client' in the table (columns: client, item_id, datetime)",
        ),
        (
            lambda path: path.write_text("user,item,datetime\nu1,i1,03/04/2026\n"),
            ("--shown", "INPUT.csv"),
            "which is no ISO 8601 time: write times in ISO 8601",
        ),
        (None, ("--out", "RANKER/slates"), "slates lies in the folder of the ranker, expected one outside of it"),
        (None, ("--shard", "4/3"), "shard is 4/3, expected such as 3/16"),
        (lambda path: path.write_text("[guards.exclud]\n"), ("--guards", "INPUT.toml"), "did you mean 'exclude'?"),
        (lambda path: path.write_text("k = 3\n"), ("--guards", "INPUT.toml"), "has no table [guards], expected one"),
        (None, ("--shard", "4"), "'4', expected such as 3/16"),
        (None, ("--k", 0), "k is 0, expected"),
        (None, ("--weights", "mmmr=2"), "did you mean 'mmr'?"),
        (None, ("--now", "soon"), "now is 'soon', expected"),
        (None, ("--partition-size", 0), "partition_size is 0"),
        (None, ("--users", "A", "--candidates", "B"), "found users and candidates, expected one of them"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(folder, tmp_path, capsys, write_input, arguments, message):
    name = next((str(one) for one in arguments if str(one).startswith("INPUT")), "INPUT")
    given, places = tmp_path / name, {"RANKER/slates": folder / "slates"}
    if write_input is not None:
        write_input(given)
    arguments = [given if one == name else places.get(one, one) for one in arguments]
    code, lines, errors = run(capsys, folder, "--out", tmp_path / "b", *arguments)
    assert (code, lines) == (2, []) and len(errors) == 1 and message in errors[0]
    assert not (tmp_path / "b").exists() and not (folder / "slates").exists()


def test_a_ranker_without_a_model_asks_for_candidates(folder, ranker, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Ranker, "load", lambda *given, **settings: replace(ranker, model=None))
    code, _, errors = run(capsys, folder, "--out", tmp_path / "b")
    assert code == 2 and "has no model to rank with, expected --candidates" in errors[0]


def test_a_folder_of_another_batch_is_refused(whole, folder, tmp_path, capsys):
    before = read_files(whole)
    for arguments, message in (
        (("--k", 2), "is of a batch of other k, expected the same, or another folder"),
        (("--now", NOW + 1), "its moment is 2027-01-15T08:00:00Z, expected the same --now, or none"),
        (("--partition-size", 5), "is of a batch of other partition_size, partitions"),
    ):
        given = ("--partition-size", 4) if "--partition-size" not in arguments else ()
        code, _, errors = run(capsys, folder, "--out", whole, *given, *arguments)
        assert code == 2 and len(errors) == 1 and message in errors[0]
    (tmp_path / "notes.txt").write_text("")
    code, _, errors = run(capsys, folder, "--out", tmp_path)
    assert code == 2 and "holds notes.txt and no _manifest.json" in errors[0]
    with hold_folder(whole / "_shard-1-of-1"):
        code, _, errors = run(capsys, folder, "--out", whole, "--partition-size", 4)
    assert code == 2 and "another process works in it" in errors[0]
    assert read_files(whole) == before


def test_a_full_disk_leaves_whole_partitions(whole, folder, tmp_path, monkeypatch):
    write_table, left = parquet.write_table, iter(range(2))

    def fill(table, path, **settings):
        if next(left, None) is None:
            path.write_bytes(b"PAR1")
            raise OSError(errno.ENOSPC, "No space left on device")
        write_table(table, path, **settings)

    monkeypatch.setattr(parquet, "write_table", fill)
    with pytest.raises(RecsysError, match=r"cannot write .*part-00002\.parquet: No space left on device"):
        write(folder, tmp_path / "b")
    monkeypatch.undo()
    assert sorted(one.name for one in (tmp_path / "b").glob("*.parquet")) == [f"part-0000{n}.parquet" for n in (0, 1)]
    assert write(folder, tmp_path / "b").kept == 2
    assert read_files(tmp_path / "b") == read_files(whole)
