import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference import ReferenceConfig
from openmm_cgml.reference.plan import make_plan
from tests.reference import chains, liquids


def plan(specification=None, **settings):
    settings = {"frame_interval": 0.02, **settings}
    return make_plan(specification or chains.specification(), ReferenceConfig(**settings))


def test_chains_of_the_specification_are_the_default():
    box = plan().box
    assert (box.n_molecules, box.monomers) == (10, 50)
    box = plan(molecules=3, monomers=7).box
    assert (box.n_molecules, box.monomers) == (3, 7)


def test_stages_come_in_order():
    names = plan().stages
    assert names == ("build", "equilibration-warm", "equilibration-cool", "density", "relaxation", "recording")


def test_chain_that_links_other_atoms_is_refused():
    specification = chains.specification()
    chain = specification.chains[0].model_copy(update={"links": (("C1", "C1"),)})
    with pytest.raises(InputError, match=r"links \[\('C1', 'C1'\)\].*\('C2', 'C1'\)"):
        plan(specification.model_copy(update={"chains": (chain,)}))


def test_residue_of_a_chain_with_other_atoms_is_refused():
    specification = chains.specification()
    first, *rest = specification.residues
    first = first.model_copy(update={"atoms": first.atoms[::-1]})
    with pytest.raises(InputError, match=r"does not list the atoms of 'polyethylene'.*C1 H11"):
        plan(specification.model_copy(update={"residues": (first, *rest)}))


def test_monomers_of_a_liquid_are_refused():
    with pytest.raises(InputError, match=r"monomers is 5, but 'benzene-1bead' has no chains"):
        make_plan(liquids.specification(), ReferenceConfig(monomers=5))


def test_frame_interval_between_two_steps_is_refused():
    with pytest.raises(InputError, match=r"0\.003 ps is not a multiple of the time step 0\.002 ps"):
        plan(frame_interval=0.003)
