from dataclasses import replace

import pytest

from openmm_cgml.builder.composition import ChainCount, chain_molecules, check_type_pairs, small_molecules
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import TrainingSummary
from openmm_cgml.topology import CGTopology
from tests.fixtures import BENZENE_1, tiny_chain_force_field, tiny_force_field


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        ("100", ChainCount(count=100, monomers=7)),
        ("50x100", ChainCount(count=50, monomers=100)),
        ("polyethylene=50x100", ChainCount(count=50, monomers=100, name="polyethylene")),
        ("polyethylene=50", ChainCount(count=50, monomers=7, name="polyethylene")),
        ("2xPEH,PEM*3,PET", ChainCount(count=2, residues=("PEH", "PEM", "PEM", "PEM", "PET"))),
    ],
)
def test_chains_are_written_as_numbers_names_or_residues(text, chain):
    assert ChainCount.parse(text, monomers=7) == chain


@pytest.mark.parametrize("text", ["", "many", "5y100", "-3x5", "a=2xPEH,PET", "2xPEH,PEM*x", "x100"])
def test_other_texts_are_refused_with_what_is_meant(text):
    with pytest.raises(InputError, match='"100x50"'):
        ChainCount.parse(text)


def test_the_length_is_that_of_the_training_data_unless_given():
    force_field = tiny_chain_force_field(network=False)
    (given, _), (default, count) = chain_molecules(force_field, [(3, 20), ChainCount(count=4)])
    assert (len(given.residues), len(default.residues), count) == (20, 50, 4)


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ((0, 50), "number of chains is 0"),
        ((5, 1), "chain of 1 monomers"),
        ((10**6, 50), "at most"),
        (ChainCount(count=5, name="nylon"), "no chain 'nylon'; it has: polyethylene"),
        (ChainCount(count=5, residues=("PEH", "NYL", "PET")), "unknown residue 'NYL'"),
        (ChainCount(count=5, residues=("PEM", "PET")), "'PEM'. is bonded to 0"),
    ],
)
def test_chains_that_a_force_field_does_not_know_are_refused(chain, message):
    with pytest.raises(InputError, match=message):
        chain_molecules(tiny_chain_force_field(network=False), [chain])


def test_residues_of_chains_are_not_molecules():
    force_field = tiny_chain_force_field(network=False)
    with pytest.raises(InputError, match="'PEM': it is part of chains"):
        small_molecules(force_field, {"PEM": 5})
    with pytest.raises(InputError, match="knows chains only"):
        small_molecules(force_field, 5)
    with pytest.raises(InputError, match="has these chains: none"):
        chain_molecules(tiny_force_field(1), [(5, 5)])


def test_types_that_were_never_near_each_other_are_refused_by_name():
    force_field = tiny_chain_force_field(network=False)
    training = TrainingSummary(temperature=300.0, closest_approach={"CH2-CH2": 0.3, "B-B": 0.4})
    strangers = replace(
        force_field,
        templates=(*force_field.templates, BENZENE_1),
        type_names=("CH3", "CH2", "B"),
        manifest=force_field.manifest.model_copy(update={"training": training}),
    )
    molecules = chain_molecules(strangers, [(1, 3)])
    check_type_pairs(strangers, CGTopology.from_molecules(molecules, strangers.type_names))
    both = CGTopology.from_molecules([*molecules, *small_molecules(strangers, 2)], strangers.type_names)
    with pytest.raises(InputError, match="not trained on beads of types B-CH2, B-CH3 near each other"):
        check_type_pairs(strangers, both)
    met = training.model_copy(update={"closest_approach": {**training.closest_approach, "CH2-B": 0.4, "B-CH3": 0.4}})
    known = replace(strangers, manifest=strangers.manifest.model_copy(update={"training": met}))
    check_type_pairs(known, both)
