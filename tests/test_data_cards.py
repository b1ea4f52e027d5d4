"""Cards are data, and every key in them is checked."""

import copy
import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from recsys import data
from recsys.data.card_files import parse_card
from recsys.data.cards import Archive, LocalFiles, Package
from recsys.support import resources
from recsys.types import RecsysError

NAMES = data.list_datasets()

CARD: dict[str, Any] = {
    "name": "tiny",
    "title": "Tiny",
    "about": "Made up.",
    "licence": "MIT",
    "terms": "None.",
    "citation": "@misc{tiny}",
    "expected": {"users": 1, "items": 1, "interactions": 1},
    "sources": [{"kind": "local", "layout": "only", "files": ["tiny.csv"]}],
    "layouts": {"only": {"interactions": {"file": "tiny.csv", "columns": {"user_id": "u", "item_id": "i"}}}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    content: Any = copy.deepcopy(CARD)
    inner = content
    *way, last = path.split(".")
    for part in way:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    if isinstance(inner, list):
        inner[int(last)] = value
    else:
        inner[last] = value
    return content


def test_a_shipped_card_has_a_published_archive_and_takes_a_copy_of_ones_own() -> None:
    for one in map(data.read_card, NAMES):
        assert isinstance(one.sources[0], Archive)
        assert isinstance(one.sources[-1], LocalFiles)


def test_published_counts() -> None:
    counts = {name: data.read_card(name).expected for name in NAMES}
    assert (counts["ml-100k"].users, counts["ml-100k"].items, counts["ml-100k"].interactions) == (943, 1682, 100_000)
    assert (counts["ml-1m"].users, counts["ml-1m"].items, counts["ml-1m"].interactions) == (6040, 3706, 1_000_209)
    assert counts["online-retail-ii"].rows == 525_461
    assert (counts["lastfm-hetrec"].users, counts["lastfm-hetrec"].items) == (1892, 17_632)
    assert counts["lastfm-hetrec"].interactions == 92_834
    assert (counts["gowalla"].users, counts["gowalla"].items) == (29_858, 40_981)
    assert counts["gowalla"].interactions == 810_128 + 217_242
    assert counts["coat"].interactions == 290 * (24 + 16)


def test_tags_are_of_the_cards_whose_archives_hold_them() -> None:
    for name in ("ml-20m", "ml-25m", "ml-latest-small"):
        card = data.read_card(name)
        tags = card.layouts["official"].tags
        assert tags.file == f"{name}/tags.csv"
        assert dict(tags.columns) == {"user_id": "userId", "item_id": "movieId", "features": "tag"}
        assert card.rules.tags.min_users == 2


def test_the_default_dataset_has_a_source_on_the_package_index() -> None:
    packages = [source for source in data.read_card("ml-100k").sources if isinstance(source, Package)]
    assert [(one.name, one.version) for one in packages] == [("recbole", "1.2.1")]


def test_no_card_names_a_host_of_the_package_index() -> None:
    for path in resources.find_shipped_folder("datasets").glob("*.toml"):
        hosts = {
            source["url"].split("/")[2] for source in tomllib.loads(path.read_text())["sources"] if "url" in source
        }
        assert not any("py" in host for host in hosts)


def test_an_unknown_dataset_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecsysError, match="unknown dataset 'ml-100': did you mean 'ml-100k'"):
        data.read_card("ml-100")


def test_a_card_may_be_this_small() -> None:
    assert parse_card(CARD, "tiny.toml").layouts["only"].interactions.delimiter == ","


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("titel", "x", "tiny.toml: unknown key 'titel': did you mean 'title'"),
        ("expected.user", 3, "tiny.toml: [expected]: unknown key 'user': did you mean 'users'"),
        ("layouts.only.interactions.colums", {}, "tiny.toml: [layouts.only.interactions]: unknown key 'colums'"),
        ("layouts.only.item", {}, "tiny.toml: [layouts.only]: unknown key 'item': did you mean 'items'"),
        ("sources.0.file", "x", "tiny.toml: [sources.1]: unknown key 'file': did you mean 'files'"),
        ("sources.0.kind", "locale", "tiny.toml: [sources.1]: unknown kind 'locale': did you mean 'local'"),
        ("sources.0.layout", "onl", "tiny.toml: unknown layout 'onl': did you mean 'only'"),
        (
            "rules",
            {"tags": {"min_item_interactions": 3}},
            "tiny.toml: [rules.tags]: unknown key 'min_item_interactions': did you mean 'min_items'",
        ),
        ("sources", [], "tiny.toml: expected at least one [[sources]]"),
        ("expected.users", "many", "tiny.toml: [expected] users is 'many': input should be a valid integer"),
        (
            "layouts.only.interactions.format",
            "csv",
            "tiny.toml: [layouts.only.interactions] format is 'csv': input should be",
        ),
        ("name", "other", "tiny.toml: name is 'other', expected the name of the file"),
    ],
)
def test_mistakes_in_a_card_are_one_line(path: str, value: Any, message: str) -> None:
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        parse_card(changed(path, value), "tiny.toml")
    assert "\n" not in str(error.value)


def test_a_missing_key() -> None:
    content = {key: value for key, value in CARD.items() if key != "licence"}
    with pytest.raises(RecsysError, match=r"tiny\.toml: licence is missing"):
        parse_card(content, "tiny.toml")


def test_importing_loads_nothing_heavy() -> None:
    heavy = {"pandas", "pyarrow", "pydantic", "pooch", "requests", "rich", "click"}
    code = f"import sys, recsys.data; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
