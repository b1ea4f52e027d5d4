"""Notebooks of the documentation: run, compared and shown as pages.

`python docs/notebooks.py FILE` runs a notebook and keeps what its cells print.
"""

import ast
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any


def read_cells(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook, each with its source as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def run_cell(source: str, names: dict[str, Any]) -> str:
    """Run one cell in `names`, and return what it prints, with the value of its last expression as text."""
    tree, printed, value = ast.parse(source), io.StringIO(), None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return printed.getvalue() + ("" if value is None else f"{value}\n")


def read_output(cell: dict[str, Any]) -> str:
    """Return the text that is kept as the output of a cell."""
    return "".join(line for output in cell["outputs"] for line in output["text"])


def run_notebook(path: Path) -> list[tuple[str, str]]:
    """Run the code cells in order, and return the kept output and the new output of each."""
    names: dict[str, Any] = {}
    code = [cell for cell in read_cells(path) if cell["cell_type"] == "code"]
    return [(read_output(cell), run_cell(cell["source"], names)) for cell in code]


def write_as_markdown(path: Path) -> str:
    """Return a notebook as a page: its texts, its code, and the outputs that it keeps."""
    parts = []
    for cell in read_cells(path):
        if cell["cell_type"] == "markdown":
            parts.append(cell["source"])
            continue
        parts.append(f"```python\n{cell['source']}\n```")
        if output := read_output(cell):
            parts.append(f"```text\n{output.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def update_outputs(path: Path) -> None:
    """Run a notebook and keep what its cells print."""
    book = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    for number, (cell, (_, text)) in enumerate(zip(code, run_notebook(path), strict=True), 1):
        stream = {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}
        cell.update(outputs=[stream] if text else [], execution_count=number)
    path.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    update_outputs(Path(sys.argv[1]))
