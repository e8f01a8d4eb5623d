import dataclasses

import numpy as np
import pytest
import torch

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.priors import PriorSet
from openmm_cgml.topology import CGTopology
from tests.fixtures import BENZENE_1, tiny_force_field


def _with_contact(force_field, distance):
    training = force_field.manifest.training.model_copy(update={"closest_approach": {"B-B": distance}})
    return dataclasses.replace(force_field, manifest=force_field.manifest.model_copy(update={"training": training}))


def test_the_energy_of_a_pair_is_that_of_two_beads_in_an_open_system():
    force_field = tiny_force_field(1)
    distances = np.array([0.35, 0.5, 0.65, 5.0])
    pair = CGTopology.from_residues([(BENZENE_1, 2)], type_names=force_field.type_names)
    deployed = force_field.deploy(pair)
    positions = np.zeros((4, 2, 3))
    positions[:, 1, 0] = distances
    with torch.enable_grad():
        network = np.array([float(deployed(torch.tensor(x))[0]) for x in positions])
    total = network + force_field.priors.energies(pair, Frames(positions=positions))
    np.testing.assert_allclose(force_field.pair_energy("B", "B", distances), total - total[-1], atol=1e-4)


def test_a_wall_is_seen_and_so_is_a_hole():
    walled = _with_contact(tiny_force_field(1), 0.35)
    assert [scan.hole for scan in walled.scan_short_range()] == [None]
    bare = dataclasses.replace(walled, priors=PriorSet(terms=()))
    assert not bare.scan_short_range()[0].is_monotonic
    assert tiny_force_field(1).scan_short_range() == ()


def test_a_model_with_a_hole_is_not_exported(tmp_path):
    from openmm_cgml.cli.export import export

    holed = dataclasses.replace(_with_contact(tiny_force_field(1), 0.35), priors=PriorSet(terms=()))
    holed.save(tmp_path / "holed")
    with pytest.raises(ArtifactError, match="B-B inside"):
        export(str(tmp_path / "holed"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_bead_types_are_named():
    with pytest.raises(InputError, match="'X' is unknown; known are B"):
        tiny_force_field(1).pair_energy("B", "X", np.array([0.5]))
