"""Cards whose files are of other forms, on made-up files of the official layout: lists, matrices, tags by number."""

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys import data, splits
from recsys.cli import main
from recsys.data.card_files import parse_card, read_card
from recsys.data.cards import ExpectedCounts
from recsys.data.layout_tables import read_layout_tables
from recsys.support.resources import find_shipped_folder
from recsys.support.toml_files import read_toml
from recsys.types import Dataset, RecsysError

LASTFM = {
    "user_artists.dat": "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11690\n7\t51\t5\n",
    "artists.dat": "id\tname\turl\tpictureURL\n51\tDuran Duran\thttp://x\thttp://y\n52\tBj\u00f6rk \"Live\"\thttp://x\t\n9\tX\tu\tp\n",
    "tags.dat": "tagID\ttagValue\n13\tChillout\n14\tfran\u00e7ais\n".encode("latin-1"),
    "user_taggedartists.dat": "userID\tartistID\ttagID\tday\tmonth\tyear\n"
    + "".join(f"{user}\t51\t13\t1\t4\t2009\n" for user in range(2, 8))
    + "2\t52\t14\t1\t4\t2009\n2\t52\t99\t1\t4\t2009\n",
}  # fmt: skip
GOWALLA = {"train.txt": "0 10 11 12\n1 11\n2 10\n", "test.txt": "0 13\n1 10 12\n2 \n"}
CHECKINS = (
    "0\t2010-10-19T23:55:27Z\t30.2359091167\t-97.7951395833\t22847\n"
    "0\t2010-10-18T22:17:43Z\t30.2691029532\t-97.7493953705\t420315\n"
    "5\t2010-10-17T23:42:03Z\t30.2557309927\t-97.7633857727\t22847\n"
)
FEATURES = np.zeros((3, 33), dtype=int)
FEATURES[0, [0, 2, 18, 31]] = FEATURES[1, [1, 17, 30, 32]] = FEATURES[2, [1, 8, 27, 32]] = 1
COAT = {
    "train.ascii": "5 0 3 \n0 0 1 \n",
    "test.ascii": "0 2 0 \n4 0 0 \n",
    "user_item_features/item_features.ascii": "\n".join(" ".join(map(str, row)) for row in FEATURES) + "\n",
}


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def pack(path: Path, folder: str, files: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(folder + name, content)
    return path


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """A function that fetches a card's dataset from a path and loads it, with the counts of the made-up files."""

    def fetch_and_load(name: str, path: Path, users: int, items: int, rows: int) -> Dataset:
        card = replace(read_card(name), expected=ExpectedCounts(users, items, rows, rows))
        data.fetch_dataset(card, tmp_path / "data", quiet=True, path=path)
        return data.load_dataset(card, tmp_path / "data", quiet=True)

    return fetch_and_load


def test_last_fm_has_its_tags_by_name(load: Any, tmp_path: Path) -> None:
    found = load("lastfm-hetrec", pack(tmp_path / "hetrec2011-lastfm-2k.zip", "", LASTFM), 2, 2, 3)
    assert found.interactions.weight.tolist() == [13883, 11690, 5]
    assert found.items.titles.tolist() == ["Duran Duran", 'Bj\u00f6rk "Live"']
    # six users gave chillout, but to one artist only, and one user gave the other: the card keeps neither
    assert found.items.feature_names == ()
    notes = "2 tags that fewer than 10 items have or 5 users gave: left out"
    assert notes in found.notes


def test_tags_by_number_have_names_and_those_without_are_counted(load: Any, tmp_path: Path) -> None:
    card = read_card("lastfm-hetrec")
    folder = write(tmp_path / "files", LASTFM)
    _, _, tags = read_layout_tables(folder, card.layouts["official"])
    assert tags is not None
    assert tags.frame["tagID"].tolist() == ["Chillout"] * 6 + ["fran\u00e7ais"]
    assert tags.notes == ("1 rows of tags without a name: left out",)


@pytest.mark.parametrize("kind", ["repository", "folder"])
def test_gowalla_is_both_parts_of_the_published_split(load: Any, tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        path = write(tmp_path / "gowalla", GOWALLA)
    else:  # of the authors, with other datasets beside it
        path = pack(tmp_path / "master.zip", "LightGCN-master/Data/gowalla/", GOWALLA)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("LightGCN-master/Data/yelp2018/train.txt", "0 1\n")
            file.writestr("LightGCN-master/Data/yelp2018/test.txt", "0 2\n")
    found = load("gowalla", path, 3, 4, 8)
    log = found.interactions
    pairs = list(zip(log.user_ids[log.user], log.item_ids[log.item], log.source, strict=True))
    assert sorted(pairs) == sorted(
        [*((u, i, "train") for u, i in [["0", "10"], ["0", "11"], ["0", "12"], ["1", "11"], ["2", "10"]]),
         ("0", "13", "test"), ("1", "10", "test"), ("1", "12", "test")]
    )  # fmt: skip
    assert any("lines without an item" in note for note in found.notes)


def test_all_check_ins_of_gowalla(load: Any, tmp_path: Path) -> None:
    path = tmp_path / "loc-gowalla_totalCheckins.txt.gz"
    path.write_bytes(gzip.compress(CHECKINS.encode()))
    found = load("gowalla-checkins", path, 2, 2, 3)
    assert found.interactions.item_ids.tolist() == ["22847", "420315"]
    assert found.interactions.datetime.tolist() == [1287532527, 1287440263, 1287358923]


@pytest.mark.parametrize("kind", ["archive", "folder", "folder above"])
def test_coats_ratings_are_of_two_sources(load: Any, tmp_path: Path, kind: str) -> None:
    if kind == "archive":
        path = pack(tmp_path / "coat.zip", "coat/", COAT)
    else:
        path = write(tmp_path / "there" / "coat", COAT)
        path = path.parent if kind == "folder above" else path
    found = load("coat", path, 2, 3, 5)
    log = found.interactions
    rows = zip(log.user_ids[log.user], log.item_ids[log.item], log.weight.tolist(), log.source, strict=True)
    assert sorted(rows) == [
        ("0", "0", 5, "self-selected"), ("0", "1", 2, "random"), ("0", "2", 3, "self-selected"), ("1", "0", 4, "random"),
        ("1", "2", 1, "self-selected"),
    ]  # fmt: skip
    names = np.array(found.items.feature_names)
    of = [set(names[row > 0]) for row in found.items.features.toarray()]
    assert of == [{"men", "bomber", "beige"}, {"women", "waterproof", "red"}, {"women", "other jacket", "other color"}]


def test_coats_random_ratings_are_the_test_of_a_split(load: Any, tmp_path: Path) -> None:
    files = COAT | {"train.ascii": "5 0 3 \n0 4 1 \n", "test.ascii": "0 4 3 \n5 0 0 \n"}
    split = splits.by_source(load("coat", pack(tmp_path / "coat.zip", "coat/", files), 2, 3, 7), positive="rating >= 4")
    found = {
        name: np.argwhere(getattr(split, name).toarray()).tolist() for name in ("train", "test", "train_negatives")
    }
    assert found == {"train": [[0, 0], [1, 1]], "test": [[0, 1], [1, 0]], "train_negatives": [[0, 2], [1, 2]]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("5 0 3\n0 1\n", "line 2 has 2 numbers, expected 3"),
        ("5 x 3\n0 0 1\n", "expected a line of numbers for each user"),
        ("5 nan 3\n0 0 1\n", "expected finite numbers"),
        ("\n", "expected finite numbers, a line for each user"),
    ],
)
def test_a_matrix_that_is_none_is_one_line(load: Any, tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(RecsysError, match=message) as found:
        load("coat", pack(tmp_path / "coat.zip", "coat/", COAT | {"train.ascii": content}), 2, 3, 5)
    assert "train.ascii" in str(found.value) and "\n" not in str(found.value)


def test_other_counts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, home = pack(tmp_path / "coat.zip", "coat/", COAT), str(tmp_path / "data")
    main_quietly(["data", "fetch", "coat", "--from", str(path), "--data-dir", home, "--quiet"])
    with pytest.raises(SystemExit) as stop:
        main(["data", "describe", "coat", "--data-dir", home, "--quiet"])
    assert stop.value.code == 2
    assert "2 users, expected 290; 5 interactions, expected 11,600" in capsys.readouterr().err.replace("3 items, expected 300; ", "")  # fmt: skip


def main_quietly(arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as stop:
        assert not stop.code


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more_interactions": [{"file": "b.txt", "columns": {"user_id": "user_id", "item_id": "item_id", "weight": "w"}}]},
         "more_interactions: b.txt: found item_id, user_id, weight, expected the fields of"),
        ({"more_interactions": [{"file": "coat/b.ascii", "format": "matrix", "columns": {"user_id": "user_id", "item_id": "item_id", "weight": "value"}}]},
         "and a source for all or none"),
        ({"tag_names": {"file": "t.dat", "columns": {"item_id": "a", "title": "b"}}}, "tag_names: found no tags that they name"),
        ({"tag_names": {"file": "t.dat", "columns": {"item_id": "a"}}}, "no title in it"),
        ({"interactions": {"file": "a", "format": "matrix", "columns": {"user_id": "user", "item_id": "item_id"}}}, "unknown column 'user'"),
        ({"interactions": {"file": "a", "format": "matrices", "columns": {"user_id": "user_id", "item_id": "item_id"}}}, "format"),
    ],
)  # fmt: skip
def test_mistakes_in_files_of_other_forms_are_one_line(change: dict[str, Any], message: str) -> None:
    content = read_toml(find_shipped_folder("datasets") / "coat.toml", "coat.toml")
    layouts = {"official": content["layouts"]["official"] | change}
    with pytest.raises(RecsysError, match=message):
        parse_card(content | {"layouts": layouts}, "coat.toml")
