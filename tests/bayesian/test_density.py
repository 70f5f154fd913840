"""The density that is sampled against PyMC's of the same model, and its gradient against differences."""

import inspect
import shutil
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import nutpie
import pandas as pd
import pytest
from numba import float64
from numba.core.dispatcher import Dispatcher
from numba.types import Tuple
from nutpie.compile_pymc import _make_c_expand_func, _make_c_logp_func, make_user_data
from nutpie.sample import _BackgroundSampler

import rct
from rct.bayesian import (
    density_counts,
    density_course,
    density_evaluation,
    density_priors,
    density_terms,
    sampling,
)
from rct.bayesian.agency_fit import AGENCIES
from rct.bayesian.agency_likelihood import agency_tables, count_agencies
from rct.bayesian.compilerless import import_pymc
from rct.bayesian.density import NUMBERS, officer_density
from rct.bayesian.density_agencies import agency_density
from rct.bayesian.density_counts import counts_of
from rct.bayesian.density_evaluation import Kind
from rct.bayesian.density_layout import ABSENT
from rct.bayesian.fitting import prepared
from rct.bayesian.machine_code import Memory, array, c_function, compiled
from rct.bayesian.model_inputs import Inputs, prior_tables
from rct.bayesian.priors import complete_priors
from rct.bayesian.sampling import Settings, draw
from rct.bayesian.stated_in_pymc import stated

OUTCOMES = ["force", "citizen", "injured"]
WALK = {"random-walk": [0.5]}


def panel_of(*, doses=False, leave=False, **columns):
    """24 officers of six squads in two districts over six months, a squad trained each month."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        [(f"o{i:02d}", f"s{i % 6}", 2 + i % 6, t) for i in range(24) for t in range(1, 7)],
        columns=["officer", "squad", "start", "month"],
    )
    frame["district"] = np.where(frame["squad"] < "s4", "north", "south")
    frame["force"] = rng.poisson(1.5, len(frame))
    frame["citizen"] = rng.binomial(frame["force"], 0.4)
    frame["injured"] = rng.binomial(frame["force"], 0.2)
    since = frame["month"] - frame["start"]
    frame["trained"] = (since >= 0) * ((1 + since.clip(0, 2)) / 3 if doses else 1.0)
    frame["days"] = rng.uniform(0.5, 1.5, len(frame))
    if leave:
        frame = frame[rng.random(len(frame)) > 0.2]
    return rct.Panel.from_frame(
        frame,
        unit="officer",
        period="month",
        outcomes=OUTCOMES,
        treated="trained",
        cluster="squad",
        **columns,
    )


# Model, outcomes, priors besides the defaults, and the panel.
CASES = {
    "a walk in each district": ("marginal", 3, {"period": WALK}, {"block": "district", "leave": True}),
    "plain Poisson": ("marginal", 1, {"heterogeneity": False, "cluster_sd": False}, {"block": "district"}),
    "days": ("stepped-wedge", 1, {}, {"exposure": "days"}),
    "fading": ("fading", 3, {}, {"doses": True}),
    "dose": ("dose", 3, {}, {"doses": True}),
    "joint": ("joint", 3, {"period_given": {"zero-sum-normal": [0.6]}}, {}),
    "joint, clusters apart": (
        "joint", 3, {"cluster_correlation": False, "period": WALK, "period_given": {"random-walk": [0.3]}},
        {},
    ),
    "cells": ("negative-binomial", 1, {}, {"exposure": "days"}),
    "surplus zeros": ("zero-inflated", 3, {}, {"leave": True}),
}  # fmt: skip


def officers(case):
    model, outcomes, priors, columns = CASES[case]
    chosen, _, inputs = prepared(
        panel_of(**columns), OUTCOMES[:outcomes], model=model, priors=priors, refresher=None
    )
    return officer_density(inputs), stated(chosen, inputs), chosen


def agencies(*, controlled):
    starts = [0, 3, 5, 5, 0, 3] if controlled else [4] * 6
    rows = pd.DataFrame({"unit": np.repeat(list("abcdef"), 6), "period": np.tile(np.arange(1, 7), 6)})
    start = np.repeat(starts, 6)
    rows["treated"] = ((start > 0) & (rows["period"] >= start)).astype(float)
    rows["exposure"] = 1.0 + 0.5 * (rows["unit"] > "c")
    rows["count"] = np.random.default_rng(3).poisson(1.5, 36).astype(float)
    used = complete_priors(
        {} if controlled else {"period": WALK}, terms=AGENCIES.terms,
        impossible={} if controlled else {"effect": "there is no control"},
    )  # fmt: skip
    coords = {
        "outcome": ["force"], "arm": ["T"], "period_number": list(range(1, 7)), "cluster_name": ["a"],
        "block_name": ["a"],
    }  # fmt: skip
    tables = agency_tables(count_agencies(rows, np.arange(1, 7)))
    inputs = Inputs(used, coords, tables | prior_tables(used))
    return agency_density(inputs), stated(AGENCIES, inputs), AGENCIES


def point_in_pymc(density, model, x):
    """The same point as PyMC's value variables, by PyMC's own transforms."""
    pt = import_pymc().math.pt
    named, start = density.variables(x), density.layout.start
    aliases = {"effect_on_force": lambda: named["effect"][0], "period_step": lambda: free("period", "period")}

    def free(term, shaped_like):
        shape = np.shape(named[shaped_like])
        return x[start[term] : start[term] + int(np.prod(shape))].reshape(shape)

    point = {}
    for variable in model.free_RVs:
        name = variable.name
        if name in aliases:
            value = aliases[name]()
        elif name.endswith("_signed_sd"):
            value = free(f"{name.removesuffix('_signed_sd')}_sd", f"{name.removesuffix('_signed_sd')}_sd")
        elif name.endswith("_standard"):
            value = free(name.removesuffix("_standard"), name.removesuffix("_standard"))
        elif name == "cluster_partial_correlation":
            value = 1 / (1 + np.exp(-x[start["partial"] : start["partial"] + 3]))
        else:
            value = named[name]
        transform = model.rvs_to_transforms[variable]
        if transform is not None:
            value = pt.as_tensor_variable(np.asarray(value, dtype=float))
            value = transform.forward(value, *variable.owner.inputs).eval(mode="FAST_COMPILE")
        point[model.rvs_to_values[variable].name] = np.asarray(value)
    return point


def log_jacobian(density, x):
    """Logarithm of the change from the free numbers to the parameters that PyMC has priors of."""
    kind = density.layout.priors[0]
    share = 1 / (1 + np.exp(-x))
    each = np.select(
        [kind == density_priors.BETA, kind != density_priors.NORMAL], [np.log(share * (1 - share)), x], 0.0
    )
    total = each.sum()
    start, steps = density.layout.start["dose_share"], density.layout.course.steps
    if start != ABSENT:
        # From the fractions of what is left to the shares: each times what is left.
        left = np.cumprod(1 - share[start : start + 3 * (steps - 1)].reshape(3, steps - 1), axis=1)
        total += np.log(left[:, :-1]).sum()
    return total


@pytest.mark.parametrize("case", [*CASES, "agencies", "agencies at once"])
def test_the_density_is_pymcs_and_the_gradient_its_slope(case):
    if case in CASES:
        density, model, chosen = officers(case)
    else:
        density, model, chosen = agencies(controlled=case == "agencies")
    x = np.random.default_rng(5).normal(0, 0.4, density.size)
    value, gradient = density(x)
    exact = model.compile_logp(mode="FAST_COMPILE", jacobian=False)(point_in_pymc(density, model, x))
    assert value - log_jacobian(density, x) == pytest.approx(float(exact), rel=1e-11)
    steps = 1e-5 * np.eye(density.size)
    slope = np.array([(density(x + h)[0] - density(x - h)[0]) / 2e-5 for h in steps])
    assert gradient == pytest.approx(slope, rel=1e-6, abs=2e-8 * np.abs(slope).max())
    assert density.known(chosen.kept) == [name for name in chosen.kept if name in model.named_vars]
    for name, dims in density.dims.items():
        assert dims == tuple(model.named_vars_to_dims.get(name, ())), name


@pytest.mark.parametrize("case", ["fading", "joint"])
def test_what_is_computed_from_the_parameters_is_what_pymc_computes(case):
    """Effects on injuries, half-lives, correlations of divisions whose sd is below zero or above."""
    density, model, _ = officers(case)
    x = np.random.default_rng(6).normal(0, 0.4, density.size)
    at = density.layout.start["cluster_sd"]
    x[at : at + 3] = [-0.3, 0.2, 0.4]
    if case == "joint":
        x[density.layout.start["partial"] :][:3] = [1.0, 0.6, 0.8]
    known, named = density.variables(x), {one.name: one for one in model.deterministics}
    assert {"fading": {"half_life"}, "joint": {"effect", "cluster_correlation"}}[case] <= set(named)
    formulas = model.replace_rvs_by_values(list(named.values()))
    found = model.compile_fn(formulas, inputs=model.value_vars, on_unused_input="ignore", mode="FAST_COMPILE")
    for name, value in zip(named, found(point_in_pymc(density, model, x)), strict=True):
        if name in known:
            assert known[name] == pytest.approx(value, rel=1e-10), name
    if case == "joint":
        assert known["effect_given"] == pytest.approx(known["effect"][1:] - known["effect"][0])
        assert len(set(np.sign(known["cluster_correlation"]))) == 2, "signs are tried"


def test_far_out_the_density_is_no_number_but_no_error():
    for case in ("joint", "fading", "surplus zeros"):
        density, _, _ = officers(case)
        with np.errstate(all="ignore"):
            for far in (-1e4, 1e4):
                assert not np.isfinite(density(np.full(density.size, far))[0])


def test_a_point_that_may_not_be_written_to_is_taken():
    density, _, _ = officers("days")
    x = np.zeros(density.size)
    free = density(x)[0]
    x.setflags(write=False)
    assert density(x)[0] == free


def test_chains_start_within_one_of_the_middle_of_each_prior():
    density, _, _ = officers("days")
    kind, first, _ = density.layout.priors
    middle = np.where(kind == density_priors.NORMAL, first, np.log(2 / 2))  # the other is Gamma(2, 2)
    away = density.start(1) - middle
    assert np.abs(away).max() <= 1
    assert np.abs(away).std() > 0.2
    assert (density.start(1) == density.start(1)).all()
    assert (density.start(1) != density.start(2)).all()


def test_zero_and_missing_terms_are_constants_of_the_prior():
    kind = np.array([density_priors.HALF_NORMAL, density_priors.GAMMA, density_priors.BETA])
    middle = density_priors.middles(kind, np.array([0.0, 4.0, 1.0]), np.array([0.5, 40.0, 9.0]))
    assert middle == pytest.approx(np.log([0.5, 0.1, 1 / 9]))


@pytest.mark.parametrize("module", [density_counts, density_course, density_priors, density_terms])
def test_whatever_compiled_code_rests_on_stands_in_its_own_file(module):
    """Numba keeps the compiled code until the function's own file changes: a constant or a function of
    another file could change under it."""
    functions = [f for f in vars(module).values() if isinstance(f, Dispatcher)]
    assert functions
    assert all(inspect.getmodule(f.py_func) is module for f in functions), "imported compiled code"
    source = inspect.getsource(module)
    for function in functions:
        for name in function.py_func.__code__.co_names:
            found = vars(module).get(name)
            if isinstance(found, (int, float)):
                imported = [line for line in source.splitlines() if "import" in line and name in line]
                assert not imported, f"{name} in {function.py_func.__name__}"


def test_evaluations_are_kept_by_the_text_of_every_file_whose_functions_they_call(monkeypatch, tmp_path):
    """They call functions of other files, whose dates Numba does not look at."""
    called = {
        inspect.getfile(f.py_func) for f in vars(density_evaluation).values() if isinstance(f, Dispatcher)
    }
    folder = Path(density_evaluation.__file__).parent
    for file in [*folder.glob("density_*.py"), folder / "machine_code.py"]:
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(density_evaluation, "__file__", str(tmp_path / "density_evaluation.py"))
    before = density_evaluation._stamp()
    for file in called:
        copy = tmp_path / Path(file).name
        copy.write_text(copy.read_text() + "# another text\n")
        after = density_evaluation._stamp()
        assert after != before
        before = after


def test_memory_of_another_type_is_not_read_as_numbers():
    whole = np.arange(3)
    with pytest.raises(TypeError, match="cannot be read as"):
        Memory((whole,), Tuple([array(float64, 1)]))
    assert Memory((whole.astype(float),), Tuple([array(float64, 1)])).address > 0


def test_where_memory_runs_out_nothing_is_left_that_looks_like_a_number(monkeypatch):
    """Compiled code cannot raise: it tells Python's hook, and gives 0 as where all went well."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: told.append(raised.exc_type))
    layout = officers("plain Poisson")[0].layout
    endless, size = layout.terms._replace(coefficients=2**45), len(layout.priors[0])
    parts = (0.0, layout.priors, endless, layout.course, counts_of(layout.inputs, layout.start))
    memory = Memory(parts, density_evaluation.OF_OFFICERS)
    selected = Memory((layout.priors, endless, np.arange(size)), density_evaluation.SELECTED)
    point, gradient, found, draw = np.zeros((4, size))
    at = [numbers.ctypes.data_as(NUMBERS) for numbers in (point, gradient, found, draw)]
    density_evaluation.evaluation(Kind()).ctypes(size, *at[:3], memory.address)
    density_evaluation.selection().ctypes(size, size, at[0], at[3], selected.address)
    assert told == [MemoryError, MemoryError]
    assert np.isnan(found[0])
    assert np.isnan(draw).all()


def test_draws_are_the_same_whether_chains_run_side_by_side_or_not(monkeypatch):
    density, _, chosen = officers("plain Poisson")
    sample, found = nutpie.sample, []
    for cores in (1, 3):
        monkeypatch.setattr(nutpie, "sample", partial(sample, cores=cores))
        found.append(draw(density, density.known(chosen.kept), Settings(30, 30, 3, 1, progress=False), 0.9))
    assert found[0]["posterior"].identical(found[1]["posterior"])


def test_what_cannot_be_kept_on_the_disk_is_compiled_all_the_same():
    """A function without a file has no place to be kept, as one whose folders may not be written to."""
    made = {}
    exec("def twice(x): return 2 * x\ndef one_more(x): return twice(x) + 1", made)
    made["twice"] = compiled(made["twice"])
    assert c_function(float64(float64), made["one_more"]).ctypes(1.0) == 3.0


def test_nutpie_calls_machine_code_as_it_did():
    """Other arguments would be read as what they are not. Of its own functions nutpie gives these types."""
    nothing = make_user_data({}, {})
    density, selecting = density_evaluation.evaluation(Kind()), density_evaluation.selection()
    assert density._sig == _make_c_logp_func(1, None, nothing, [], {})[1]
    assert selecting._sig == _make_c_expand_func(1, 1, None, nothing, [], {})[1]


def test_priors_without_density_where_chains_start_are_refused_in_words():
    with pytest.raises(rct.EstimationError, match="no density around the middle of its priors.*log rate"):
        rct.bayesian.fit(panel_of(), "force", priors={"intercept": {"normal": [900, 1]}}, seed=1)


@pytest.mark.parametrize("progress", [False, True])
def test_the_words_of_waiting_do_not_write_over_the_samplers_own_display(monkeypatch, progress):
    density, _, chosen = officers("plain Poisson")
    shown = []

    def waiting(words):
        shown.append(words)
        return nullcontext()

    monkeypatch.setattr(sampling, "waiting", waiting)
    draw(density, density.known(chosen.kept), Settings(10, 10, 2, 1, progress=progress), 0.9)
    assert shown == ([] if progress else ["drawing"])


def test_an_interrupt_ends_the_draws_and_leaves_none(monkeypatch):
    """Nutpie would hand out those drawn so far, as if they were all, or a second run would begin."""
    density, _, chosen = officers("plain Poisson")
    begun = []

    def interrupted(sampler):
        begun.append(sampler)
        raise KeyboardInterrupt

    monkeypatch.setattr(_BackgroundSampler, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw(density, density.known(chosen.kept), Settings(10**6, 30, 2, 1, progress=False), 0.9)
    assert begun[0].is_finished


def test_the_pymc_model_is_given_to_read():
    model = rct.bayesian.pymc_model(panel_of(), ["force"], priors={"effect": {"normal": [-0.1, 0.2]}})
    assert {"effect", "period", "heterogeneity"} <= set(model.named_vars)
    with pytest.raises(rct.EstimationError, match="'agencies' is not one of officers"):
        rct.bayesian.pymc_model(panel_of(), ["force"], model="agencies")
