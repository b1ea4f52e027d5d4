"""How the documentation is built: from the pages in this folder and from the docstrings of the package."""

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import re
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "paper"))
import facts  # noqa: E402  (what the results say, by name)

API = HERE / "api"  # written anew by every build, never committed

# In the order of the flow. Each gets a page.
MODULES = (
    "data", "splits", "models", "pools", "likes", "objectives", "dials", "guards", "slates", "opportunities", "maps",
    "metrics", "scores", "rankers", "configs", "experiments", "sweeps", "testing", "types",
)  # fmt: skip
# Each gets a table of its names and what they are, for the pages that include it.
TABLES = ("splits", "models", "guards")
# What the docstring of a metric says beside its text, in the order of the columns.
FIELDS = ("Formula", "Range", "Better", "Cost", "Source")
# And that of an objective, whose gains are always oriented so that more is better: what more of it shows.
OBJECTIVE_FIELDS = ("Formula", "Range", "More", "Cost", "Source")
FIELD = re.compile(r"^:(\w+): (.*(?:\n {4}.*)*)", re.MULTILINE)

# Arrays are shown by the names that the source gives them.
ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?(?:numpy|typing)\.(\w+)\]\]")
ARRAYS = {
    "bool": "Bools", "int32": "Ints", "int64": "Longs", "float32": "Floats", "float64": "Doubles", "str_": "Strings",
    "Any": "Anys",
}  # fmt: skip

BAR = r"\|"  # a bar inside a cell of a table

project = "recsys"
author = "The recsys developers"
project_copyright = f"2026, {author}"
version = release = metadata.version("recsys-negspace")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "api/tables"]
html_theme = "furo"
html_title = f"recsys {release}"
html_static_path = [name for name in ("_static",) if (HERE / name).is_dir()]
myst_heading_anchors = 3
myst_enable_extensions = ["substitution"]
_FACTS = facts.collect_facts()
myst_substitutions = {name: fact for name, fact in _FACTS.items() if isinstance(fact, str)}
smartquotes = False  # y' is a transpose
add_module_names = False
autodoc_member_order = "groupwise"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100


def setup(app: Any) -> None:
    """Write the API pages before the sources are read, and read docstrings as they were meant."""
    app.connect("builder-inited", write_api)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-process-docstring", add_fields, priority=300)
    app.connect("autodoc-process-docstring", read_markdown, priority=400)  # before napoleon


def write_api(app: Any) -> None:
    """Write a page for every module there is, and the tables."""
    modules = [name for name in MODULES if importlib.util.find_spec(f"recsys.{name}")]
    (API / "tables").mkdir(parents=True, exist_ok=True)
    for name in modules:
        page = f"# recsys.{name}\n\n```{{eval-rst}}\n.. automodule:: recsys.{name}\n   :members:\n```\n"
        _write(API / f"{name}.md", page)
    _write(API / "index.md", "# API\n\n```{toctree}\n:maxdepth: 1\n\n" + "\n".join(modules) + "\n```\n")
    for name in TABLES:
        _write(API / "tables" / f"{name}.md", _table(importlib.import_module(f"recsys.{name}")))
    _write(API / "tables" / "keys.md", _keys())
    _write(API / "tables" / "metrics.md", _metrics())
    _write(API / "tables" / "objectives.md", _objectives())
    for name, table in _FACTS["tables"].items():
        _write(API / "tables" / f"discovery-{name}.md", facts.format_markdown_table(table))


def shorten(app: Any, what: str, name: str, found: Any, options: Any, signature: Any, returns: Any) -> Any:
    """Call arrays by the names of `recsys.types.arrays`; a record's fields are listed with their types below it."""
    if what == "class" and dataclasses.is_dataclass(found):
        return f"({', '.join(field.name for field in dataclasses.fields(found))})", None
    return tuple(text and ARRAY.sub(lambda array: ARRAYS[array[1]], text) for text in (signature, returns))


def add_fields(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Add the fields of a record to its docstring, each with the comment that stands beside it in the source."""
    if what != "class" or not dataclasses.is_dataclass(found):
        return
    for field in dataclasses.fields(found):
        kind, comment = _declared(found, field.name)
        lines.append(f"* `{field.name}`: `{kind}`" + (f", {comment}" if comment else ""))
    lines.append("")


def read_markdown(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Turn `code` into literals and escape what reStructuredText would take for markup, outside doctests."""
    paragraphs = "\n".join(lines).split("\n\n")
    lines[:] = "\n\n".join(p if ">>>" in p else _marked(p, "``", r"[|\\]|\*(?=\S)|_(?!\w)") for p in paragraphs).split(
        "\n"
    )


def _table(module: ModuleType) -> str:
    rows = [f"| `{name}` | {_first_line(getattr(module, name))} |" for name in sorted(module.__all__)]
    return "\n".join(["| name | what it is |", "|---|---|", *rows]) + "\n"


def _metrics() -> str:
    """Return a table of the metrics of each module, with what their docstrings say in fields."""
    from recsys import metrics

    homes: dict[str, list[str]] = {}
    for name in metrics.__all__:
        homes.setdefault(getattr(metrics, name).__module__, []).append(name)
    parts = []
    for home in sorted(homes):
        parts += [f"### {home.rpartition('.')[2].capitalize()}", "", _first_line(importlib.import_module(home)), ""]
        parts += [f"| name | what it is | {' | '.join(FIELDS).lower()} |", "|---" * (2 + len(FIELDS)) + "|"]
        for name in homes[home]:
            said = fields(getattr(metrics, name))
            cells = " | ".join(_prose(said[field]) for field in FIELDS)
            parts.append(f"| `{name}` | {_first_line(getattr(metrics, name))} | {cells} |")
        parts.append("")
    return "\n".join(parts)


def _objectives() -> str:
    """Return a table of the objectives: what docstrings say in fields, shapes and settings from their signatures."""
    from recsys import objectives

    rows = [
        "| name | what it is | formula | range | more of it shows | cost | shape | settings | source |",
        "|---" * 9 + "|",
    ]
    for name in sorted(objectives.__all__):
        found = getattr(objectives, name)
        signature, said = inspect.signature(found), fields(found)
        settings = [f"`{p.name} = {p.default!r}`" for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        shape = getattr(signature.return_annotation, "__name__", str(signature.return_annotation))
        *cells, source = (_prose(said[field]) for field in OBJECTIVE_FIELDS)
        parts = [f"`{name}`", _first_line(found), *cells, f"`{shape}`", ", ".join(settings), source]
        rows.append(f"| {' | '.join(parts)} |")
    return "\n".join(rows) + "\n"


def fields(found: Any) -> dict[str, str]:
    """Return what a docstring says in lines such as ":Range: [0, 1]"."""
    return {name: re.sub(r"\s+", " ", text) for name, text in FIELD.findall(inspect.getdoc(found) or "")}


def _keys() -> str:
    """Return a table of keys for every section of a config, and one for the keys outside of sections."""
    from pydantic import BaseModel

    from recsys.configs import Config

    def is_section(kind: Any) -> bool:
        return isinstance(kind, type) and issubclass(kind, BaseModel)

    outside = {name for name, field in Config.model_fields.items() if not is_section(field.annotation)}
    parts = ["Outside of sections:", "", *_key_rows(Config, outside)]
    for name, field in Config.model_fields.items():
        if is_section(field.annotation):
            section: Any = field.annotation
            parts += ["", f"`[{name}]`: {_first_line(section)}", "", *_key_rows(section, set(section.model_fields))]
    return "\n".join(parts) + "\n"


def _key_rows(section: Any, names: set[str]) -> list[str]:
    rows = ["| key | type | default | what it is |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        if name in names:
            kind, comment = _declared(section, name)
            made = field.default_factory is not None or field.default is None
            default = "required" if field.is_required() else "" if made else f"`{field.default!r}`"
            rows.append(
                f"| `{name}` | `{kind.removesuffix(' | None').replace('|', BAR)}` | {default} | {_prose(comment)} |"
            )
    return rows


def _declared(found: type, field: str) -> tuple[str, str]:
    """Return how a class declares `field`: its type, and the comment beside it, "" where there is none."""
    for home in found.__mro__[:-1]:
        source = inspect.getsource(home)
        for node in ast.parse(source).body[0].body:
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == field:
                return ast.unparse(node.annotation), source.splitlines()[(node.end_lineno or 0) - 1].partition("# ")[2]
    raise LookupError(f"{found} does not declare {field}")


def _first_line(found: Any) -> str:
    line = (inspect.getdoc(found) or "").partition("\n")[0].removeprefix("Return ")
    return _prose(line[:1].upper() + line[1:])


def _prose(text: str) -> str:
    return _marked(text, "`", r"[|\\*_<\[]")


def _marked(text: str, ticks: str, special: str) -> str:
    """Return `text` with its code between `ticks`, and `special` characters escaped elsewhere."""
    parts = text.replace("``", "`").split("`")
    prose = [re.sub(special, r"\\\g<0>", part) for part in parts[::2]]
    code = [f"{ticks}{part}{ticks}" for part in parts[1::2]]
    return "".join(piece for pair in zip(prose, [*code, ""], strict=True) for piece in pair)


def _write(path: Path, text: str) -> None:
    """Write only what changed, so that an unchanged page is not built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
