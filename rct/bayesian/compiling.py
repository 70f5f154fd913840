"""One compilation for every fit of the same structure: arrays and priors are data of the compiled model."""

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rct.bayesian.compilerless import import_pymc
from rct.bayesian.model_inputs import CountModel, Inputs, structure
from rct.bayesian.waiting import waiting

_COMPILED: dict[tuple, Any] = {}


def compiled_model(name: str, model: CountModel, inputs: Inputs) -> tuple[Any, list[str]]:
    """Give the model as nutpie samples it, with these inputs as its data, and the variables it keeps.

    Compilations are kept for the life of the process; PyTensor keeps parts of them on disk besides.
    """
    key = structure(name, inputs)
    if key not in _COMPILED:
        with waiting("compiling, once for all fits of this shape"):
            _COMPILED[key] = _compile(pymc_model(model, inputs), model.kept)
    compiled, kept = _COMPILED[key]
    return compiled.with_data(**flat_data(inputs)), kept


def pymc_model(model: CountModel, inputs: Inputs) -> Any:
    """Build the PyMC model; its dimensions are numbered, since their labels change from fit to fit."""
    pm = import_pymc()
    coords = {name: np.arange(len(labels)) for name, labels in inputs.coords.items()}
    # Without checks of the parameters of distributions, whose messages take longer to compile than the model:
    # what priors may be is checked before.
    with pm.Model(coords=coords, check_bounds=False) as built:
        # Of known lengths: what might have any length takes more code.
        shared = {
            name: pm.Data(name, values, shape=values.shape) for name, values in flat_data(inputs).items()
        }
        model.build(replace(inputs, tables=_cut(shared, inputs.tables)))
    return built


def flat_data(inputs: Inputs) -> dict[str, NDArray]:
    """Put all arrays end to end, floats and integers apart: each array of a model costs time to compile."""
    of_kind: dict[str, list[NDArray]] = {
        "data_floats": [np.zeros(0)],
        "data_integers": [np.zeros(0, np.int64)],
    }
    for values in inputs.tables.values():
        of_kind[_kind(values)].append(np.ravel(values))
    return {kind: np.concatenate(arrays) for kind, arrays in of_kind.items() if len(arrays) > 1}


def _kind(values: NDArray) -> str:
    return "data_integers" if values.dtype.kind in "iu" else "data_floats"


def _cut(shared: Mapping[str, Any], tables: Mapping[str, NDArray]) -> dict[str, Any]:
    """Give the arrays back, by name, as parts of the shared vectors."""
    begun = dict.fromkeys(shared, 0)
    cut = {}
    for name, values in tables.items():
        kind = _kind(values)
        start, begun[kind] = begun[kind], begun[kind] + values.size
        cut[name] = shared[kind][start : begun[kind]].reshape(values.shape)
    return cut


def _compile(built: Any, wanted: tuple[str, ...]) -> tuple[Any, list[str]]:
    import nutpie
    import pytensor

    kept = [name for name in wanted if name in built.named_vars]
    # Arithmetic as written, without the rearranged sums of PyTensor's fast mathematics: only so do equal
    # seeds give equal draws whether the machine code is new or an earlier process left it on the disk.
    # PyTensor keeps what is compiled with and without it apart.
    with (
        warnings.catch_warnings(),
        pytensor.config.change_flags(numba__fastmath=False),
        _wrappers_not_optimized(),
    ):
        # Advice on linking a faster BLAS into C code, which nutpie does not use.
        warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
        return nutpie.compile_pymc_model(built, var_names=kept), kept


@contextlib.contextmanager
def _wrappers_not_optimized() -> Iterator[None]:
    """Compile what nutpie puts around PyTensor's functions without optimisation, the rest as usual.

    Numba links the model's density, optimised already, into nutpie's C callback and optimises all of it
    again: a quarter of a compilation whose density is on the disk. All at level 0 is no gain: without
    inlining there is more code to write, and sampling takes several times longer. The level is a global of
    Numba, read when a function is finished. The callback is finished last; what it calls is compiled in
    between as functions of their own, which Numba's events mark, at the usual level, and only that goes to
    the disk. A NUMBA_OPT that somebody set holds for all; afterwards the level is as before.
    """
    from numba.core import config, event
    from numba.core.registry import cpu_target

    if "NUMBA_OPT" in os.environ:
        yield
        return
    # Made now, at the usual level: the code generator, which keeps its level, and the run-time library.
    cpu_target.target_context.refresh()
    config.reload_config()
    usual = config.OPT
    lowest = type(usual)(0)
    within = 0

    class Level(event.Listener):  # type: ignore[misc]
        def on_start(self, _: Any) -> None:
            nonlocal within
            within += 1
            config.OPT = usual

        def on_end(self, _: Any) -> None:
            nonlocal within
            within -= 1
            config.OPT = usual if within else lowest

    try:
        with event.install_listener("numba:compile", Level()):
            config.OPT = lowest
            yield
    finally:
        config.OPT = usual
