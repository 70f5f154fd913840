"""Sampling with nutpie, and the judgement whether the draws are to be believed."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.waiting import waiting
from rct.errors import ConvergenceError
from rct.quiet_arviz import import_arviz

if TYPE_CHECKING:
    import xarray as xr

# Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021 ("Rank-normalization, folding, and localization",
# section 4): R-hat below 1.01 and bulk and tail effective sample sizes of at least 100 for each of four
# chains. Divergences have no such figure: a handful in 1,000 draws is noise of the step size.
LARGEST_RHAT = 1.01
LARGEST_RHAT_OF_NUISANCE = 1.05
SMALLEST_ESS = 400
# Betancourt 2016 ("Diagnosing suboptimal cotangent disintegrations"); the limit is Stan's.
SMALLEST_ENERGY_FRACTION = 0.3
LARGEST_SHARE_DIVERGENT = 0.001
ACCEPTANCES = (0.9, 0.99)
STATISTICS = ("diverging", "energy", "logp", "depth", "n_steps", "step_size")


@dataclass(frozen=True)
class Settings:
    """Size of a run, its seed, and whether the sampler learns correlations."""

    draws: int
    tune: int
    chains: int
    seed: int
    progress: bool
    correlated: bool = False


def _in_short(failures: list[str]) -> str:
    """Name the first variable that misses each limit, and how many more do."""
    alike: dict[str, list[str]] = {}
    for failure in failures:
        alike.setdefault(failure.partition(" of ")[0], []).append(failure)
    return "; ".join(
        first + (f" (and of {len(others)} more)" if others else "") for first, *others in alike.values()
    )


class Sampled(Protocol):
    """A density as it is drawn from."""

    def for_nutpie(self, kept: list[str]) -> Any:
        """Give what nutpie samples."""

    def dataset(self, drawn: "xr.Dataset", kept: list[str]) -> "xr.Dataset":
        """Give the kept variables of what nutpie drew."""


def sample(
    density: Sampled, judged: list[str], kept: list[str], settings: Settings
) -> tuple[dict[str, "xr.Dataset"], dict]:
    """Draw from a density, once more with smaller steps where the draws are not to be believed.

    Parameters
    ----------
    density
        What is drawn from.
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
        groups = draw(density, kept, settings, acceptance)
        diagnostics = diagnose(groups["posterior"], groups["sample_stats"], judged)
        diagnostics |= {
            "target_accept": acceptance, "draws": int(settings.draws), "chains": int(settings.chains),
        }  # fmt: skip
        if diagnostics["ok"]:
            return groups, diagnostics | {"tune": int(settings.tune), "seed": int(settings.seed)}
    raise ConvergenceError(
        "the chains cannot be believed, after a second run with smaller steps too: "
        f"{_in_short(diagnostics['failures'])}. Ask for more draws and tuning (draws, tune), or leave out a "
        "term that these data cannot tell apart (cluster_period_sd = false)."
    )


def draw(density: Sampled, kept: list[str], settings: Settings, acceptance: float) -> dict[str, "xr.Dataset"]:
    """Draw once, judging nothing."""
    import_arviz()
    import nutpie

    model = density.for_nutpie(kept)
    with nullcontext() if settings.progress else waiting("drawing"):  # one display on the terminal
        sampler = nutpie.sample(
            model,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            seed=int(settings.seed),
            target_accept=acceptance,
            save_warmup=False,
            progress_bar=settings.progress,
            blocking=False,
            **(_learning_correlations() if settings.correlated else {}),
        )
        drawn = _finished(sampler)
    posterior, statistics = (_dataset(drawn[group]) for group in ("posterior", "sample_stats"))
    return {"posterior": density.dataset(posterior, kept), "sample_stats": statistics[list(STATISTICS)]}


def _finished(sampler: Any) -> Any:
    """Wait for all draws. Nutpie itself would take an interrupt for a wish to have those drawn so far."""
    try:
        return sampler.wait()
    except BaseException:
        sampler.cancel()
        raise


def _learning_correlations() -> dict[str, Any]:
    """Name nutpie's low-rank mass matrix in the words of the version at hand."""
    from inspect import signature

    import nutpie

    if "adaptation" in signature(nutpie.sample).parameters:
        return {"adaptation": "low_rank"}
    return {"low_rank_modified_mass_matrix": True}


def _dataset(group: Any) -> "xr.Dataset":
    """Give a group as a dataset; newer ArviZ holds nodes of a tree."""
    found = group.to_dataset() if hasattr(group, "to_dataset") else group
    # Attributes hold the time of day and versions; equal fits are to be equal.
    return found.drop_attrs()


@np.errstate(divide="ignore", invalid="ignore")  # of chains that stand still; what is no number fails
def diagnose(posterior: "xr.Dataset", statistics: "xr.Dataset", judged: list[str]) -> dict[str, Any]:
    """Compute rank-normalised R-hat, bulk and tail effective sample sizes and divergences.

    Returns
    -------
    dict
        ``ok``, ``failures`` (sentences), ``divergences``, ``ebfmi`` (the smallest of the chains), and by
        variable the largest ``rhat`` and the
        smallest ``ess_bulk`` and ``ess_tail``.
    """
    az = import_arviz()
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
        failures += [
            f"{label} effective sample size of {name} is {sizes[name]:.0f}, below {SMALLEST_ESS}"
            for name in judged
            if not sizes[name] >= SMALLEST_ESS
        ]
    if divergent.mean() > LARGEST_SHARE_DIVERGENT:
        failures.append(f"{int(divergent.sum())} of {divergent.size} draws diverged")
    fraction = energy_fraction(statistics["energy"].to_numpy())
    if not fraction >= SMALLEST_ENERGY_FRACTION:
        failures.append(
            f"E-BFMI is {fraction:.2f}, below {SMALLEST_ENERGY_FRACTION}: too short steps in energy"
        )
    return {
        "ok": not failures,
        "failures": failures,
        "divergences": int(divergent.sum()),
        "ebfmi": fraction,
        "rhat": rhat,
        "ess_bulk": bulk,
        "ess_tail": tail,
    }


def energy_fraction(energy: NDArray[np.float64]) -> float:
    """Give the smallest fraction of missing information about the energy, E-BFMI (Betancourt 2016).

    Parameters
    ----------
    energy
        Hamiltonian energy, (chains, draws).
    """
    change = (np.diff(energy, axis=1) ** 2).mean(axis=1)
    return float((change / energy.var(axis=1)).min())


def _by_variable(found: Any, extreme: str) -> dict[str, float]:
    """Give the worst value of each variable; NaN, as of a variable that never moved, is the worst of all."""
    table = _dataset(found)
    return {str(name): float(getattr(table[name], extreme)(skipna=False)) for name in table.data_vars}
