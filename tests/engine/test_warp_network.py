"""The kernels for CUDA on Warp's CPU device, against the network itself."""

import numpy as np
import pytest
import torch

from openmm_cgml.engine import DeployedNetwork, warp_network, warp_parity, warp_search
from openmm_cgml.engine.folding import fold
from openmm_cgml.engine.pair_tables import tabulate_pairs
from openmm_cgml.engine.warp_network import WarpNetwork
from openmm_cgml.errors import SimulationError
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.potentials import PowerRepulsion
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.engine.test_invariances import BOX, _deployed, _positions, _rms


def _compare(deployed, x, box):
    """Energy and force differences from the network itself; its first call checks the forces as well."""
    engine = WarpNetwork(deployed)
    energy, forces = engine(x, box)
    exact, exact_forces = deployed(x, box)
    assert energy.dtype == forces.dtype == torch.float64
    assert abs(float(energy - exact)) < 1e-5 * abs(float(exact)) + 1e-3
    assert float((forces - exact_forces).abs().max()) < 1e-4 * _rms(exact_forces)
    assert engine.parity == pytest.approx(float((forces - exact_forces).abs().max()) / _rms(exact_forces))
    return engine


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize(
    ("n_beads", "settings"),
    [
        (1, {"activation": "tanh"}),
        (3, {}),
        (3, {"separate_readouts": True}),
        (3, {"include_bonded": False}),
        (3, {"n_inter_blocks": 3, "n_intra_blocks": 2, "activation": "silu"}),
        (3, {"n_intra_blocks": 0}),
        (3, {"intra_cutoff": 0.8}),
    ],
)
def test_energies_and_forces_are_those_of_the_network(n_beads, settings, periodic):
    _compare(_deployed(n_beads, **settings), _positions(n_beads), torch.tensor(BOX) if periodic else None)


@pytest.mark.parametrize("max_folded_types", [8, 1])
def test_several_bead_types_with_and_without_a_folded_first_block(monkeypatch, max_folded_types):
    monkeypatch.setattr(warp_network, "fold", lambda network: fold(network, max_folded_types=max_folded_types))
    torch.manual_seed(0)
    settings = {"n_inter_blocks": 2, "n_intra_blocks": 1, "n_features": 12, "n_filters": 16, "n_basis": 10}
    network = SchNet(SchNetConfig(cutoff=0.7, energy_scale=10.0, **settings), 3).double()
    names = ("A", "B", "C")
    template = ResidueTemplate(name="ABC", bead_names=names, bead_type_names=names, masses=(1.0, 2.0, 3.0))
    deployed = DeployedNetwork(network, CGTopology.from_residues([(template, 40)]))
    _compare(deployed, _positions(3), torch.tensor(BOX))


def _repulsion(topology):
    tables = {"sigma": np.array([[0.5]]), "epsilon": np.array([[4.0]])}
    shape = {"exponent": 12, "cutoff": 0.8, "switch_distance": 0.7}
    return PowerRepulsion(bead_types=topology.bead_types, exclusions=topology.exclusions(2), **tables, **shape)


def _apart(seed):
    """Twelve molecules of three beads, none of which overlap."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(3) / 3, np.arange(2) / 2, np.arange(2) / 2), axis=-1).reshape(-1, 1, 3)
    return torch.tensor((grid @ BOX + rng.normal(scale=0.07, size=(12, 3, 3))).reshape(-1, 3))


@pytest.mark.parametrize("periodic", [True, False])
def test_replicas_and_the_pair_prior(periodic):
    one = _deployed(n_molecules=12)
    topology = one.topology.repeated(3)
    deployed = DeployedNetwork(one.network, topology, n_replicas=3, pair_table=tabulate_pairs([_repulsion(topology)]))
    x, box = torch.cat([_apart(seed) for seed in range(3)]), torch.tensor(BOX) if periodic else None
    energy, forces = WarpNetwork(deployed)(x, box)
    exact, exact_forces = deployed(x, box)
    assert float(energy) == pytest.approx(float(exact), rel=1e-5)
    assert float((forces - exact_forces).abs().max()) < 1e-4 * _rms(exact_forces)
    without, _ = WarpNetwork(DeployedNetwork(one.network, topology, n_replicas=3))(x, box)
    assert float(energy - without) > 10.0  # the prior counts
    together, _ = WarpNetwork(
        DeployedNetwork(one.network, topology, pair_table=tabulate_pairs([_repulsion(topology)]))
    )(x, box)
    assert abs(float(energy - together)) > 10.0  # replicas count


def test_overlapping_beads_are_driven_apart_by_a_finite_force():
    one = _deployed(n_molecules=12)
    deployed = DeployedNetwork(one.network, one.topology, pair_table=tabulate_pairs([_repulsion(one.topology)]))
    x = _apart(0)
    x[3] = x[0] + 0.02
    engine = WarpNetwork(deployed)
    _, forces = engine(x, torch.tensor(BOX))
    assert engine.parity < 1e-4  # the network's share is compared, the wall of the prior's table is not
    assert float((forces[3] * (x[3] - x[0])).sum()) > 100.0
    assert float(forces.abs().max()) < 1e7


def test_forces_are_right_while_beads_move_and_the_box_changes():
    deployed, x = _deployed(), _positions()
    engine, rng = WarpNetwork(deployed), np.random.default_rng(0)
    for step in range(6):
        box = torch.tensor(BOX) * (1.0 + 0.01 * (step // 3))
        x = x + torch.tensor(rng.normal(scale=0.02, size=x.shape))
        _, forces = engine(x, box)
        _, exact = deployed(x, box)
        assert float((forces - exact).abs().max()) < 1e-4 * _rms(exact)
    (evaluation,) = engine._evaluations.values()
    assert 1 < evaluation.lists.n_searches < 8


def test_coordinates_in_single_precision_are_taken_as_they_are():
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX)
    energy, forces = WarpNetwork(deployed)(x.float(), box.float())
    exact, exact_forces = deployed(x.float(), box.float())
    assert float(energy) == pytest.approx(float(exact), rel=1e-6)
    assert float((forces - exact_forces).abs().max()) < 1e-4 * _rms(exact_forces)


def test_the_same_positions_give_the_same_forces_bit_by_bit():
    """Atomic operations give rows their places in a different order each time; sums must not depend on that."""
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX)
    engine, other = WarpNetwork(deployed), WarpNetwork(deployed)
    other(x + 0.01, box)
    other(x, box)
    assert torch.equal(engine(x, box)[1], other(x, box)[1])


def test_forces_sum_to_zero():
    _, forces = WarpNetwork(_deployed())(_positions(), torch.tensor(BOX))
    assert float(forces.sum(0).abs().max()) < 1e-5 * float(forces.abs().sum())


def test_a_graph_without_room_for_the_list_gives_no_numbers():
    """Launches alone, as a CUDA graph replays them, after the beads have come much closer."""
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX)
    engine = WarpNetwork(deployed)
    engine(x, box)
    (evaluation,) = engine._evaluations.values()
    energy, forces = evaluation(0.3 * x, box)
    assert torch.isnan(energy)
    assert torch.isnan(forces).all()
    energy, _ = engine(0.3 * x, box)
    assert float(energy) == pytest.approx(float(deployed(0.3 * x, box)[0]), rel=1e-5)


def test_errors_name_what_is_wrong():
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX)
    with pytest.raises(SimulationError, match=r"twice the cutoff of 0\.7"):
        WarpNetwork(deployed)(x, 0.5 * box)
    moved = x.clone()
    moved[3, 1] = torch.nan
    with pytest.raises(SimulationError, match="position is not finite"):
        WarpNetwork(deployed)(moved, box)
    together = x.clone()
    together[0] = together[5]
    with pytest.raises(SimulationError, match="a force is not finite"):
        WarpNetwork(deployed)(together, box)


def test_coarse_tables_are_found_out(monkeypatch):
    monkeypatch.setattr(warp_network, "fold", lambda network: fold(network, 12))
    with pytest.raises(SimulationError, match="filter tables differ"):
        WarpNetwork(_deployed())(_positions(), torch.tensor(BOX))


def test_many_beads_are_compared_with_the_tables_of_the_cpu(monkeypatch):
    monkeypatch.setattr(warp_parity, "_EXACT_BEADS", 10)
    engine = WarpNetwork(_deployed())
    engine(_positions(), torch.tensor(BOX))
    assert 0 < engine.parity < 1e-4


@pytest.mark.slow
def test_the_kernels_compile_for_cuda(tmp_path):
    import warp

    from openmm_cgml.engine import warp_kernels, warp_prior

    for module in (warp_search, warp_kernels, warp_prior):
        (compiled,) = warp.compile_aot_module(module, arch=80, module_dir=tmp_path, use_ptx=True)
        assert ".entry" in compiled.read_text()
