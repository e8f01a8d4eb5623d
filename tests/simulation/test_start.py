import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.simulation.stability import BondReferences, ContactReferences
from openmm_cgml.simulation.start import (
    bond_references,
    check_contacts,
    check_forces,
    check_native_cutoffs,
    check_shapes,
    check_time_step,
)
from openmm_cgml.wholeness import BondForest


def test_molecules_split_by_the_boundary_are_made_whole(dimers):
    split = dimers.positions.copy()
    split[1] += dimers.box[0] - dimers.box[2]
    positions, box = check_shapes(dimers.system, dimers.topology, split, np.diag(dimers.box))
    np.testing.assert_allclose(positions, dimers.positions, atol=1e-12)
    np.testing.assert_array_equal(box, dimers.box)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, b: (p[:-1], b), "topology has 64 beads"),
        (lambda p, b: (np.where(np.arange(64)[:, None] == 5, np.nan, p), b), "position of bead 5"),
        (lambda p, b: (p, None), "the System is periodic, but there is no box"),
        (lambda p, b: (p, -b), "box"),
    ],
)
def test_positions_and_boxes_that_do_not_fit_are_refused(liquid, change, message):
    positions, box = change(liquid.positions, liquid.box)
    with pytest.raises(InputError, match=message):
        check_shapes(liquid.system, liquid.topology, positions, box)


def test_a_box_below_twice_a_cutoff_is_refused_with_the_width_needed(liquid):
    check_native_cutoffs(liquid.system, liquid.box)
    with pytest.raises(InputError, match=r"cutoff of the repulsion is 0.9 nm.* 1.8 nm"):
        check_native_cutoffs(liquid.system, 0.8 * liquid.box)


def test_bonds_are_read_from_the_system(dimers, liquid):
    bonds = bond_references(dimers.system)
    np.testing.assert_array_equal(bonds.indices, dimers.topology.bonds)
    assert bonds.length[0] == 0.5
    assert bonds.stiffness[0] == 50000.0
    assert bond_references(liquid.system) is None


def test_a_time_step_is_compared_with_the_stiffest_bond():
    # Two beads of 78 Da at k = 50000 kJ/mol/nm^2: 2 pi sqrt(39/50000) = 175.5 fs.
    bonds = BondReferences(
        indices=np.array([[0, 1], [1, 2]]), length=np.array([0.5, 0.5]), stiffness=np.array([500.0, 50000.0])
    )
    masses = np.full(3, 78.0)
    assert check_time_step(0.0087, bonds, masses) is None
    assert "bond 1-2" in check_time_step(0.012, bonds, masses)
    with pytest.raises(
        InputError, match=r"a time step of 20 fs is too long .*bond 1-2.* 175.5 fs: use at most 8.77 fs"
    ):
        check_time_step(0.020, bonds, masses)


def test_overlapping_beads_are_named(liquid):
    positions = liquid.positions.copy()
    positions[7] = positions[3] + [0.01, 0, 0]
    forces = np.zeros((64, 3))
    check_forces(positions, forces, liquid.box, liquid.topology.masses, 300.0, 0.005)
    forces[7, 0] = 1e6
    with pytest.raises(InputError, match=r"bead 7 is 0.01 nm from bead 3.*minimize first"):
        check_forces(positions, forces, liquid.box, liquid.topology.masses, 300.0, 0.005)
    forces[7, 0] = np.nan
    with pytest.raises(InputError, match=r"force on bead 7"):
        check_forces(positions, forces, liquid.box, liquid.topology.masses, 300.0, 0.005)


def test_starting_contacts_are_compared_with_the_training_data(liquid):
    def contacts(closest):
        return ContactReferences(
            bead_types=liquid.topology.bead_types,
            forest=BondForest.from_topology(liquid.topology),
            closest=np.array([[closest]]),
        )

    assert check_contacts(contacts(0.49), liquid.positions, liquid.box) is None
    assert "0.83 of the closest approach" in check_contacts(contacts(0.6), liquid.positions, liquid.box)
    with pytest.raises(InputError, match=r"minimize first"):
        check_contacts(contacts(0.8), liquid.positions, liquid.box)
