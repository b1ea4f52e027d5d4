"""MovieLens 1M as likes, for `benchmarks/discovery.py`: `python benchmarks/likes.py [FOLDER] --out OUT`.

OUT gets `likes.csv` (user_id, item_id: the ratings of 4 and 5), `items.csv` (item_id, title, genres) and
`ml-1m-likes.toml`. They come from the official archive (`recsys data fetch ml-1m`), or where that cannot be had from
FOLDER: the likes as several public repositories of recommenders with knowledge graphs carry them in data/ml-1m,
`train.txt` and `test.txt` (a user and its items per line), `item_list.txt` and `user_list.txt` (original id, id
there), and `movies.dat`. There are no times in those, and none are taken from the archive. The data may not be handed
on: keep OUT for yourself.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import recsys
from recsys.support.atomic_files import replace_file

CONFIG = """\
[data]
path = "likes.csv"
items = "items.csv"

[filter]
min_user_interactions = 10
min_item_interactions = 5

[split]
kind = "random"
validation = 0.1
test = 0.2
"""


def read_original_ids(path: Path) -> dict[str, str]:
    """Return the original id behind each id of a list."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return {row[1]: row[0] for row in rows if row[0] != "org_id"}


def read_likes(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the likes in `folder`."""
    users, items = (read_original_ids(folder / f"{what}_list.txt") for what in ("user", "item"))
    for part in ("train.txt", "test.txt"):
        for line in (folder / part).read_text(encoding="utf-8").splitlines():
            user, *liked = line.split()
            yield from ((users[user], items[item]) for item in liked)


def read_films(folder: Path) -> Iterator[list[str]]:
    """Yield id, title and genres of each film."""
    for line in (folder / "movies.dat").read_text(encoding="latin-1").splitlines():
        yield line.split("::")


def load_official_likes() -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Return likes and films of the official archive."""
    data = recsys.load_dataset("ml-1m")
    log, items = data.interactions, data.items
    liked = log.weight >= 4
    rows = zip(log.user_ids[log.user[liked]].tolist(), log.item_ids[log.item[liked]].tolist(), strict=True)
    names = items.feature_names
    genres = ["|".join(names[f] for f in items.features[[i]].indices) for i in range(len(items.ids))]
    titles = [f"{title} ({year})" for title, year in zip(items.titles, items.years, strict=True)]
    return list(rows), [list(row) for row in zip(items.ids.tolist(), titles, genres, strict=True)]


def write_table(path: Path, head: list[str], rows: list[tuple[str, str]] | list[list[str]]) -> None:
    """Write a table, whole or not at all."""
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(head)
        table.writerows(sorted(rows))


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="of the public copy; the official archive where absent")
    parser.add_argument("--out", type=Path, default=Path("runs/ml-1m-likes"))
    wanted = parser.parse_args()
    likes, items = (
        load_official_likes()
        if wanted.folder is None
        else (list(set(read_likes(wanted.folder))), list(read_films(wanted.folder)))
    )
    wanted.out.mkdir(parents=True, exist_ok=True)
    write_table(wanted.out / "likes.csv", ["user_id", "item_id"], likes)
    write_table(wanted.out / "items.csv", ["item_id", "title", "genres"], items)
    with replace_file(wanted.out / "ml-1m-likes.toml") as temporary:
        temporary.write_text(CONFIG, encoding="utf-8")
    print(f"{len(likes)} likes in {wanted.out}")


if __name__ == "__main__":
    main()
