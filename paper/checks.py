"""What the text may not hold: `python paper/checks.py` refuses numbers and verdicts that are not from the results.

In `paper/paper.typ` a result is `n("name")`, on `docs/discovery.md` it is `{{ name }}`. Every name must be known. What
is left when names, comments, references, labels, addresses and the names of data sets are taken out may hold no digit,
no number in words and no verdict; formulas may hold 0 and 1.
"""

import json
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

HERE = Path(__file__).parent
PAGES = (HERE / "paper.typ", HERE.parent / "docs" / "discovery.md")
NAMES = ("MovieLens 100K", "MovieLens 1M")
PHRASES = ("one half of the users", "the other half", "halves of the users", "three weights")  # of the protocol
RESULT_NAMES = {".typ": re.compile(r'\bn\("([^"]*)"\)'), ".md": re.compile(r"\{\{ *(\w+) *\}\}")}
MARKUP = {
    ".typ": (r"/\*.*?\*/", r"(?<!:)//[^\n]*", r"(?<![\w\\])@[a-z][\w-]*", r"<[a-z][\w-]*>", r"https?://\S+"),
    ".md": (r"^```.*?^```", r"`[A-Za-z./][^`\n]*`", r"\]\([^)\n]*\)"),
}
FORMULA = re.compile(r"(?<!\\)\$(.*?)(?<!\\)\$", re.DOTALL)
ALLOWED_NUMBERS = re.compile(r"(?<![\d.])[01](?![\d]|[.,]\d)")  # of intervals and sums: what definitions need
WORDS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|hundreds?|thousands?|millions?|dozens?|half|"
    r"halves|thirds?|quarters?|twice|thrice|doubl\w+|tripl\w+|\w+fold|per ?cent|outperform\w*|significan\w+|superior|"
    r"beat|beats|better than|worse than|ahead of|improve[sd]?|state of the art)\b",
    re.IGNORECASE,
)


def blank_text(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def blank_markup(text: str, kind: str) -> str:
    """Return the text with comments, references, labels and addresses blanked, line by line as it was."""
    for pattern in MARKUP[kind]:
        text = re.sub(pattern, lambda found: blank_text(found[0]), text, flags=re.DOTALL | re.MULTILINE)
    return text


def find_result_names(text: str, kind: str) -> list[str]:
    """Return the names of the results that the text uses."""
    return RESULT_NAMES[kind].findall(blank_markup(text, kind))


def extract_prose(text: str, kind: str) -> str:
    """Return what is left when all that may hold digits is blanked."""
    text = RESULT_NAMES[kind].sub(lambda found: blank_text(found[0]), blank_markup(text, kind))
    for phrase in (*NAMES, *PHRASES):
        text = re.sub(
            re.escape(phrase).replace(r"\ ", r"\s+"), lambda found: blank_text(found[0]), text, flags=re.IGNORECASE
        )
    if kind == ".typ":
        text = FORMULA.sub(lambda found: ALLOWED_NUMBERS.sub(" ", found[0]), text)
    return text


def find_problems(text: str, kind: str, known: Collection[str]) -> Iterator[str]:
    """Yield a line for each name that the results do not have, and each number or verdict that is written down."""
    for key in find_result_names(text, kind):
        if key not in known:
            yield f'no result is called "{key}"'
    for number, line in enumerate(extract_prose(text, kind).splitlines(), 1):
        for found in re.findall(r"\S*\d\S*", line):
            yield f'line {number}: "{found}" is a number that is not from the results'
        for found in WORDS.findall(line):
            yield f'line {number}: "{found}" is a number or a verdict in words'


def main() -> None:
    made = json.loads((HERE / "build" / "numbers.json").read_text(encoding="utf-8"))
    known = {name for name, fact in made.items() if isinstance(fact, str)}
    wrong = [
        f"{page.name}: {problem}"
        for page in PAGES
        if page.exists()
        for problem in find_problems(page.read_text(encoding="utf-8"), page.suffix, known)
    ]
    if wrong:
        sys.exit("\n".join(["paper: the text holds what the results do not say", *wrong]))


if __name__ == "__main__":
    main()
