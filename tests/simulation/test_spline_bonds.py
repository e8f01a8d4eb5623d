"""Chains whose bonds have two minima, far apart, and whose angles and torsions are splines: built, saved and simulated."""

import math
from dataclasses import replace

import numpy as np
import openmm
import pytest

from openmm_cgml.builder import build_box
from openmm_cgml.force_field import ForceField
from openmm_cgml.periodic import bond_lengths
from openmm_cgml.potentials import SplineAngle, SplineBond, SplineTorsion
from openmm_cgml.potentials.spline_series import SplineBasis
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.simulation import SimulationConfig, simulate
from openmm_cgml.simulation.force_field_run import _bonds
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import tiny_chain_force_field

KT = BOLTZMANN * 300
NEAR, FAR = 0.166, 0.23


def two_wells(r):
    return -KT * np.log(np.exp(-(((r - NEAR) / 0.009) ** 2) / 2) + np.exp(-(((r - FAR) / 0.009) ** 2) / 2) + 0.02)


def fitted(form, energy, low, high, wall, n):
    basis = SplineBasis.over(0.0, low, high, wall, form.limits, n)
    x = np.linspace(low, high, 400)
    return form.from_coefficients(np.linalg.lstsq(basis.functions(x), energy(x), rcond=None)[0], basis)


@pytest.fixture(scope="module")
def chain_force_field():
    plain = tiny_chain_force_field(network=False)
    bond = fitted(SplineBond, two_wells, 0.14, 0.256, KT / 0.009**2, 24)
    angle = fitted(SplineAngle, lambda x: 60 * (x - 1.9) ** 2, 1.4, 2.4, 120.0, 12)
    torsion = fitted(SplineTorsion, lambda x: 3 * np.cos(x) + 2 * np.cos(3 * x), 0.0, math.pi, 0.0, 12)
    others = [term for term in plain.priors.terms if not term.form.endswith("_bond")]
    ends = ("CH2", "CH3")
    bonded = [PriorTerm(form="spline_bond", types=("CH2", end), parameters=bond) for end in ends]
    bonded += [PriorTerm(form="spline_angle", types=("CH2", "CH2", end), parameters=angle) for end in ends]
    bonded += [PriorTerm(form="spline_torsion", types=("CH2", "CH2", "CH2", end), parameters=torsion) for end in ends]
    return replace(plain, priors=PriorSet(terms=(*others, *bonded), exclude_bonds=3))


@pytest.fixture(scope="module")
def box_of_chains(chain_force_field):
    return build_box(chain_force_field, chains=[(10, 10)], density="0.6 g/cm^3")


def test_splines_are_saved_and_loaded(chain_force_field, tmp_path):
    path = chain_force_field.save(tmp_path / "model")
    assert ForceField.load(path).priors.terms == chain_force_field.priors.terms


def test_its_system_has_one_force_for_each_kind_of_coordinate(chain_force_field, box_of_chains):
    topology, _, box = box_of_chains
    system = chain_force_field.create_system(topology, box=box)
    kinds = [openmm.CustomBondForce, openmm.CustomAngleForce, openmm.CustomTorsionForce]
    assert [sum(isinstance(force, kind) for force in system.getForces()) for kind in kinds] == [1, 1, 1]


@pytest.mark.physics
def test_bonds_cross_between_their_minima_and_none_has_left(chain_force_field, box_of_chains, tmp_path):
    topology, positions, box = box_of_chains
    config = SimulationConfig(temperature=300.0, duration=5.0, time_step=0.002, frame_interval=0.1, friction=2.0)
    run = tmp_path / "run"
    result = simulate(chain_force_field, topology, positions, box, output=run, config=config, progress=False)
    assert result.status == "complete"
    assert result.largest_bond_deviation < 0.32
    frames = RunFolder(run).open_frames().read()
    lengths = bond_lengths(frames.positions, frames.box, topology.bonds)
    shares = [float((np.abs(lengths - center) < 0.02).mean()) for center in (NEAR, FAR)]
    assert min(shares) > 0.2
    # The control: from one minimum the other is as far as a bond may not go.
    bonds = _bonds(chain_force_field, topology, KT)
    assert np.abs(lengths - bonds.length).max() / bonds.length.min() > 0.25
    np.testing.assert_allclose(bonds.shortest, 0.14)  # where the spline begins and ends
    np.testing.assert_allclose(bonds.longest, 0.256)
