"""A card with something wrong in it is one line, and a card that is taken can be used."""

import copy
import random
import re
import tomllib

import pytest
import tomli_w

from recsys import data
from recsys.data.card_files import parse_card
from recsys.data.cards import Card
from recsys.data.sources import find_fetched_files
from recsys.support import resources
from recsys.types import RecsysError

TEXTS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted(resources.find_shipped_folder("datasets").glob("*.toml"))
}
VALUES = (
    True, False, 0, -1, 1.5, float("nan"), float("inf"), 2**62, "", "x", "\x00", "a\nb", "\x1b[31m", "../x", "/abs", "C:\\x",
    "(", "utf-9", "idna", "base64", "http:///", "http://[", "ftp://x/y.zip", "a" * 300, "☃", [], {}, [1], [[]], ["a", 1],
    {"a": 1}, {"": ""}, [{}], {"kind": "archive"}, {"user_id": "u"}, ["user_id", "user_id"],
)  # fmt: skip


def paths(part, above=()):
    """Yield the path of each value below the top."""
    inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in inside:
        yield (*above, key)
        yield from paths(value, (*above, key))


def mutate_content(text, rng):
    """Return the card with one to three values replaced, removed, added, renamed or put into a list."""
    content = tomllib.loads(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        *above, key = rng.choice(list(paths(content)) or [("name",)])
        part = content
        for step in above:
            part = part[step]
        value = copy.deepcopy(rng.choice(VALUES))
        match rng.randrange(5):
            case 0:
                part[key] = value
            case 1:
                part.pop(key) if isinstance(part, list) else part.pop(key, None)
            case 2 if isinstance(part, dict):
                part[rng.choice(("x", "", "a b", f"{key}s"))] = value
            case 3 if isinstance(part, dict) and key in part:
                part[f"{key}s"] = part.pop(key)
            case _ if isinstance(part, dict):
                part[key] = [part.get(key, value)]
            case _:
                part.append(value)
    return tomli_w.dumps(content)


def mutate_text(text, rng):
    """Return the card with a character, a line or a piece of its text changed."""
    lines, at = text.splitlines(keepends=True), rng.randrange(len(text))
    line, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            return text[:at] + rng.choice("\"'[]{}=,.#\\\n\x00\x7f-0Z☃") + text[at + 1 :]
        case 1:
            return "".join(lines[:line] + lines[line + 1 :])
        case 2:
            return "".join([*lines[:line], lines[other], *lines[line:]])
        case 3:
            return text[:at]
        case 4:
            return re.sub(r"\d+", lambda found: rng.choice((found[0], "-1", "0", "9" * 30)), text)
        case _:
            return "".join(rng.sample(lines, len(lines)))


@pytest.mark.parametrize("mutate", [mutate_content, mutate_text])
def test_300_mutants_are_cards_or_one_line(mutate, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "find_shipped_folder", lambda name: tmp_path)
    rng, taken = random.Random(0), 0
    for number in range(150):
        name = rng.choice(sorted(TEXTS))
        text = mutate(TEXTS[name], rng)
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8", newline="")
        try:
            one = data.read_card(name)
        except RecsysError as error:
            assert "\n" not in str(error) and str(error).startswith(f"{name}.toml: "), (number, text)
            continue
        assert isinstance(one, Card) and find_fetched_files(one, tmp_path / "nowhere") is None
        taken += 1
    assert 0 < taken < 140


CARD = tomllib.loads(TEXTS["ml-1m"])
LOG = "layouts.official.interactions."


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("expected.users", 0, "expected.users: found '0', expected 1 or more"),
        ("expected.rows", -5, "expected.rows: found '-5', expected 1 or more"),
        ("sources.0.url", "x", "sources.1.url: found 'x', expected an address that begins with http"),
        ("sources.0.url", "http://[", "sources.1.url: found 'http://[', expected an address"),
        ("sources.0.url", "https://host/", "sources.1.url: found 'https://host/', expected an address"),
        ("sources.0.url", "https://host/%2e%2e", "sources.1.url: found"),
        ("sources.0.sha256", "A" * 64, "sources.1.sha256: found"),
        ("sources.0.bytes", 0, "sources.1.bytes: found '0', expected 1 or more"),
        ("sources.1.files", [], "sources.2.files: found '', expected at least one name"),
        ("sources.1.files", ["../ml-1m.zip"], "sources.2.files: found '../ml-1m.zip', expected names below"),
        ("sources.1.files", ["C:\\ml-1m.zip"], "sources.2.files: found"),
        (LOG + "file", "/etc/passwd", "layouts.official: /etc/passwd: file: found '/etc/passwd', expected a path inside"),
        (LOG + "file", "", "expected a path inside the archive"),
        (LOG + "sha256", "12", "sha256: found '12', expected 64 hexadecimal digits"),
        (LOG + "encoding", "utf-9", "encoding: found 'utf-9', expected the name of an encoding"),
        (LOG + "encoding", "rot13", "encoding: found 'rot13', expected the name of an encoding"),
        (LOG + "encoding", "a\0", "encoding: found"),
        (LOG + "delimiter", "", "delimiter: found '', expected one or more characters"),
        (LOG + "delimiter", "\x1b", "delimiter: found"),
        (LOG + "header", ["user_id", "item_id", "item_id"], "header: found 'user_id, item_id, item_id', expected different"),
        (LOG + "flags", ["Drama"], "flags: found 'Drama', expected names in header: user_id"),
        (LOG + "columns", {"user_id": "user_id"}, "interactions: columns: no item_id in it, expected user_id, item_id"),
        (LOG + "columns", {"usr": "user_id"}, "columns: unknown field 'usr'"),
        (LOG + "columns.user_id", "user", "columns.user_id: unknown column 'user': did you mean 'user_id'"),
        ("layouts.official.items.file", "a/ratings.dat", "layouts.official: found 'ml-1m/ratings.dat, a/ratings.dat'"),
        ("rules", {"keep_items": "("}, "rules.keep_items: found '(', expected a regular expression"),
        ("rules", {"words": {"min_items": 0}}, "rules.words.min_items: found '0', expected 1 or more"),
        ("rules", {"tags": {"min_users": -1}}, "rules.tags.min_users: found '-1', expected 1 or more"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_meant_are_one_line(path, value, message):
    content = copy.deepcopy(CARD)
    *above, key = [int(step) if step.isdecimal() else step for step in path.split(".")]
    part = content
    for step in above:
        part = part[step]
    part[key] = value
    with pytest.raises(RecsysError) as caught:
        parse_card(content, "ml-1m.toml")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith("ml-1m.toml: ")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"a = " + b"[" * 5000, b"\x00", b"", b"name = 1979-05-27T07:32:00Z"], ids=range(5)
)
def test_bytes_that_are_no_card_are_one_line(content, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "find_shipped_folder", lambda name: tmp_path)
    (tmp_path / "ml-1m.toml").write_bytes(content)
    with pytest.raises(RecsysError, match=r"^ml-1m\.toml: "):
        data.read_card("ml-1m")
