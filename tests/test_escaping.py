"""Foreign text in every medium that prints it, with a parser of that medium as the judge; and the rule for names."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import vl_convert
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table
from synthetic import make_split, write_tables
from test_reports import make_results

import recsys as rs
from recsys import escaping
from recsys.cli import main, options
from recsys.configs import parse_config
from recsys.escaping import HIDDEN_CHARACTERS, escape_hidden
from recsys.html import make_element
from recsys.reports import Results, write_charts, write_report
from recsys.types import RecsysError
from recsys.types.names import MAX_NAME_BYTES, check_file_name, check_name

NASTY = [
    "", "x[/]", "[bold red]rich[/]", "[link=http://a]b[/link]", ":smiley:", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07",
    "\x9b31m", "\x1b]8;;http://a\x07link\x1b]8;;\x07", "a\nb", "a\r\nb", "a\rb", "\u2028", "\x85", "\u202eevil", "\u2066a\u2069",
    "\u061c", "\ufeff", "\u200bzero", "\0", "a\0b", "\ud800", "\udc80x", "\U000e0041", "\ufffe", "<script>", "</script>",
    "<!--", "]]>", "&lt;", "&#0;", "${alert(1)}", "{{x}}", "a\\", "\\", "\\\\", "100 %", "a_b^c~d#e$f{g}", "[x]", "*", "|", "a|b",
    "\\|", "`a`", "**b**", "_c_", "~~d~~", "![a](b)", "[a](javascript:x)", "# h", "- a", "+ a", "1. a", "10) a", "> q", "---", "===",
    "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "-", "-1", "+1.5e3", "'=1", "''x", "'", "\uff1d1+1", "-\u0661",
    "\N{FAMILY}", "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}", "\N{REGIONAL INDICATOR SYMBOL LETTER D}", "e\u0301\u0327" * 5, "\u05d0\u05d1",
    "\u0646\u200c\u0627", "a" * 300, '"', "'", "a\tb", "\x7f", "\N{NO-BREAK SPACE}x\N{IDEOGRAPHIC SPACE}",
]  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(NASTY)
MORE = settings(max_examples=60, deadline=None)


def each_nasty(test):
    """Try every nasty text, whatever is drawn beside them."""
    for text in NASTY:
        test = example(text)(test)
    return test


class Parsed(HTMLParser):
    """Tags, attributes and text of a page, as a browser would read them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)


@MORE
@given(TEXT)
@each_nasty
def test_visible_text_is_encodable_printable_and_settled(text: str) -> None:
    shown = escape_hidden(text)
    assert not HIDDEN_CHARACTERS.search(shown) and len(shown.splitlines()) <= 1
    shown.encode()
    assert escape_hidden(shown) == shown
    if text.isprintable():
        assert shown == text


@MORE
@given(TEXT)
@each_nasty
def test_terminal(text: str) -> None:
    """Nothing of a text is markup, emoji or a control sequence: in titles, headers, cells and lines."""
    screen = options.EscapingConsole(file=io.StringIO(), width=4000, force_terminal=True, color_system="truecolor")
    table = Table(title=text, box=None)
    table.add_column(text, no_wrap=True, min_width=500)
    table.add_row(text)
    with screen.capture() as captured:
        screen.print(table)
        screen.print(text, soft_wrap=True)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", captured.get()) if not text.strip() else captured.get()
    assert not HIDDEN_CHARACTERS.search(
        re.sub(r"\x1b\[(0|1|3|1;3|3;1)m|\n", "", printed)
    )  # bold and italic headers of our own
    assert printed.count(" ".join(escape_hidden(text, "\n").splitlines()[0:1]).strip()) >= 3


@MORE
@given(TEXT)
@each_nasty
def test_html(text: str) -> None:
    found = Parsed(make_element("td", text, title=text))
    shown = escape_hidden(text, "\n\t")
    assert (found.tags, found.attributes, found.text) == (["td"], [("title", shown)], shown)


@MORE
@given(TEXT)
@each_nasty
def test_json_in_a_page(text: str) -> None:
    value = {"charts": {text: [text, 1.5, None, {"a": text}]}}
    page = f'<script type="application/json">{escaping.dump_json_for_script(value)}</script><p>after</p>'
    found = Parsed(page)
    assert found.tags == ["script", "p"] and found.text.endswith("after")
    assert json.loads(found.text.removesuffix("after")) == escaping.escape_hidden_everywhere(value)


@MORE
@given(TEXT)
@each_nasty
def test_csv(text: str) -> None:
    """No spreadsheet runs a cell, and what was marked is read back; numbers and places without text stay."""
    held = escaping.UNSAFE_IN_CSV.sub(lambda found: escape_hidden(found[0]), text)
    if re.search("[\ud800-\udfff]", text):  # a frame of pandas holds none
        assert escaping.escape_csv_cell(text) == escaping.escape_csv_cell(held)
        text = held
    frame = pd.DataFrame({0: [text, None], 1: pd.Categorical([text, "b"]), 2: [-1.5, np.nan], 3: [1, 2]})
    frame.columns = pd.Index(["text", "kind", "number", text])
    read = list(csv.reader(io.StringIO(escaping.escape_csv_frame(frame).to_csv(index=False), newline="")))
    cells = [read[0][3], *read[1][:2]]
    for cell in cells:
        assert not cell or cell[0] not in escaping.FORMULA_STARTS or re.fullmatch(r"[+-][0-9.]+(e[0-9]+)?", cell)
    assert escaping.unescape_csv_cells(np.array(cells)).tolist() == [held] * 3
    assert read[1][2:] == ["-1.5", "1"] and read[2] == ["", "b", "", "2"]
    assert frame.iloc[0, 0] == text


def test_csv_keeps_what_is_equal_but_not_the_same() -> None:
    frame = pd.DataFrame({"setting": ["=a", 1, True, 1.0, None]}, dtype=object)
    assert escaping.escape_csv_frame(frame)["setting"].tolist() == ["'=a", 1, True, 1.0, None]


@MORE
@given(TEXT)
@each_nasty
def test_markdown(text: str) -> None:
    """A table keeps its cells, a heading and a list their items, and the text is that text."""
    safe = escaping.escape_markdown(text)
    page = f"### {safe}\n\n| a | b |\n| --- | --- |\n| {safe} | **x{safe}x** |\n\n- {safe}\n- end\n"
    made = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(page)
    found = Parsed(made)
    assert [tag for tag in found.tags if tag != "strong"] == [
        "h3", "table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td", "ul", "li", "li",
    ]  # fmt: skip
    assert found.attributes == []
    assert "".join(found.text.split()).count("".join(escape_hidden(text).split())) >= 4


@MORE
@given(TEXT)
@each_nasty
def test_latex(text: str) -> None:
    """No character keeps its power: what is left of it, without the commands that stand for characters, is plain."""
    safe = escaping.escape_latex(text)
    commands = sorted(set(escaping.LATEX_ESCAPES.values()), key=len, reverse=True)
    rest = re.sub("|".join(map(re.escape, commands)), "", safe)
    assert not re.search(r"[\\&%$#_{}~^\[\]<>|*\n]", rest)


@pytest.mark.usefixtures("drawn_charts")
@pytest.mark.parametrize("text", [text for text in NASTY if text.strip()])
def test_svg(text: str) -> None:
    """Where a control character once ended the process."""
    spec = {
        "title": text,
        "data": {"values": [{"name": text, "x": 1}]},
        "mark": {"type": "text", "tooltip": {"content": "data"}},
        "encoding": {"text": {"field": "name"}, "y": {"field": "name", "type": "nominal"}},
    }
    svg = vl_convert.vegalite_to_svg(escaping.escape_hidden_everywhere(spec))
    ElementTree.fromstring(svg)


def hostile(text: str) -> Results:
    """Results in which runs, blends, families and facts are foreign text (frames of pandas hold no half surrogates)."""
    results = make_results()
    keep = results.summary.run.isin(["als", "mmr-0.05", "ease"])

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        return table.replace({"run": {"ease": text}, "blend": {"mmr": f"{text}b"}})

    return Results(
        renamed(results.summary[keep]).assign(convention=text),
        renamed(results.differences[results.differences.run.isin(["mmr-0.05", "ease"])]),
        {
            "data": {"name": text, "notes": [text, text + "\ud800"]},
            "blends": {f"{text}b": {text: text}},
            text: {text: [{text: text}]},
        },
        results.k,
        results.base,
        {text: ["ndcg"], f"{text} 2": ["discovery"]},
    )


@pytest.mark.usefixtures("drawn_charts")
def test_a_report_of_hostile_text(tmp_path: Path) -> None:
    text = "a\x1b[31m\x07\u202e\0</script><script>alert(1)</script>[/]|%{\\"
    paths = write_report(hostile(text), tmp_path)
    page = paths[0].read_text(encoding="utf-8")
    assert not HIDDEN_CHARACTERS.search(page.replace("\n", "").replace("\t", ""))
    assert Parsed(page).tags.count("script") == 3
    for path in write_charts(hostile(text), tmp_path):
        ElementTree.parse(path)


NAMED = {  # name: what is wrong with it
    "": "printable text", " ": "printable text", "a ": "printable text", "a\nb": "printable text", "a\x1b": "printable text",
    "\u202ea": "printable text", "a\ud800": "printable text", "\0": "printable text", "a\u200b": "printable text",
    "a" * 300: "at most 100 bytes", "\N{GRINNING FACE}" * 26: "at most 100 bytes",
}  # fmt: skip
GOOD = [
    "als",
    "unexplored 0.1 (tuned)",
    "x[/]",
    "=cmd|",
    "\N{GRINNING FACE}" * 25,
    "e\u0301",
    "a" * MAX_NAME_BYTES,
    "\u05d0",
    "</b>",
    "a/b",
]


@pytest.mark.parametrize(("name", "wrong"), NAMED.items())
def test_a_bad_name_is_refused_wherever_it_is_given(name: str, wrong: str) -> None:
    split = make_split()
    slates = np.zeros((split.shape[0], 1), np.int32)
    own = {"data": {"path": "a.csv"}}
    doors = [
        lambda: check_name("x", name),
        lambda: check_file_name("x", name),
        lambda: parse_config({**own, "blends": {name: {"relevance": 1.0}}}),
        lambda: parse_config({**own, "models": {name: {"kind": "als"}}}),
        lambda: parse_config({**own, "name": name}),
        lambda: rs.bench({**own, "name": name}),
        lambda: rs.bench({**own, "blends": {name: {"relevance": 1.0}}}),
        lambda: rs.compare({name: slates, "b": slates}, split, ["ndcg"], "b"),
        lambda: rs.evaluate({name: slates}, rs.GroundTruth(split), ["ndcg"], [1]),
    ]
    for door in doors:
        with pytest.raises(RecsysError, match=wrong) as caught:
            door()
        line = str(caught.value)
        assert escape_hidden(line) == line and len(line) < 300


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_is_taken(name: str) -> None:
    parse_config(
        {"data": {"path": "a.csv"}, "model": {"kind": "ease"}, "blends": {name: {"relevance": 1.0, "novelty": 0.1}}}
    )


@pytest.mark.parametrize("name", ["a/b", "a\\b", "../a", ".hidden", "-rf", "a:b", "a*", 'a"', "a|b", "<a>"])
def test_a_name_that_becomes_a_folder_stays_where_it_belongs(name: str) -> None:
    with pytest.raises(RecsysError, match=r"^config: name is '.*', expected a name without "):
        parse_config({"data": {"path": "a.csv"}, "name": name})


def test_an_error_is_one_printable_line() -> None:
    assert str(RecsysError("user '\x1b[2J' of\n  two\u202e")) == r"user '\x1b[2J' of two\u202e"


CONFIG = """
name = "ok (2)"
data = { path = "ratings.csv" }
filter = { positive = "rating >= 3", min_user_interactions = 3 }
split = { test = 0.3 }
model = { kind = "als", factors = 4, iterations = 1 }
slate = { k = [3] }
pool = { n = 10 }
baselines = []
evaluation = { n_bootstrap = 100, metrics = ["ndcg", "discovery"] }
[blends]
"x[/]" = { relevance = 1.0, novelty = 0.1 }
"[bold red]rich[/]" = { relevance = 1.0, novelty = 0.2 }
"=cmd|' /C calc'!A0" = { relevance = 1.0, novelty = 0.3 }
"a|b % $x_y$ \\\\" = { relevance = 1.0, novelty = 0.4 }
"<script>alert(1)</script>" = { relevance = 1.0, novelty = 0.5 }
"""
BLENDS = ["x[/]", "[bold red]rich[/]", "=cmd|' /C calc'!A0", "a|b % $x_y$ \\", "<script>alert(1)</script>"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such file names there")
def test_from_the_file_to_every_output(tmp_path: Path, monkeypatch, capsys) -> None:
    """A benchmark, a comparison and slates of hostile ids, titles, features, names of runs and of the data's file."""
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))
    write_tables(tmp_path)
    bad = "ra\x07t\x1b[31m\u202e<b>ings.csv"
    log = pd.read_csv(tmp_path / "ratings.csv", dtype={"item_id": str})
    log["item_id"] = "=" + log["item_id"].astype(str) + "\x1b[5m|<i>"
    log.to_csv(tmp_path / bad, index=False)
    (tmp_path / "x.toml").write_text(
        CONFIG.replace("ratings.csv", bad.encode("unicode_escape").decode().replace("\\x", "\\u00"))
    )
    main(["bench", str(tmp_path / "x.toml"), "--out", str(tmp_path / "runs"), "--quiet"])
    (folder,) = (tmp_path / "runs").iterdir()
    main(["compare", str(folder), "--out", str(tmp_path / "compared")])
    main(["data", "describe", str(tmp_path / bad)])
    printed = capsys.readouterr().out
    assert not HIDDEN_CHARACTERS.search(printed.replace("\n", ""))
    assert all(blend in printed for blend in BLENDS)
    for page in (folder / "report.html", tmp_path / "compared" / "report.html"):
        text = page.read_text(encoding="utf-8")
        assert not HIDDEN_CHARACTERS.search(text.replace("\n", "").replace("\t", "")) and "<script>alert" not in text
        assert all(blend in Parsed(text).text for blend in BLENDS)
    for table in (folder / "summary.csv", folder / "differences.csv", tmp_path / "compared" / "differences.csv"):
        runs = set(pd.read_csv(table)["run"])
        assert "'" + BLENDS[2] in runs and not [run for run in runs if run[0] in "=+-@"]
    assert (
        len(
            {
                line.count("|") - line.count("\\|")
                for line in (tmp_path / "compared" / "tables.md").read_text().splitlines()
                if line[:2] == "| "
            }
        )
        <= 4
    )
    out = tmp_path / "slates.csv"
    main(["recommend", str(tmp_path / "x.toml"), "--blend", BLENDS[2], "--out", str(out), "--quiet"])
    assert {cell[:2] for cell in pd.read_csv(out)["item_id"]} == {"'="}
    main(["evaluate", str(out), "--config", str(tmp_path / "x.toml"), "--out", str(tmp_path / "judged"), "--quiet"])
    assert "0 rows of unknown users and 0 rows of unknown items" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(tmp_path: Path) -> None:
    rows = "\n".join(f"{escaping.escape_latex(text)} & x \\\\" for text in NASTY if text.isascii())
    (tmp_path / "a.tex").write_text(
        f"\\documentclass{{article}}\\begin{{document}}\\begin{{tabular}}{{ll}}\n{rows}\n\\end{{tabular}}\\end{{document}}"
    )
    subprocess.run(["pdflatex", "-interaction=batchmode", "-halt-on-error", "a.tex"], cwd=tmp_path, check=True)
