"""What stands in the texts: names of numbers and of claims, and no number or verdict that is written down.

In `paper/paper.typ` a number is `n("name")` and a verdict stands inside of a claim, `holds("name")[... ahead of ...]`.
In the pages of the documentation they are `{{ name }}` and `[... ahead of ...]{holds=name}`. Every name must be known,
and every claim must hold. What is left when names, comments, references, labels, addresses and names of data are taken
out may hold no digit, and outside of claims no number in words and no verdict. Formulas may hold 0 and 1.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from lookups import ROOT, Facts

PAGES = ("paper/paper.typ", "docs/discovery.md", "docs/control.md")
NAMES = ("MovieLens 100K", "MovieLens 1M")
PHRASES = ("best in hindsight", "best unmet", "best candidates")  # that are no verdicts
MARKUP = {
    ".typ": (r"/\*.*?\*/", r"(?<!:)//[^\n]*", r"(?<![\w\\])@[a-z][\w-]*", r"<[a-z][\w-]*>", r"https?://\S+"),
    ".md": (r"^```.*?^```", r"`[A-Za-z./][^`\n]*`", r"\]\([^)\n]*\)"),
}
NUMBER = {".typ": re.compile(r'\bn\("([^"]*)"\)'), ".md": re.compile(r"\{\{ *(\w+) *\}\}")}
CLAIM = {
    ".typ": re.compile(r'\bholds\("(?P<name>[^"]*)"\)\[(?P<text>[^\[\]]*)\]'),
    ".md": re.compile(r"\[(?P<text>[^\[\]]*)\]\{holds=(?P<name>\w+)\}"),
}
UNREAD_CLAIM = {".typ": re.compile(r"\bholds\("), ".md": re.compile(r"\{holds\b")}
FORMULA = re.compile(r"(?<!\\)\$(.*?)(?<!\\)\$", re.DOTALL)
ALLOWED_NUMBERS = re.compile(r"(?<![\d.])[01](?![\d]|[.,]\d)")  # of intervals and sums: what definitions need
WORDS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|hundreds?|thousands?|millions?|dozens?|"
    r"half (?:of|as)(?!\s+the\s+users)|halv\w+ the|thirds?|quarters?|twice|thrice|doubl\w+|tripl\w+|\w+fold|per ?cent|"
    r"most of the|majority|outperform\w*|significan\w+|superior|inferior|beat(?:s|en)?|better|worse|best|worst|ahead|"
    r"(?:is|are|lies?|falls?|left) behind|level|improve[sd]?|exceeds?|flatter(?:s|ed)?|state of the art)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Use:
    """A name in a text: of a number, or of a claim with its sentence."""

    line: int
    name: str
    claim: str | None = None


def blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def blank_markup(text: str, kind: str) -> str:
    """Return the text with comments, references, labels and addresses blanked, line by line as it was."""
    for pattern in MARKUP[kind]:
        text = re.sub(pattern, lambda found: blank(found[0]), text, flags=re.DOTALL | re.MULTILINE)
    return text


def find_uses(text: str, kind: str) -> list[Use]:
    """Return the numbers and the claims that a text names."""
    text = blank_markup(text, kind)
    numbers = [Use(find_line(text, found), found[1]) for found in NUMBER[kind].finditer(text)]
    claims = CLAIM[kind].finditer(text)
    return numbers + [Use(find_line(text, found), found["name"], " ".join(found["text"].split())) for found in claims]


def find_line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def find_problems(text: str, kind: str, facts: Facts) -> Iterator[str]:
    """Yield a line for each unknown name, each claim that does not hold and each number or verdict written down."""
    for use in find_uses(text, kind):
        known: Collection[str] = facts.numbers if use.claim is None else facts.claims
        if use.name in facts.problems:
            yield f'line {use.line}: "{use.claim or use.name}" ({use.name}): {facts.problems[use.name]}'
        elif use.name not in known:
            close = "".join(f'; the nearest is "{name}"' for name in get_close_matches(use.name, known, n=1))
            yield f'line {use.line}: no {"number" if use.claim is None else "claim"} is called "{use.name}"{close}'
    yield from find_loose_words(text, kind)


def find_loose_words(text: str, kind: str) -> Iterator[str]:
    """Yield a line for each number and each verdict that is written down."""
    text = NUMBER[kind].sub(lambda found: blank(found[0]), blank_markup(text, kind))
    for phrase in (*NAMES, *PHRASES):
        text = re.sub(phrase.replace(" ", r"\s+"), lambda found: blank(found[0]), text)
    if kind == ".typ":
        text = FORMULA.sub(lambda found: ALLOWED_NUMBERS.sub(" ", found[0]), text)
    outside = CLAIM[kind].sub(lambda found: blank(found[0]), text)
    for found in UNREAD_CLAIM[kind].finditer(outside):
        yield f"line {find_line(outside, found)}: a claim is a name and a text without brackets in it"
    digits = CLAIM[kind].sub(lambda found: found["text"], text)
    for found in re.finditer(r"\S*\d\S*", digits):
        yield f'line {find_line(digits, found)}: "{found[0]}" is a number that is not from the results'
    for found in WORDS.finditer(outside):
        yield f'line {find_line(outside, found)}: "{found[0]}" is a number or a verdict in words outside of a claim'


def find_all_problems(facts: Facts, root: Path = ROOT) -> list[str]:
    """Return what is wrong with the texts, and the names that none of them uses."""
    texts = {root / page: (root / page).read_text(encoding="utf-8") for page in PAGES}
    wrong = [f"{page.name}, {told}" for page, text in texts.items() for told in find_problems(text, page.suffix, facts)]
    used = {use.name for page, text in texts.items() for use in find_uses(text, page.suffix)}
    unused = ({*facts.numbers, *facts.claims, *facts.problems} - used - facts.read_by_claims) - set(facts.tables)
    return wrong + [f"lookups.toml: {name}: {facts.problems.get(name, 'no text uses it')}" for name in sorted(unused)]


def fill_page(text: str, facts: Facts) -> str:
    """Return a page of the documentation with its numbers, and with its claims as plain text."""
    text = CLAIM[".md"].sub(lambda found: found["text"], text)
    return NUMBER[".md"].sub(lambda found: facts.write_number(found[1]), text)
