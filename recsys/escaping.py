"""Foreign text made safe: titles, ids, names, paths and error texts, one function for each medium that prints them.

A terminal and an SVG take `escape_hidden`, HTML `escape_html`, a script element `dump_json_for_script`, Markdown
`escape_markdown`, LaTeX `escape_latex`, CSV `escape_csv_frame` (and `unescape_csv_cells` reads it back).
"""

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# Controls (C0, C1), line and paragraph separators, marks that change the direction of text or take no room, halves of
# surrogate pairs, tags, and noncharacters. Joiners stay: emoji and several scripts need them.
HIDDEN_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufdd0-\ufdef"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f" + "".join(map(chr, range(0x1FFFE, 0x110000, 0x10000))) +
    "".join(map(chr, range(0x1FFFF, 0x110000, 0x10000))) + "]"
)  # fmt: skip
MARKDOWN_SPECIALS = re.compile(r"[\\`*_\[\]<>#|~$&]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
LATEX_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "[": "{[}", "]": "{]}", "*": r"$^{*}$", "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--",
    "\N{UPWARDS ARROW}": r"$\uparrow$", "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{LEFT RIGHT ARROW}": r"$\leftrightarrow$",
}  # fmt: skip
FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # the last four are those of full width
UNSAFE_IN_CSV = re.compile(
    "[\0\r\ud800-\udfff]"
)  # what a CSV file cannot hold, or not so that every reader finds the same cells
FORMULA_GUARD = "'"


def escape_hidden(text: str, keep: str = "") -> str:
    r"""Return the text with every hidden character written out, as in a Python string; those in `keep` stay.

    >>> escape_hidden("a\x1b[31mb\n\u202ec"), escape_hidden("a\n\0", keep="\n")
    ('a\\x1b[31mb\\n\\u202ec', 'a\n\\x00')
    """
    return HIDDEN_CHARACTERS.sub(lambda found: found[0] if found[0] in keep else _escape_character(found[0]), text)


def convert_to_one_line(text: str) -> str:
    r"""Return the text as one line: line breaks become spaces, other hidden characters are written out.

    >>> convert_to_one_line("cannot be read:\n  a\x1b")
    'cannot be read: a\\x1b'
    """
    return escape_hidden(re.sub(r"(?<!\s)\s*[\n\r]\s*", " ", text).strip())


def escape_html(text: str) -> str:
    """Return the text for HTML, between tags or within a quoted attribute.

    >>> escape_html("<b title='x'>")
    '&lt;b title=&#x27;x&#x27;&gt;'
    """
    return escape(escape_hidden(text, keep="\n\t"))


def escape_hidden_everywhere(value: Any) -> Any:
    """Return nested mappings and lists with all their texts, keys too, as `escape_hidden` gives them.

    A specification.
    """
    if isinstance(value, str):
        return escape_hidden(value, keep="\n")
    if isinstance(value, dict):
        return {escape_hidden_everywhere(key): escape_hidden_everywhere(part) for key, part in value.items()}
    return [escape_hidden_everywhere(part) for part in value] if isinstance(value, list | tuple) else value


def dump_json_for_script(value: Any) -> str:
    """Return JSON that is safe inside a script element: nothing in it ends the element, or begins another.

    >>> dump_json_for_script({"a": "</script>"})
    '{"a":"\\\\u003c/script>"}'
    """
    return json.dumps(escape_hidden_everywhere(value), allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")


def escape_markdown(text: str) -> str:
    r"""Return the text for Markdown: a paragraph, a heading, an item of a list or a cell of a table.

    >>> escape_markdown("a|b <c> *d*")
    'a\\|b \\<c\\> \\*d\\*'
    """
    return MARKDOWN_SPECIALS.sub(lambda found: f"\\{found[0]}", escape_hidden(text))


def escape_latex(text: str) -> str:
    r"""Return the text for LaTeX, also where a row of a table begins or a comment stands.

    >>> escape_latex("50% of a_b [x]")
    '50\\% of a\\_b {[}x{]}'
    """
    return "".join(LATEX_ESCAPES.get(character, character) for character in escape_hidden(text))


def escape_csv_cell(text: str) -> str:
    r"""Return the text for a cell of a CSV file, with ' in front where a spreadsheet would run it as a formula.

    Numbers stay, and so does what no spreadsheet runs. What looks as if it had been marked is marked again. Zero bytes,
    carriage returns and halves of surrogate pairs are written out.

    >>> escape_csv_cell("=cmd|' /C calc'!A0"), escape_csv_cell("-1.5"), escape_csv_cell("a=b"), escape_csv_cell("'=")
    ("'=cmd|' /C calc'!A0", '-1.5', 'a=b', "''=")
    """
    text = UNSAFE_IN_CSV.sub(lambda found: _escape_character(found[0]), text)
    bare = text.lstrip(FORMULA_GUARD)
    return (
        FORMULA_GUARD + text
        if bare[:1] and bare[0] in FORMULA_STARTS and not (bare == text and _is_number(text))
        else text
    )


def escape_csv_frame(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with its texts and column names made safe by `escape_csv_cell`, ready for `to_csv`."""
    import pandas as pd

    made = table.rename(columns=lambda name: escape_csv_cell(name) if isinstance(name, str) else name)
    for place, kind in enumerate(table.dtypes):
        column = table.iloc[:, place]
        if isinstance(kind, pd.CategoricalDtype):
            made.isetitem(place, column.cat.rename_categories(_escape_csv_text).array)
        elif not pd.api.types.is_numeric_dtype(kind):
            made.isetitem(place, column.map(_escape_csv_text).array)
    return made


def unescape_csv_cells(texts: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return texts that were read from a CSV file without the ' that `escape_csv_cell` put in front.

    >>> unescape_csv_cells(np.array(["'=a", "'a", "''-b"])).tolist()
    ['=a', "'a", "'-b"]
    """
    found: NDArray[np.str_] = np.array([_unescape_csv_cell(text) for text in texts.tolist()], dtype=texts.dtype)
    return found


def _escape_csv_text(value: Any) -> Any:
    return escape_csv_cell(value) if isinstance(value, str) else value


def _unescape_csv_cell(text: str) -> str:
    bare = text.lstrip(FORMULA_GUARD)
    return text[1:] if bare != text and bare[:1] and bare[0] in FORMULA_STARTS else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII) is not None


def _escape_character(character: str) -> str:
    return character.encode("unicode_escape").decode()
