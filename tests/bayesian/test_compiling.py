"""The level at which Numba optimises: lowered for the outermost function alone, and put back."""

import pytest

from rct.bayesian.compiling import _wrappers_not_optimized


@pytest.fixture
def levels(monkeypatch):
    """Compile a callback that calls a function; give Numba's level at either's end, by name."""
    import numba
    from numba.core import config
    from numba.core.codegen import CPUCodeLibrary

    found = {}
    finished = CPUCodeLibrary._optimize_final_module

    def note(library):
        found[library.name.rsplit(".", 1)[-1]] = int(config.OPT)
        finished(library)

    monkeypatch.setattr(CPUCodeLibrary, "_optimize_final_module", note)

    def compile_both():
        inner = numba.njit(lambda x: x + 1.0)
        inner.py_func.__qualname__ = "inner"

        def outer(x):
            return inner(x)

        found.clear()
        numba.cfunc("f8(f8)")(outer)
        return dict(found)

    return compile_both


def test_the_callback_alone_is_not_optimized(levels, monkeypatch):
    from numba.core import config

    monkeypatch.delenv("NUMBA_OPT", raising=False)
    before = int(config.OPT)
    with _wrappers_not_optimized():
        inside = levels()
    assert (inside["inner"], inside["outer"]) == (before, 0)
    assert int(config.OPT) == before
    assert levels()["outer"] == before


def test_a_level_that_was_asked_for_is_kept(levels, monkeypatch):
    from numba.core import config

    monkeypatch.setenv("NUMBA_OPT", str(int(config.OPT)))
    with _wrappers_not_optimized():
        assert levels()["outer"] == int(config.OPT)


def test_the_level_is_put_back_after_an_error(monkeypatch):
    from numba.core import config

    monkeypatch.delenv("NUMBA_OPT", raising=False)
    before = int(config.OPT)
    with pytest.raises(ValueError, match="broken"), _wrappers_not_optimized():
        raise ValueError("broken")
    assert int(config.OPT) == before
