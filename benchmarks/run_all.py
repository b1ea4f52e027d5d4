"""Every script about speed, one after the other, and the page of what they found: `python benchmarks/run_all.py`.

Runs those that are there, then writes `benchmarks/README.md` from all of `benchmarks/results/*.csv` that say what,
ours, theirs, unit, ratio, target and direction; `--page` writes the page alone. A script that fails is said at the end.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from recsys.support.atomic_files import replace_file

HERE = Path(__file__).parent
SCRIPTS = (
    "pools", "slates", "speed_of_metrics", "speed_of_intervals", "likelihood", "serving", "request_blocks", "batch",
    "spark", "dials", "closed_loops", "exposure_requests", "forget", "index", "soak", "memory_growth", "ials",
    "bench_time", "first_request", "service",
)  # fmt: skip
NEEDED = {"what", "ours", "theirs", "unit", "ratio", "target", "direction"}
HEAD = """\
# How fast it is

Made by `python benchmarks/run_all.py`; nothing here is written by hand. `ratio` is what the target is about: how
many times faster than the other side, or how many times as much where less is better. Both sides ran in turns in one
run; other work may have shared the machine, so ratios count, not seconds.
"""


def run_script(name: str) -> bool:
    """Run a script, and return whether it ended well."""
    print(f"== {name}", flush=True)
    return not subprocess.run([sys.executable, HERE / f"{name}.py"], check=False).returncode


def read_result_tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each results file that has the columns."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if set(rows.fieldnames or ()) >= NEEDED:
                found[path.stem] = list(rows)
    return found


def build_page(found: dict[str, list[dict[str, str]]], charts: list[str]) -> str:
    """Return the page."""
    parts = [HEAD]
    for name, rows in found.items():
        parts.append(f"## {name}\n")
        parts.append(
            "| what | ours | theirs | unit | ratio | target | met | floor |\n|---|---|---|---|---|---|---|---|"
        )
        parts += [_format_row(row) for row in rows]
        ends = {tuple(row.get(part, "") for part in ("machine", "versions", "commit")) for row in rows}
        parts += ["\n" + "; ".join(part for part in end if part) for end in sorted(ends)]
        parts.append("")
    if charts:
        parts += ["## How time grows\n", *(f"![{chart}](charts/{chart}.svg)\n" for chart in charts)]
    return "\n".join(parts).rstrip() + "\n"


def _format_row(row: dict[str, str]) -> str:
    target, sign = row["target"], {"min": "at least", "max": "at most"}.get(row["direction"], "")
    met = "" if not target else "yes" if _is_met(row) else "no"
    asked = f"{sign} {target}" if target else ""
    cells = [row["what"], row["ours"], row["theirs"], row["unit"], row["ratio"], asked, met, row.get("floor", "")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _is_met(row: dict[str, str]) -> bool:
    ratio, target = float(row["ratio"]), float(row["target"])
    return ratio >= target if row["direction"] == "min" else ratio <= target


def main() -> None:
    """Run all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--page", action="store_true", help="run nothing, write the page from the results that are there"
    )
    settings = parser.parse_args()
    there = [] if settings.page else [name for name in SCRIPTS if (HERE / f"{name}.py").exists()]
    failed = [name for name in there if not run_script(name)]
    charts = sorted(path.stem for path in (HERE / "charts").glob("*.svg"))
    with replace_file(HERE / "README.md") as temporary:
        temporary.write_text(build_page(read_result_tables(HERE / "results"), charts), encoding="utf-8")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
