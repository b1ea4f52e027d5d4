"""Foreign text made safe: titles, ids, names, paths and error texts, one function for each medium that prints them.

A terminal and an SVG take `visible`, HTML `html`, a script element `json_script`, Markdown `markdown`, LaTeX `latex`,
CSV `csv_frame` (and `unmarked` reads it back).
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
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufdd0-\ufdef"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f" + "".join(map(chr, range(0x1FFFE, 0x110000, 0x10000))) +
    "".join(map(chr, range(0x1FFFF, 0x110000, 0x10000))) + "]"
)  # fmt: skip
MARKDOWN = re.compile(r"[\\`*_\[\]<>#|~$&]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "[": "{[}", "]": "{]}", "*": r"$^{*}$", "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--",
    "\N{UPWARDS ARROW}": r"$\uparrow$", "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{LEFT RIGHT ARROW}": r"$\leftrightarrow$",
}  # fmt: skip
FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # the last four are those of full width
UNHELD = re.compile(
    "[\0\r\ud800-\udfff]"
)  # what a CSV file cannot hold, or not so that every reader finds the same cells
MARK = "'"


def visible(text: str, keep: str = "") -> str:
    r"""Return the text with every hidden character written out, as in a Python string; those in `keep` stay.

    >>> visible("a\x1b[31mb\n\u202ec"), visible("a\n\0", keep="\n")
    ('a\\x1b[31mb\\n\\u202ec', 'a\n\\x00')
    """
    return HIDDEN.sub(lambda found: found[0] if found[0] in keep else _written(found[0]), text)


def one_line(text: str) -> str:
    r"""Return the text as one line: line breaks become spaces, other hidden characters are written out.

    >>> one_line("cannot be read:\n  a\x1b")
    'cannot be read: a\\x1b'
    """
    return visible(re.sub(r"\s*[\n\r]\s*", " ", text).strip())


def html(text: str) -> str:
    """Return the text for HTML, between tags or within a quoted attribute.

    >>> html("<b title='x'>")
    '&lt;b title=&#x27;x&#x27;&gt;'
    """
    return escape(visible(text, keep="\n\t"))


def all_visible(value: Any) -> Any:
    """Return nested mappings and lists with all their texts, keys too, as `visible` gives them: a specification."""
    if isinstance(value, str):
        return visible(value, keep="\n")
    if isinstance(value, dict):
        return {all_visible(key): all_visible(part) for key, part in value.items()}
    return [all_visible(part) for part in value] if isinstance(value, list | tuple) else value


def json_script(value: Any) -> str:
    """Return JSON that can stand within a script element: nothing in it ends the element, or begins another.

    >>> json_script({"a": "</script>"})
    '{"a":"\\\\u003c/script>"}'
    """
    return json.dumps(all_visible(value), allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")


def markdown(text: str) -> str:
    r"""Return the text for Markdown: a paragraph, a heading, an item of a list or a cell of a table.

    >>> markdown("a|b <c> *d*")
    'a\\|b \\<c\\> \\*d\\*'
    """
    return MARKDOWN.sub(lambda found: f"\\{found[0]}", visible(text))


def latex(text: str) -> str:
    r"""Return the text for LaTeX, also where a row of a table begins or a comment stands.

    >>> latex("50% of a_b [x]")
    '50\\% of a\\_b {[}x{]}'
    """
    return "".join(LATEX.get(character, character) for character in visible(text))


def csv_cell(text: str) -> str:
    r"""Return the text for a cell of a CSV file, with ' in front where a spreadsheet would run it as a formula.

    Numbers stay, and so does what no spreadsheet runs. What looks as if it had been marked is marked again. Zero bytes,
    carriage returns and halves of surrogate pairs are written out.

    >>> csv_cell("=cmd|' /C calc'!A0"), csv_cell("-1.5"), csv_cell("a=b"), csv_cell("'=")
    ("'=cmd|' /C calc'!A0", '-1.5', 'a=b', "''=")
    """
    text = UNHELD.sub(lambda found: _written(found[0]), text)
    bare = text.lstrip(MARK)
    return MARK + text if bare[:1] and bare[0] in FORMULA and not (bare == text and _is_number(text)) else text


def csv_frame(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with its texts, and the names of its columns, as `csv_cell` gives them: ready for `to_csv`."""
    import pandas as pd

    made = table.rename(columns=lambda name: csv_cell(name) if isinstance(name, str) else name)
    for place, kind in enumerate(table.dtypes):
        column = table.iloc[:, place]
        if isinstance(kind, pd.CategoricalDtype):
            made.isetitem(place, column.cat.rename_categories(_csv).array)
        elif not pd.api.types.is_numeric_dtype(kind):
            made.isetitem(place, column.map(_csv).array)
    return made


def unmarked(texts: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return texts that were read from a CSV file without the ' that `csv_cell` put in front.

    >>> unmarked(np.array(["'=a", "'a", "''-b"])).tolist()
    ['=a', "'a", "'-b"]
    """
    found: NDArray[np.str_] = np.array([_unmarked(text) for text in texts.tolist()], dtype=texts.dtype)
    return found


def _csv(value: Any) -> Any:
    return csv_cell(value) if isinstance(value, str) else value


def _unmarked(text: str) -> str:
    bare = text.lstrip(MARK)
    return text[1:] if bare != text and bare[:1] and bare[0] in FORMULA else text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII) is not None


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode()
