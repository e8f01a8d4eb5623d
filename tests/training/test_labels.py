import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import wrap
from openmm_cgml.priors import PriorConfig, fit_priors
from openmm_cgml.training.labels import energy_offset, label, without_offset
from tests.training.dimers import EDGE, PRIORS, dimer_frames, dimer_topology


@pytest.fixture
def priors():
    return fit_priors(PriorConfig(**PRIORS), dimer_topology(), dimer_frames(2), 300.0)


def test_labels_and_priors_add_up_to_the_mapped_forces(make_dataset, priors):
    dataset = make_dataset()
    part = label(dataset, priors, split=True)
    np.testing.assert_allclose(part.reference_forces, dataset.frames().forces, atol=0.02)
    np.testing.assert_allclose(part.prior_forces, priors.forces(dataset.topology, dataset.frames()), atol=0.02)
    assert np.abs(part.prior_forces).max() > 50


def test_inter_and_intramolecular_labels_add_up_and_bonds_touch_only_the_second(make_dataset, priors):
    dataset = make_dataset()
    part, frames = label(dataset, priors, split=True), dataset.frames()
    inter_prior = frames.forces_inter - part.forces_inter
    np.testing.assert_allclose(inter_prior, priors.forces(dataset.topology, frames, part="inter"), atol=0.02)
    intra = frames.forces - frames.forces_inter - (part.forces - part.forces_inter)
    per_molecule = intra.reshape(len(part), -1, 2, 3).sum(axis=2)
    np.testing.assert_allclose(per_molecule, 0, atol=0.05)  # a bond's two forces cancel within its molecule
    assert np.abs(intra).max() > 10


@pytest.mark.parametrize(("components", "prior_part"), [(("inter",), "inter"), (("inter", "bonded"), "all")])
def test_energies_lack_the_priors_that_belong_to_their_component(make_dataset, priors, components, prior_part):
    dataset = make_dataset()
    part, frames = label(dataset, priors, split=False, energy_components=components, dtype=np.float64), dataset.frames()
    expected = sum(frames.energies[c] for c in components) - priors.energies(dataset.topology, frames, part=prior_part)
    np.testing.assert_allclose(part.energies, expected, rtol=1e-6)


def test_offset_makes_the_mean_energy_zero_and_is_per_bead_type(make_dataset, priors):
    small, large = make_dataset("a"), make_dataset("b", n_molecules=20, seed=1)
    parts = [label(d, priors, split=False, energy_components=("inter",), dtype=np.float64) for d in (small, large)]
    offset = energy_offset(parts)
    assert offset.shape == (2,)
    # Composition A:B is 1:1 in both, so only the sum of the two is determined, and the least-norm solution is even.
    assert offset[0] == pytest.approx(offset[1])
    one = without_offset(parts[0], energy_offset(parts[:1]))
    assert one.energies.mean() == pytest.approx(0, abs=1e-8)
    assert one.energies.std() == pytest.approx(parts[0].energies.std())


def test_missing_intermolecular_forces_are_named(make_dataset, priors):
    with pytest.raises(InputError, match=r"no forces_inter.*target to total"):
        label(make_dataset(forces_inter=None), priors, split=True)


def test_a_missing_energy_is_named(make_dataset, priors):
    with pytest.raises(InputError, match=r"no energy 'inter' \(it has none\)"):
        label(make_dataset(energies={}), priors, split=False, energy_components=("inter",))


@settings(max_examples=30, deadline=None)
@given(st.integers(-1000, 1000))
def test_wrapping_moves_beads_by_whole_boxes_into_the_box(images):
    frames = dimer_frames(1)
    shifted = frames.positions + images * frames.box[:, None, 0]
    wrapped = wrap(shifted, frames.box)
    assert wrapped.min() >= -1e-12
    assert wrapped.max() <= EDGE + 1e-9
    turns = (shifted - wrapped) / EDGE
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)
