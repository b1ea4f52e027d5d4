"""Make the paper from the results: `python paper/make.py` (or `make paper`).

Numbers, figures (one is for the documentation too), the check of the text, then `paper/paper.pdf`. Typst comes from the
extra [paper]; fonts are those that it brings, and nothing is fetched.
"""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import checks
import facts
import figures

from recsys.support.atomic_files import replace_file

HERE = Path(__file__).parent


def main() -> None:
    try:
        import typst
    except ImportError:
        sys.exit('paper: typst is missing, pip install -e ".[paper]"')
    facts.main()
    figures.main()
    picture = HERE.parent / "docs" / "_static" / "discovery.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(picture) as temporary:
        shutil.copyfile(facts.BUILD / "headline.svg", temporary)
    checks.main()
    epoch = datetime.fromtimestamp(0, UTC)  # the same results make the same file
    made = typst.compile(HERE / "paper.typ", ignore_system_fonts=True, timestamp=epoch)
    with replace_file(HERE / "paper.pdf") as temporary:
        temporary.write_bytes(made)
    print(f"{HERE / 'paper.pdf'}: {len(made) // 1024} KB")


if __name__ == "__main__":
    main()
