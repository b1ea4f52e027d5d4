"""The citation of the paper that this package comes with."""

from importlib import metadata

KEY = "recsys2026"
AUTHOR = "The recsys developers"
TITLE = "What is never shown: audited discovery at a fixed loss of accuracy"
YEAR = 2026


def format_bibtex() -> str:
    """Return a BibTeX entry of the paper, without a line break at its end; the note names the installed version."""
    fields = {
        "author": f"{{{AUTHOR}}}",  # braces keep a name of several words in one piece
        "title": TITLE,
        "year": str(YEAR),
        "note": f"The paper of the software recsys, version {metadata.version('recsys-negspace')}",
    }
    lines = [f"  {name} = {{{text}}}," for name, text in fields.items()]
    return "\n".join([f"@unpublished{{{KEY},", *lines, "}"])
