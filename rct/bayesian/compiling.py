"""One compilation for every fit of the same structure: arrays and priors are data of the compiled model."""

import warnings
from typing import Any

import numpy as np

from rct.bayesian.compilerless import import_pymc
from rct.bayesian.model_inputs import CountModel, Inputs, structure
from rct.bayesian.waiting import waiting

DATA = "data_"
_COMPILED: dict[tuple, Any] = {}


def compiled_model(name: str, model: CountModel, inputs: Inputs) -> tuple[Any, list[str]]:
    """Give the model as nutpie samples it, with these inputs as its data, and the variables it keeps.

    Compilations are kept for the life of the process; PyTensor keeps parts of them on disk besides.
    """
    key = structure(name, inputs)
    if key not in _COMPILED:
        import_pymc()
        with waiting("compiling"):
            _COMPILED[key] = _compile(pymc_model(model, inputs), model.kept)
    compiled, kept = _COMPILED[key]
    data = {name: inputs.tables[name.removeprefix(DATA)] for name in compiled.shared_data}
    return compiled.with_data(**data), kept


def pymc_model(model: CountModel, inputs: Inputs) -> Any:
    """Build the PyMC model; its dimensions are numbered, since their labels change from fit to fit."""
    pm = import_pymc()
    coords = {name: np.arange(len(labels)) for name, labels in inputs.coords.items()}
    with pm.Model(coords=coords) as built:
        shared = {name: pm.Data(DATA + name, values) for name, values in inputs.tables.items()}
        model.build(
            Inputs(inputs.priors, inputs.coords, shared, blocked_periods=inputs.blocked_periods)
        )
    return built


def _compile(built: Any, wanted: tuple[str, ...]) -> tuple[Any, list[str]]:
    import nutpie

    kept = [name for name in wanted if name in built.named_vars]
    with warnings.catch_warnings():
        # Advice on linking a faster BLAS into C code, which nutpie does not use.
        warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
        return nutpie.compile_pymc_model(built, var_names=kept), kept
