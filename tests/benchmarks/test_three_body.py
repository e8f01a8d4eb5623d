"""What the benchmark takes out of the equations of the largest term is what the smaller ones are."""

import numpy as np
import pytest

from benchmarks.three_body import MOST_ANGULAR, MOST_RADIAL, restricted
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PairData, PairSpline, ThreeBodyConfig
from openmm_cgml.potentials.force_matching import NormalEquations
from tests.fixtures import benzene_box


@pytest.mark.parametrize("size", [None, (1, 1), (2, 0)])
def test_restricted_equations_are_those_of_a_smaller_term(size):
    topology, positions, box = benzene_box(1, 64, density=0.84)
    forces = np.random.default_rng(0).normal(size=(1, *positions.shape))
    frames = Frames(positions=positions[None], box=box[None], forces=forces)
    kind = topology.type_names[0]
    blank = {(kind, kind): {"start": 0.3, "spacing": 0.1, "cutoff": 0.9, "coefficients": (0.0,) * 6}}

    def equations(config):
        return NormalEquations(
            PairSpline,
            blank,
            PairData(topology=topology, frames=frames, kt=2.5, exclude_bonds=2, three_body=config),
        )

    config = None if size is None else ThreeBodyConfig(cutoff=0.7, n_max=size[0], l_max=size[1])
    largest = equations(ThreeBodyConfig(cutoff=0.7, n_max=MOST_RADIAL, l_max=MOST_ANGULAR))
    found, wanted = restricted(largest, config, topology), equations(config)
    for name in ("matrix", "vector", "virial"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-9 * abs(wanted.matrix).max())
    assert found.matrix.shape < largest.matrix.shape
