"""What the method and its judge rest on: sentences from the results of other benchmarks."""

from formatting import format_count, format_percent, format_run, join_names
from load_results import GAIN, Results
from sentences import format_change


def describe_shared_users_bias(results: Results) -> str:
    """Return what audit maps made from the same users as the own maps pretend."""
    table = results.tables["shared-users-bias"]
    table = table[table.metric == GAIN.partition("@")[0]]
    if table.empty:
        return "What audit maps that share users with the own maps pretend has not been run."
    wide = table.pivot_table(index=["run", "own_half"], columns="audit_maps_from", values="relative")
    more = int((wide["the same users"] > wide["other users"]).sum())
    weights = join_names([name.rpartition("-")[2] for name in dict.fromkeys(table.run)])
    means = wide.groupby(level="run").mean()
    pairs = join_names(
        [
            f"{format_percent(row['the same users'])} against {format_percent(row['other users'])}"
            for _, row in means.iterrows()
        ]
    )
    return (
        f"On MovieLens 100K (commit {table.commit.iloc[0][:7]}) the bonus with weights {weights} was judged by maps "
        f"from the users behind its own maps and by maps from the others, both ways round: on average {pairs}. Maps "
        f"from the same users say more in {more} of {len(wide)} comparisons."
    )


def describe_own_maps(results: Results, loss: float) -> str:
    table = results.tables["own-maps"]
    table = table[(table.loss - loss).abs() < 1e-9] if len(table) else table
    if table.empty:
        return "Own maps of three kinds, compared on validation, have not been run."
    parts = [
        f"on {format_run(data)} "
        + join_names([f"{row.family} {format_change(row.gain, row.ci_low, row.ci_high)}" for row in rows.itertuples()])
        for data, rows in table.groupby("data", sort=False)
    ]
    told = "; ".join(parts)
    return f"On validation, at a loss of {format_percent(loss, False)}, the bonus gains, with own maps of each kind, {told}."


def describe_test_errors(results: Results) -> str:
    """Return how often tests and intervals are wrong in simulated worlds."""
    table = results.tables["errors"]
    if table.empty:
        return "How often the tests are wrong has not been simulated."
    checked = table[table.as_it_must_be.notna()]
    right = int((checked.as_it_must_be.astype(str) == "True").sum())
    joint = table[table.test.str.startswith("joint limits")]
    samples = format_count(int(checked.samples.max()))
    text = (
        f"Of {len(checked)} checks in simulated worlds, with up to {samples} samples each, {right} err as seldom as "
        "they may"
    )
    if len(joint):
        text += (
            f"; joint limits of loss and gain miss the truth in {format_percent(float(joint.errors.iloc[0]), False)}"
        )
    return text + "."


def describe_agreement(results: Results) -> str:
    table = results.tables["agreement"]
    if table.empty:
        return "Metrics and slates have not been held against those of other libraries."
    same = table[table.definition == "same"]
    peers = join_names([f"{peer} {rows.version.iloc[0]}" for peer, rows in same.groupby("peer", sort=False)])
    return (
        f"Of {len(same)} metrics and re-rankings that {peers} define alike, {int((same.agrees == 'yes').sum())} agree."
    )
