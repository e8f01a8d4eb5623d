import dataclasses

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.frames import Frames
from openmm_cgml.refinement import NetworkRefinementConfig, refine
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.network import NetworkTarget
from openmm_cgml.topology import CGTopology
from tests.fixtures import BENZENE_1, benzene_box, tiny_force_field

SHORT = {"rounds": 2, "duration": 0.4, "equilibration": 0.1, "first_equilibration": 0.0, "frame_interval": 0.1}


def _dataset(folder, n_frames=24, *, network, seed=0):
    """Frames of a short run with priors alone or with the random network: the ensemble to be learned."""
    force_field = tiny_force_field(1, network=network)
    topology, positions, box = benzene_box(1, 64, density=0.6)
    system = force_field.create_system(topology, box=box, ml_backend="PythonForce")
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.004)
    integrator.setRandomNumberSeed(seed + 1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=50)
    context.setVelocitiesToTemperature(300.0, 1)
    integrator.step(200)
    frames = []
    for _ in range(n_frames):
        integrator.step(25)
        frames.append(context.getState(positions=True).getPositions(asNumpy=True)._value)
    frames = np.array(frames)
    return ForceMatchingDataset.create(
        folder,
        [Frames(positions=frames, forces=np.ones_like(frames), box=np.tile(box, (n_frames, 1, 1)))],
        topology=CGTopology.from_residues([(BENZENE_1, 64)]),
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=[BENZENE_1],
    )


def _target(force_field, dataset, config):
    ensemble = Ensemble(force_field, [dataset], config)
    return NetworkTarget(force_field, ensemble, config), ensemble


def test_energies_are_those_of_the_deployed_network(tmp_path):
    force_field = tiny_force_field(1)
    dataset = _dataset(tmp_path / "data", network=False)
    target, _ = _target(force_field, dataset, NetworkRefinementConfig(**SHORT))
    frames = dataset.frames(np.arange(2))
    found = target._energies(target._energies.all_pairs(frames))
    deployed = force_field.deploy(dataset.topology)
    with torch.enable_grad():
        exact = [float(deployed(torch.tensor(x), torch.tensor(frames.box[0]))[0]) for x in frames.positions]
    np.testing.assert_allclose(found.detach().numpy(), exact, rtol=1e-5)


def test_one_small_step_lowers_the_relative_entropy_gap(tmp_path):
    """Along the gradient the energy of the reference falls against that of the generated frames."""
    dataset = _dataset(tmp_path / "data", network=False)
    config = NetworkRefinementConfig(**SHORT, batch_size=100, steps=1, learning_rate=1e-4)
    target, ensemble = _target(tiny_force_field(1), dataset, config)
    frames = ensemble.simulate(target.force_field, 0)
    before = target.measure(frames, 0)[0]["energy_difference_kT"]
    target.change(frames, 0)
    assert target.measure(frames, 1)[0]["energy_difference_kT"] < before


def test_an_interrupted_refinement_ends_like_an_uninterrupted_one(tmp_path):
    dataset, force_field = _dataset(tmp_path / "data", network=False), tiny_force_field(1)
    config = NetworkRefinementConfig(**SHORT, threads=1)
    whole = refine(force_field, dataset, tmp_path / "whole", config)

    def stop(done, rounds, rmse):
        if done == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine(force_field, dataset, tmp_path / "parts", config, progress=stop)
    parts = refine(force_field, dataset, tmp_path / "parts", config, resume=True)
    assert [row["round"] for row in parts.history] == [0, 1, 2]
    # The CPU platform's neighbor list keeps a history of its own, so agreement is close but not exact.
    assert parts.history[0] == pytest.approx(whole.history[0], rel=1e-3)
    for name, tensor in whole.force_field.network.state_dict().items():
        torch.testing.assert_close(parts.force_field.network.state_dict()[name], tensor, rtol=1e-2, atol=1e-3)
    assert whole.force_field.fingerprint != force_field.fingerprint
    with pytest.raises(OutputExistsError):
        refine(force_field, dataset, tmp_path / "whole", config)
    with pytest.raises(InputError, match="differs in learning_rate"):
        refine(
            force_field, dataset, tmp_path / "whole", NetworkRefinementConfig(**SHORT, learning_rate=1.0), resume=True
        )


def test_what_cannot_be_refined_is_refused(tmp_path):
    dataset = _dataset(tmp_path / "data", network=False)
    with pytest.raises(InputError, match="has no network"):
        refine(
            dataclasses.replace(tiny_force_field(1), network=None), dataset, tmp_path / "out", NetworkRefinementConfig()
        )
    assert not (tmp_path / "out").exists()
