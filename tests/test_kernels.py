"""The compiled kernel against the slow statement of the same rules."""

import itertools
import re
from dataclasses import fields
from typing import get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.kernels import reference
from recsys.kernels.eigenvalues import fill_eigenvalues
from recsys.kernels.greedy import AGGREGATES, PHIS, VOLUME_FORMS, RuleInputs, pick_greedily
from recsys.kernels.hits import find_hits, find_row_with_repeat
from recsys.kernels.inputs import build_kernel_inputs
from recsys.kernels.slot_rules import NO_RULES, SlotRules
from recsys.types import Counts, Coverage, Modular, RecsysError, Seats, Spread, TableCache, Volume

B, N, M, D, Z, K = 3, 12, 30, 5, 6, 6
LENGTHS = np.array([N, N - 3, 4])


def world(seed, N=N, M=M, D=D):
    """One term of every shape with every parameter, over random candidates."""
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(M)[:N] for _ in range(B)]).astype(np.int64)
    vectors = rng.normal(size=(M, D)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cover = sparse.csr_array((rng.random((M, Z)) * (rng.random((M, Z)) < 0.5)).astype(np.float32))
    terms = {"modular": Modular(rng.normal(size=(B, N)).astype(np.float32))}
    by_slot = np.random.default_rng([seed, 1]).normal(size=(B, K, N))
    terms["modular by slot"] = Modular(by_slot.astype(np.float32))
    for agg in ("max", "mean", "sum"):
        terms[f"spread {agg}"] = Spread(vectors, rows, agg, empty=0.3)
        start = rng.random((B, N)).astype(np.float32)
        terms[f"spread {agg} from a profile"] = Spread(vectors, rows, agg, start=start)
    for phi in ("linear", "log", "exp", "sqrt", "max"):
        need = rng.random((B, Z)) * (rng.random((B, Z)) < 0.8)
        cap = rng.random((B, Z)) if phi == "linear" else None
        start = np.full((B, Z), 0.1) if phi == "log" else None
        terms[f"coverage {phi}"] = Coverage(cover, rows, need, phi, cap=cap, start=start)
        start, slots = rng.random((B, Z)) + 0.01, rng.random(K)
        terms[f"coverage {phi} with slots"] = Coverage(cover, rows, need, phi, cap=cap, start=start, slots=slots)
        falling = np.sort(slots)[::-1]
        terms[f"coverage {phi} falling"] = Coverage(cover, rows, need, phi, cap=cap, start=start, slots=falling)
    for focus, divisor in ((0.5, 2.0), (0.9, 1.0), (0.2, 2.0)):
        need = rng.random((B, Z)) * (rng.random((B, Z)) < 0.8)
        terms[f"seats {focus} {divisor}"] = Seats(cover, rows, need, focus, divisor)
    for part in (0.8, 0.3):
        need = rng.random((B, Z)) * (rng.random((B, Z)) < part)
        patience = -np.cumsum(rng.random((B, Z, K + 1)), axis=2)
        terms[f"counts {part}"] = Counts(cover, rows, need, patience)
    for form, window in itertools.product(("log", "norm"), (None, 1, 3)):
        quality = (rng.random((B, N)) + 0.5).astype(np.float32)
        terms[f"dpp {form} {window}"] = Volume(vectors, rows, form, quality=quality, window=window, ridge=0.1)
        terms[f"dpp {form} {window} plain"] = Volume(vectors, rows, form, window=window, ridge=0.2)
    return terms


def run(
    terms,
    weights,
    *,
    temperature=0.0,
    epsilon=0.0,
    uniforms=None,
    follow=False,
    lengths=LENGTHS,
    moved=0,
    rules=NO_RULES,
    k=K,
):
    """Run the kernel; with `moved`, on arrays that lie so many elements behind where NumPy put them."""
    laid = build_kernel_inputs(
        terms, B, terms[0].gain.shape[-1] if hasattr(terms[0], "gain") else terms[0].rows.shape[1], k, TableCache()
    )
    out = (
        np.full((B, k), -1, np.int64),
        np.zeros((B, k, len(terms)), np.float32),
        np.zeros((B, k), np.float32),
        np.zeros((B, len(terms))),
    )
    inputs = tuple(group and tuple(elsewhere(array, moved) for array in group) for group in laid)
    uniforms = np.zeros((B, k)) if uniforms is None else uniforms
    pick_greedily(lengths, weights, inputs, rules.to_tuple(), (k, temperature, epsilon, uniforms, follow), out)
    return out


def elsewhere(array, moved):
    """Return a copy of the array that starts `moved` elements behind the start of a buffer."""
    if array is None or not moved:
        return array
    place = np.empty(array.size + moved, array.dtype)[moved:].reshape(array.shape)
    place[...] = array
    return place


@pytest.mark.parametrize("name", world(0))
def test_each_shape_alone_picks_what_the_reference_picks(name):
    for seed in range(5):
        term = world(seed)[name]
        picks = run([term], np.ones((B, 1)))[0]
        for b in range(B):
            # Gains of float32 vectors can be equal up to rounding: each pick must be within it of the best.
            slate: list[int] = []
            for pick in picks[b][picks[b] >= 0]:
                gain = reference.compute_gains(term, b, slate, LENGTHS[b])
                gain[slate] = -np.inf
                assert pick not in slate
                assert gain[pick] >= gain.max() - 1e-5
                slate.append(int(pick))
            assert len(slate) == min(K, LENGTHS[b])


def test_slot_rules_have_the_order_in_which_the_kernel_names_them():
    assert tuple(f.name for f in fields(SlotRules)) == RuleInputs._fields


@pytest.mark.parametrize(
    ("term", "field", "codes"), [(Spread, "agg", AGGREGATES), (Coverage, "phi", PHIS), (Volume, "form", VOLUME_FORMS)]
)
def test_the_kernel_has_a_code_for_each_choice_of_a_term(term, field, codes):
    assert set(codes) == set(get_args(get_type_hints(term)[field]))
    assert sorted(codes.values()) == list(range(len(codes)))


def test_arrays_of_any_terms_have_the_types_that_the_kernel_is_compiled_for():
    """Other types would be compiled anew, which takes a long time: there are two, of plain terms and of all."""

    def name_types(terms):
        laid = build_kernel_inputs(terms, B, N, K, TableCache())
        return [
            None if array is None else (array.dtype, array.ndim, array.flags.carray)
            for group in laid
            for array in group or (None,)
        ]

    terms = world(0)
    plain = [name for name in terms if name == "modular" or name.startswith(("spread", "coverage"))]
    few, all_ = name_types([]), name_types([terms[name] for name in terms])
    assert few.count(None) == 4 and None not in all_  # gains by slot, Seats and Counts twice, Volume
    assert [name for name, term in terms.items() if name_types([term]) != (few if name in plain else all_)] == []


def test_the_library_passes_plain_tuples_to_the_kernel():
    run([world(0)["modular"]], np.ones((B, 1)))
    assert pick_greedily.signatures
    for signature in pick_greedily.signatures:  # named tuples take longer at each call, and would be compiled anew
        assert not any(name in str(signature) for name in ("Inputs", "Settings", "Output")), signature


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_any_blend_picks_and_contributes_what_the_reference_says(seed, data):
    everything = world(seed)
    chosen = data.draw(st.lists(st.sampled_from(sorted(everything)), min_size=1, max_size=6, unique=True))
    terms = [everything[name] for name in chosen]
    weights = np.random.default_rng(seed + 1).random((B, len(terms)))
    picks, contributions, _, _ = run(terms, weights)
    for b in range(B):
        slate = [int(p) for p in picks[b] if p >= 0]
        for step, pick in enumerate(slate):
            gains = np.stack([reference.compute_gains(t, b, slate[:step], LENGTHS[b]) for t in terms])
            total = weights[b] @ gains
            total[slate[:step]] = -np.inf
            assert total[pick] >= total.max() - 1e-4
            np.testing.assert_allclose(contributions[b, step], weights[b] * gains[:, pick], atol=2e-4, rtol=2e-4)


LARGE = {"N": 150, "M": 200, "D": 67}
MANY = np.array([150, 97, 33])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.data())
def test_what_bounds_pass_over_is_bit_for_bit_what_looking_at_everybody_gives(seed, data):
    everything = world(seed, **LARGE)
    chosen = data.draw(st.lists(st.sampled_from(sorted(everything)), min_size=1, max_size=5, unique=True))
    terms, rng = [everything[name] for name in chosen], np.random.default_rng(seed)
    weights = rng.normal(size=(B, len(terms))) * data.draw(st.sampled_from([1, 10]))  # some below 0
    by_bounds = run(terms, weights, lengths=MANY)
    everybody = run(terms, weights, lengths=MANY, epsilon=1e-200, uniforms=np.full((B, K), 0.5))
    assert (by_bounds[0] == everybody[0]).all()
    assert (by_bounds[1] == everybody[1]).all()


@pytest.mark.parametrize("kinds", [("spread",), ("log",), ("norm",), ("spread", "log", "norm")])
@pytest.mark.parametrize("ridge", [0.01, 0.1])
def test_candidates_that_fell_behind_by_many_picks_catch_up_to_the_same_bits_ties_included(kinds, ridge):
    """Each vector stands three times among the candidates with the same relevance: every gain is there three times."""
    rng, k, d = np.random.default_rng(7), 23, 40
    vectors = rng.normal(size=(60, d)) + 2 * np.repeat(rng.normal(size=(6, d)), 10, axis=0)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    rows = np.stack([rng.permutation(np.repeat(np.arange(60), 3)) for _ in range(B)])
    made = {"spread": Spread(vectors, rows, start=np.zeros(rows.shape, np.float32))}
    made |= {form: Volume(vectors, rows, form, ridge=ridge) for form in ("log", "norm")}
    terms = [Modular(rng.normal(size=60).astype(np.float32)[rows]), *(made[kind] for kind in kinds)]
    given = {
        "weights": np.full((B, len(terms)), [1.0] + [3.0] * len(kinds)),
        "lengths": np.array([180, 97, 33]),
        "k": k,
    }
    found = run(terms, **given)
    everybody = run(terms, **given, epsilon=1e-200, uniforms=np.full((B, k), 0.5))
    np.testing.assert_array_equal(found[0], everybody[0])
    np.testing.assert_array_equal(found[1], everybody[1])


@pytest.mark.parametrize("drawn", [{}, {"temperature": 0.5, "epsilon": 0.1}, {"follow": True}])
def test_bits_do_not_depend_on_where_arrays_lie(drawn):
    terms = list(world(0, **LARGE).values())
    weights = np.random.default_rng(0).random((B, len(terms)))
    uniforms = np.random.default_rng(1).random((B, K))
    first = run(terms, weights, uniforms=uniforms, lengths=MANY, **drawn)
    for moved in range(1, 18):
        for one, same in zip(
            first, run(terms, weights, uniforms=uniforms, lengths=MANY, moved=moved, **drawn), strict=True
        ):
            np.testing.assert_array_equal(one, same)


def test_entries_of_the_same_item_and_region_add_up():
    term = world(3)["coverage linear"]
    halves = [sparse.coo_array(term.coverage * 0.5)] * 2
    twice = sparse.csr_array(
        (
            np.concatenate([h.data for h in halves]),
            np.concatenate([h.col for h in halves]),
            np.concatenate([[0], 2 * np.cumsum(np.bincount(halves[0].row, minlength=M))]),
        ),
        shape=(M, Z),
    )
    order = np.argsort(np.concatenate([h.row for h in halves]), kind="stable")
    twice.data, twice.indices = twice.data[order], twice.indices[order]
    again = Coverage(twice, term.rows, term.need, term.phi, cap=term.cap)
    assert (run([again], np.ones((B, 1)))[0] == run([term], np.ones((B, 1)))[0]).all()
    assert twice.nnz == 2 * term.coverage.nnz


def test_follow_measures_the_spread_of_gains_along_the_given_order():
    terms = list(world(4).values())
    picks, _, _, deviations = run(terms, np.zeros((B, len(terms))), follow=True)
    for b in range(B):
        steps = min(K, LENGTHS[b])
        assert picks[b, :steps].tolist() == list(range(steps))
        for t, term in enumerate(terms):
            expected = np.mean([reference.compute_gains(term, b, range(s), LENGTHS[b])[s:].std() for s in range(steps)])
            assert deviations[b, t] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_log_propensities_are_exact_and_draws_follow_them():
    terms = [world(1)["modular"], world(1)["spread max"]]
    weights, temperature, draws = np.ones((B, 2)), 0.7, 3000
    rng = np.random.default_rng(0)
    first = np.zeros((B, N))
    for _ in range(draws):
        picks, _, logs, _ = run(terms, weights, temperature=temperature, uniforms=rng.random((B, K)))
        first[np.arange(B), picks[:, 0]] += 1
    for b in range(B):
        for step in range(min(K, LENGTHS[b])):
            gains = sum(reference.compute_gains(t, b, picks[b, :step].tolist(), LENGTHS[b]) for t in terms)
            left = np.exp(gains / temperature)
            left[picks[b, :step]] = 0
            assert logs[b, step] == pytest.approx(np.log(left[picks[b, step]] / left.sum()), abs=1e-4)
        share = np.exp(sum(reference.compute_gains(t, b, [], LENGTHS[b]) for t in terms) / temperature)
        expected = draws * share / share.sum()
        chi = ((first[b, : LENGTHS[b]] - expected) ** 2 / expected).sum()
        assert chi < 40  # the 99.99 % point of chi squared with 11 degrees of freedom is 37.4


@pytest.mark.parametrize(("temperature", "epsilon"), [(0.0, 0.3), (0.7, 0.3), (0.7, 1.0), (0.0, 1.0)])
def test_a_share_of_the_draws_knows_nothing_and_propensities_stay_exact(temperature, epsilon):
    terms = [world(1)["modular"], world(1)["spread max"]]
    weights, draws = np.ones((B, 2)), 3000
    rng = np.random.default_rng(0)
    first = np.zeros((B, N))

    def chances(b, slate):
        gains = sum(reference.compute_gains(t, b, slate, LENGTHS[b]) for t in terms)
        gains[slate] = -np.inf
        best = np.zeros(LENGTHS[b])
        best[gains.argmax()] = 1
        base = np.exp(gains / temperature) / np.exp(gains / temperature).sum() if temperature else best
        return (1 - epsilon) * base + epsilon * (gains > -np.inf) / (gains > -np.inf).sum()

    for _ in range(draws):
        picks, _, logs, _ = run(terms, weights, temperature=temperature, epsilon=epsilon, uniforms=rng.random((B, K)))
        first[np.arange(B), picks[:, 0]] += 1
    for b in range(B):
        slate = [int(p) for p in picks[b] if p >= 0]
        assert len(set(slate)) == min(K, LENGTHS[b])
        for step, pick in enumerate(slate):
            assert logs[b, step] == pytest.approx(np.log(chances(b, slate[:step])[pick]), abs=1e-4)
        expected = draws * chances(b, [])
        chi = ((first[b, : LENGTHS[b]] - expected) ** 2 / expected).sum()
        assert chi < 40  # the 99.99 % point of chi squared with 11 degrees of freedom is 37.4


def test_dpp_equals_naive_log_determinants():
    term = world(2)["dpp log None plain"]
    picks = run([term], np.ones((B, 1)))[0]
    vectors = term.vectors[term.rows[0]].astype(float)
    kernel = 0.8 * vectors @ vectors.T + 0.2 * np.eye(N)
    slate: list[int] = []
    for _ in range(K):
        values = [
            -np.inf if i in slate else np.linalg.slogdet(kernel[np.ix_([*slate, i], [*slate, i])])[1] for i in range(N)
        ]
        slate.append(int(np.argmax(values)))
    assert picks[0].tolist() == slate


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["linear", "exp", "sqrt", "max", "log"]), st.integers(1, 3))
def test_greedy_is_within_its_bound_of_brute_force_where_the_blend_is_submodular(seed, phi, k):
    rng = np.random.default_rng(seed)
    n = 7
    cover = sparse.csr_array((rng.random((n, Z)) * (rng.random((n, Z)) < 0.6)).astype(np.float32))
    rows = np.arange(n)[None, :]
    relevance = Modular(rng.random((1, n)).astype(np.float32) * 0.2)
    start = np.full((1, Z), 0.05)
    coverage = Coverage(cover, rows, rng.random((1, Z)), phi, cap=rng.random((1, Z)), start=start)
    terms, weights = [relevance, coverage], [1.0, 1.0]

    def value(slate):
        parts = [reference.compute_gains(t, 0, slate[:s], n)[i] for t in terms for s, i in enumerate(slate)]
        return sum(parts)

    best = max(value(list(s)) for s in itertools.combinations(range(n), k))
    assert value(reference.pick_greedily(terms, weights, 0, n, k)) >= (1 - 1 / np.e) * best - 1e-9


def test_equal_gains_go_to_the_candidate_that_comes_first():
    flat = Modular(np.zeros((B, N), np.float32))
    assert run([flat], np.ones((B, 1)))[0][0].tolist() == list(range(K))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gain_that_is_not_finite_is_refused(bad):
    gain = np.zeros((B, N), np.float32)
    gain[1, 2] = bad
    with pytest.raises(RecsysError, match="Modular term's gain holds NaN or infinity"):
        build_kernel_inputs([Modular(gain)], B, N, K, TableCache())


def test_an_array_of_the_wrong_shape_is_refused():
    with pytest.raises(RecsysError, match=r"gain has shape \(3, 11\), expected \(3, 12\)"):
        build_kernel_inputs([Modular(np.zeros((B, N - 1), np.float32))], B, N, K, TableCache())


@pytest.mark.parametrize("shape", [(B, K - 1, N), (B, K + 1, N), (B, K, N - 1)])
def test_gains_by_slot_are_of_all_slots_and_candidates(shape):
    with pytest.raises(RecsysError, match=re.escape(f"a Modular term's gain has shape {shape}, expected (3, 6, 12)")):
        build_kernel_inputs([Modular(np.zeros(shape, np.float32))], B, N, K, TableCache())


def test_each_slot_goes_by_its_own_gains():
    gain = world(0)["modular by slot"].gain
    picks, contributions, _, _ = run([Modular(gain)], np.full((B, 1), 2.0))
    for b in range(B):
        left = list(range(LENGTHS[b]))
        for r in range(min(K, LENGTHS[b])):
            assert picks[b, r] == max(left, key=lambda n: gain[b, r, n])
            assert contributions[b, r, 0] == pytest.approx(2 * gain[b, r, picks[b, r]])
            left.remove(picks[b, r])


def test_the_same_gains_in_every_slot_are_gains_of_the_slate():
    terms = world(5)
    whole = [terms["modular"], terms["spread max"], terms["coverage linear"]]
    slots = [Modular(np.repeat(whole[0].gain[:, None], K, axis=1)), *whole[1:]]
    for one, same in zip(run(whole, np.ones((B, 3))), run(slots, np.ones((B, 3))), strict=True):
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("name", ["need", "slots", "coverage"])
def test_coverage_below_zero_is_refused(name):
    given = {"need": np.ones((B, Z)), "slots": np.ones(K), "coverage": np.ones((M, Z), np.float32)}
    given[name].flat[3] = -0.5
    coverage = sparse.csr_array(given.pop("coverage"))
    with pytest.raises(RecsysError, match=f"term's {name} holds -0.5, expected numbers from 0 on"):
        build_kernel_inputs(
            [Coverage(coverage, np.zeros((B, N), np.int64), phi="linear", **given)], B, N, K, TableCache()
        )


def test_a_logarithm_from_zero_is_refused():
    cover = sparse.csr_array(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match="needs start > 0"):
        Coverage(cover, np.zeros((1, 3), np.int64), np.ones((1, 3)), "log")


def test_without_a_place_for_compiled_code_it_is_compiled_all_the_same(monkeypatch):
    import numba

    from recsys.kernels import compiled

    def nowhere(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available for file 'kernels.py'")
        return numba.njit(**options)

    monkeypatch.setattr(compiled, "njit", nowhere)
    assert compiled.compile_kernel(fastmath=False)(lambda x: 2 * x)(21) == 42


def test_what_compiled_code_alone_calls_gets_machine_code_where_sums_are_reordered_alone():
    import numba

    from recsys.kernels.compiled import compile_kernel

    def _add_up(numbers):
        total = 0.0
        for number in numbers:
            total += number
        return total

    for fastmath, made in ((False, False), ({"nnan", "contract"}, False), ({"nnan", "reassoc"}, True), (True, True)):
        part = compile_kernel(fastmath=fastmath)(_add_up)
        assert numba.njit(lambda numbers: part(numbers) + 1.0)(np.ones(40)) == 41.0  # noqa: B023
        (code,) = part.overloads.values()
        assert (code.library.get_pointer_to_function(code.fndesc.llvm_func_name) != 0) == made


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 12), d=st.integers(1, 12), users=st.integers(0, 19))
def test_spectra_are_the_eigenvalues_of_similarities(seed, k, d, users):
    """Rows that are missing, zero, or the same again; more or fewer of them than dimensions; any number of sets."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(15, d)) * (rng.random((15, 1)) < 0.9)
    table[9:] = table[3] * rng.choice([1, -1], (6, 1))
    rows = np.where(rng.random((users, k)) < 0.8, rng.integers(0, 15, (users, k)), -1)
    found = np.full((users, min(k, d)), 7.0)
    fill_eigenvalues(table, rows, found)
    for b in range(users):
        some = table[rows[b][rows[b] >= 0]]
        values = np.linalg.eigvalsh(some.T @ some / max(len(some), 1))[::-1]
        expected = np.append(values, np.zeros(k))[: min(k, d)]
        np.testing.assert_allclose(np.sort(found[b])[::-1], expected, atol=1e-12 * max(1, expected.max()))
    alone = np.empty((users, min(k, d)))
    for b in range(users):
        fill_eigenvalues(table, rows[b : b + 1], alone[b : b + 1])
    np.testing.assert_array_equal(alone, found)  # who stands beside a set changes nothing


@pytest.mark.parametrize("m", [50, 64, 150])
def test_spectra_of_large_sets_are_exact(m):
    table = np.random.default_rng(m).normal(size=(m, 64))
    found = np.empty((1, min(m, 64)))
    fill_eigenvalues(table, np.arange(m)[None], found)
    values = np.linalg.eigvalsh(table.T @ table / m)[-min(m, 64) :]
    np.testing.assert_allclose(np.sort(found[0]), values, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), users=st.integers(0, 9), k=st.integers(0, 6), items=st.integers(1, 12))
def test_hits_and_repeated_items_are_what_a_loop_finds(seed, users, k, items):
    rng = np.random.default_rng(seed)
    slates = rng.integers(-1, items, (users, k)).astype(np.int32)
    liked = sparse.csr_array(rng.random((users, items)) < 0.3)
    room = [np.full(slates.size, -7) for _ in range(3)]
    n = find_hits(slates, liked.indptr, liked.indices, np.zeros(items, np.int64), *room)
    wanted = [
        (u, r, p)
        for u in range(users)
        for r in range(k)
        for p in range(liked.indptr[u], liked.indptr[u + 1])
        if slates[u, r] == liked.indices[p]
    ]
    assert [tuple(hit) for hit in np.transpose(room)[:n]] == wanted
    twice = [u for u, row in enumerate(slates) if len(shown := row[row >= 0]) > len(set(shown))]
    assert find_row_with_repeat(slates, np.zeros(items, np.int64)) == (twice[0] if twice else -1)
