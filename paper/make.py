"""Make the paper from the results: `python paper/make.py` (or `make paper`).

Numbers and claims, the check of the texts, figures (two are for the documentation too), then `paper/paper.pdf`. The
build ends where a name is unknown, a claim does not hold, or a number or a verdict is written down: a line for each.
Typst comes from the extra [paper]; fonts are those that it brings, and nothing is fetched.
"""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import checks
import figures
import lookups

from recsys.support.atomic_files import replace_file, write_text


def make_checked_facts(root: Path) -> lookups.Facts:
    """Return numbers, claims and tables, or end where the texts and the results do not agree."""
    facts = lookups.read_facts(root)
    if wrong := checks.find_all_problems(facts, root):
        sys.exit("\n".join(["paper: the texts hold what the results do not say", *wrong]))
    return facts


def main(root: Path = lookups.ROOT) -> None:
    try:
        import typst
    except ImportError:
        sys.exit('paper: typst is missing, pip install -e ".[paper]"')
    facts, build = make_checked_facts(root), root / "paper" / "build"
    build.mkdir(exist_ok=True)
    numbers = {name: facts.write_number(name) for name in facts.numbers}
    told = {"numbers": numbers, "claims": facts.claims, "tables": facts.tables}
    write_text(build / "facts.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    figures.write_figures(root)
    for drawn, shown in figures.OF_THE_DOCUMENTATION.items():
        with replace_file(root / "docs" / "_static" / shown) as temporary:
            shutil.copyfile(build / drawn, temporary)
    epoch = datetime.fromtimestamp(0, UTC)  # the same results make the same file
    made = typst.compile(root / "paper" / "paper.typ", ignore_system_fonts=True, timestamp=epoch)
    with replace_file(root / "paper" / "paper.pdf") as temporary:
        temporary.write_bytes(made)
    print(f"{root / 'paper' / 'paper.pdf'}: {len(made) // 1024} KB")


if __name__ == "__main__":
    main()
