"""What the method and its judge rest on: sentences from the results of other benchmarks."""

from phrases import count, listed, percent, run
from readings import GAIN, Results
from sentences import change


def halves(results: Results) -> str:
    """Return what audit maps made from the same users as the own maps pretend."""
    table = results.tables["halves"]
    table = table[table.metric == GAIN.partition("@")[0]]
    if table.empty:
        return "What audit maps that share users with the own maps pretend has not been run."
    wide = table.pivot_table(index=["run", "own_half"], columns="audit_maps_from", values="relative")
    more = int((wide["the same users"] > wide["other users"]).sum())
    weights = listed([name.rpartition("-")[2] for name in dict.fromkeys(table.run)])
    means = wide.groupby(level="run").mean()
    pairs = listed(
        [f"{percent(row['the same users'])} against {percent(row['other users'])}" for _, row in means.iterrows()]
    )
    return (
        f"On MovieLens 100K (commit {table.commit.iloc[0][:7]}) the bonus with weights {weights} was judged by maps "
        f"from the users behind its own maps and by maps from the others, both ways round: on average {pairs}. Maps "
        f"from the same users say more in {more} of {len(wide)} comparisons."
    )


def own_maps(results: Results, loss: float) -> str:
    table = results.tables["own-maps"]
    table = table[(table.loss - loss).abs() < 1e-9] if len(table) else table
    if table.empty:
        return "Own maps of three kinds, compared on validation, have not been run."
    parts = [
        f"on {run(data)} "
        + listed([f"{row.family} {change(row.gain, row.ci_low, row.ci_high)}" for row in rows.itertuples()])
        for data, rows in table.groupby("data", sort=False)
    ]
    told = "; ".join(parts)
    return f"On validation, at a loss of {percent(loss, False)}, the bonus gains, with own maps of each kind, {told}."


def errors(results: Results) -> str:
    """Return how often tests and intervals are wrong in simulated worlds."""
    table = results.tables["errors"]
    if table.empty:
        return "How often the tests are wrong has not been simulated."
    checked = table[table.as_it_must_be.notna()]
    right = int((checked.as_it_must_be.astype(str) == "True").sum())
    joint = table[table.test.str.startswith("joint limits")]
    samples = count(int(checked.samples.max()))
    text = (
        f"Of {len(checked)} checks in simulated worlds, with up to {samples} samples each, {right} err as seldom as "
        "they may"
    )
    if len(joint):
        text += f"; joint limits of loss and gain miss the truth in {percent(float(joint.errors.iloc[0]), False)}"
    return text + "."


def agreement(results: Results) -> str:
    table = results.tables["agreement"]
    if table.empty:
        return "Metrics and slates have not been held against those of other libraries."
    same = table[table.definition == "same"]
    peers = listed([f"{peer} {rows.version.iloc[0]}" for peer, rows in same.groupby("peer", sort=False)])
    return (
        f"Of {len(same)} metrics and re-rankings that {peers} define alike, {int((same.agrees == 'yes').sum())} agree."
    )
