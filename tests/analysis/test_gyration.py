import numpy as np
import pytest

from openmm_cgml.analysis.gyration import compute_squared_gyration
from openmm_cgml.errors import InputError


def test_radii_of_gyration_equal_mdanalysis():
    MDAnalysis = pytest.importorskip("MDAnalysis")
    rng = np.random.default_rng(0)
    positions, masses = rng.normal(size=(5, 30, 3)), rng.uniform(1, 50, 30)
    molecules = np.repeat([0, 1, 2], [5, 15, 10])
    universe = MDAnalysis.Universe.empty(30, trajectory=True)
    universe.add_TopologyAttr("masses", masses)
    universe.load_new(positions.astype(np.float32))
    groups = [universe.atoms[molecules == m] for m in range(3)]
    theirs = [[group.radius_of_gyration() for group in groups] for _ in universe.trajectory]
    np.testing.assert_allclose(compute_squared_gyration(positions, masses, molecules), np.square(theirs), rtol=1e-5)


def test_radii_of_gyration_equal_mdtraj():  # which takes the distances from the geometric center, so for equal masses
    mdtraj = pytest.importorskip("mdtraj")
    rng = np.random.default_rng(1)
    positions, masses = rng.normal(size=(4, 20, 3)), np.full(20, 14.0)
    theirs = mdtraj.compute_rg(mdtraj.Trajectory(positions, None), masses=masses)
    ours = compute_squared_gyration(positions.astype(np.float32), masses, np.zeros(20, int))
    np.testing.assert_allclose(ours[:, 0], theirs**2, rtol=1e-5)


def test_masses_must_be_positive():
    with pytest.raises(InputError, match="bead 1 has mass 0"):
        compute_squared_gyration(np.zeros((1, 2, 3)), np.array([1.0, 0.0]), np.zeros(2, int))
