"""`recsys demand`: expected purchases by region and week, never of one person."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.support.config_layers import Layer


@click.command()
@click.argument("config")
@click.option(
    "--regions", required=True, type=click.Path(path_type=Path), help="A table with the region of each user, or a log."
)
@click.option(
    "--column", "columns", multiple=True, metavar="FIELD=COLUMN", help="Which of its columns is user_id, region."
)
@click.option("--weeks", type=int, default=4, help="How many weeks from now on (default: 4).")
@click.option("--now", metavar="TIME", help="ISO 8601, or seconds since 1970 (default: the end of the log).")
@click.option("--min-users", type=int, default=10, help="Regions of fewer people are put together (default: 10).")
@click.option("--max-purchases", type=float, default=5.0, help="Of one person in one week, at most (default: 5).")
@click.option("--epsilon", type=float, help="The privacy budget of the table: Laplace noise (default: none).")
@click.option("--out", type=click.Path(path_type=Path), help="A CSV file to write.")
@options.overrides
@options.data_dir
@options.quiet
def demand(
    config: str,
    regions: Path,
    columns: tuple[str, ...],
    weeks: int,
    now: str | None,
    min_users: int,
    max_purchases: float,
    epsilon: float | None,
    out: Path | None,
    overrides: tuple["Layer", ...],
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Sum expected repurchases of the log of CONFIG over the people of each region, week by week."""
    from recsys.evidence import DemandSettings
    from recsys.experiments.demands import demand as run
    from recsys.experiments.demands import describe_demand

    settings = DemandSettings(weeks, min_users, max_purchases, epsilon)
    made = run(
        options.read_config(config, overrides),
        regions,
        columns=options.parse_column_names(columns) or None,
        now=None if now is None else options.parse_moment_text(now),
        settings=settings,
        out=out,
        quiet=quiet,
        data_dir=data_dir,
    )
    table = Table(title="Expected purchases of goods bought before", title_justify="left")
    for name in ("region", "users", *(str(start.astype("datetime64[s]"))[:10] for start in made.starts)):
        table.add_column(name, justify="left" if name == "region" else "right")
    for name, users, cells in zip(made.regions.tolist(), made.n_users, made.expected, strict=True):
        table.add_row(name, f"{users:,}", *(f"{cell:,.1f}" for cell in cells))
    options.make_console().print(table)
    for line in describe_demand(made):
        options.print_line(f"note: {line}")
    if out is not None:
        options.print_line(f"table: {out}")
