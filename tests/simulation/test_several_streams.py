"""Trials drawn side by side are the trials drawn one by one."""

import numpy as np

import rct
from rct.simulation import declared_truth
from rct.simulation.cluster_totals import draw_totals
from rct.simulation.several_streams import Streams


def test_streams_side_by_side_give_the_bits_of_each_alone():
    truth = declared_truth(rct.load("louisville_icat"))
    sizes = np.arange(60, 69)
    effects = np.log(np.random.default_rng(1).uniform(0.6, 1.0, size=(3, 5, 9, 24)))
    effects[1:] = effects[0]
    together = draw_totals(Streams([np.random.default_rng(r) for r in range(5)]), truth, sizes, effects)
    alone = [draw_totals(np.random.default_rng(r), truth, sizes, effects[:, r]) for r in range(5)]
    assert np.array_equal(together, np.stack(alone, axis=1))
