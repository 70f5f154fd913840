"""Sampling with nutpie, and the judgement whether the draws are to be believed."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rct.bayesian.compilerless import import_pymc
from rct.errors import ConvergenceError

if TYPE_CHECKING:
    import xarray as xr

# Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021 ("Rank-normalization, folding, and localization",
# section 4): R-hat below 1.01 and bulk and tail effective sample sizes of at least 100 for each of four
# chains. Divergences have no such figure: a handful in 1,000 draws is noise of the step size.
LARGEST_RHAT = 1.01
LARGEST_RHAT_OF_NUISANCE = 1.05
SMALLEST_ESS = 400
LARGEST_SHARE_DIVERGENT = 0.001
ACCEPTANCES = (0.9, 0.99)
STATISTICS = ("diverging", "energy", "logp", "depth", "n_steps", "step_size")


@dataclass(frozen=True)
class Settings:
    """Size of a run and its seed."""

    draws: int
    tune: int
    chains: int
    seed: int
    progress: bool


def sample(
    model: Any, judged: list[str], kept: list[str], settings: Settings
) -> tuple[dict[str, "xr.Dataset"], dict]:
    """Draw from a model, once more with smaller steps where the draws are not to be believed.

    Parameters
    ----------
    model : pymc.Model
    judged
        Variables whose draws are reported: all limits hold for them.
    kept
        Variables that stay in the result, the judged ones among them.

    Returns
    -------
    groups, diagnostics
        Datasets by ArviZ group, and what was found.

    Raises
    ------
    ConvergenceError
        When the second run fails too; the message says which limit was missed.
    """
    for acceptance in ACCEPTANCES:
        groups = _draw(model, kept, settings, acceptance)
        diagnostics = diagnose(groups["posterior"], groups["sample_stats"], judged)
        diagnostics |= {"target_accept": acceptance, "draws": settings.draws, "chains": settings.chains}
        if diagnostics["ok"]:
            return groups, diagnostics | {"tune": settings.tune, "seed": settings.seed}
    raise ConvergenceError(
        "the chains cannot be believed, after a second run with smaller steps too: "
        f"{'; '.join(diagnostics['failures'])}. Ask for more draws and tuning (draws, tune), or leave out a "
        "term that these data cannot tell apart (cluster_period_sd = false)."
    )


def _draw(model: Any, kept: list[str], settings: Settings, acceptance: float) -> dict[str, "xr.Dataset"]:
    pm = import_pymc()
    with model, warnings.catch_warnings():
        # Advice on linking a faster BLAS into C code, which nutpie does not use.
        warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
        drawn = pm.sample(
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            random_seed=settings.seed,
            target_accept=acceptance,
            nuts_sampler="nutpie",
            var_names=kept,
            progressbar=settings.progress,
            quiet=not settings.progress,
            compute_convergence_checks=False,
        )
    posterior, statistics = (_dataset(drawn[group]) for group in ("posterior", "sample_stats"))
    return {"posterior": posterior[kept], "sample_stats": statistics[list(STATISTICS)]}


def _dataset(group: Any) -> "xr.Dataset":
    """Give a group as a dataset; newer ArviZ holds nodes of a tree."""
    found = group.to_dataset() if hasattr(group, "to_dataset") else group
    # Attributes hold the time of day and versions; equal fits are to be equal.
    return found.drop_attrs()


def diagnose(posterior: "xr.Dataset", statistics: "xr.Dataset", judged: list[str]) -> dict[str, Any]:
    """Compute rank-normalised R-hat, bulk and tail effective sample sizes and divergences.

    Returns
    -------
    dict
        ``ok``, ``failures`` (sentences), ``divergences``, and by variable the largest ``rhat`` and the
        smallest ``ess_bulk`` and ``ess_tail``.
    """
    import arviz as az

    rhat = _by_variable(az.rhat(posterior), "max")
    bulk = _by_variable(az.ess(posterior, method="bulk"), "min")
    tail = _by_variable(az.ess(posterior, method="tail"), "min")
    divergent = statistics["diverging"].to_numpy()
    failures = []
    for name, value in rhat.items():
        limit = LARGEST_RHAT if name in judged else LARGEST_RHAT_OF_NUISANCE
        if not value < limit:
            failures.append(f"R-hat of {name} is {value:.3f}, not below {limit}")
    for label, sizes in (("bulk", bulk), ("tail", tail)):
        if not sizes["effect"] >= SMALLEST_ESS:
            failures.append(
                f"{label} effective sample size of effect is {sizes['effect']:.0f}, below {SMALLEST_ESS}"
            )
    if divergent.mean() > LARGEST_SHARE_DIVERGENT:
        failures.append(f"{int(divergent.sum())} of {divergent.size} draws diverged")
    return {
        "ok": not failures,
        "failures": failures,
        "divergences": int(divergent.sum()),
        "rhat": rhat,
        "ess_bulk": bulk,
        "ess_tail": tail,
    }


def _by_variable(found: Any, extreme: str) -> dict[str, float]:
    """Give the worst value of each variable; NaN, as of a variable that never moved, is the worst of all."""
    table = _dataset(found)
    return {str(name): float(getattr(table[name], extreme)(skipna=False)) for name in table.data_vars}
