"""What the deployed network owes to physics; limits with the measured values some orders below them."""

import numpy as np
import pytest
import torch

from openmm_cgml.engine import DeployedNetwork
from openmm_cgml.engine.cpu import TabulatedNetwork
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.topology import CGTopology
from tests.fixtures import BENZENE_1, BENZENE_3

BOX = np.array([[2.2, 0, 0], [0.3, 2.3, 0], [-0.4, 0.2, 2.1]])


def _deployed(n_beads=3, n_molecules=40, dtype=torch.float64, **settings):
    torch.manual_seed(0)
    values = {"n_features": 12, "n_filters": 16, "n_basis": 12, "cutoff": 0.7, "energy_scale": 10.0}
    if n_beads == 3:
        values |= {"n_intra_blocks": 1, "intra_cutoff": 0.5}
    network = SchNet(SchNetConfig(**{**values, **settings}), 1).to(dtype)
    template = BENZENE_1 if n_beads == 1 else BENZENE_3
    return DeployedNetwork(network, CGTopology.from_residues([(template, n_molecules)]))


def _positions(n_beads=3, n_molecules=40, box=BOX, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.random((n_molecules, 1, 3)) @ box
    return torch.tensor((centers + rng.normal(scale=0.13, size=(n_molecules, n_beads, 3))).reshape(-1, 3))


def _rms(forces):
    return float((forces**2).mean().sqrt())


@pytest.mark.parametrize("n_beads", [1, 3])
def test_force_is_minus_the_gradient_of_the_energy(n_beads):
    deployed, x, box = _deployed(n_beads), _positions(n_beads), torch.tensor(BOX)
    _, forces = deployed(x, box)
    for seed in range(5):
        direction = torch.tensor(np.random.default_rng(seed).normal(size=x.shape))
        direction /= direction.norm()
        h = 1e-5
        slope = (deployed(x + h * direction, box)[0] - deployed(x - h * direction, box)[0]) / (2 * h)
        assert abs(float((forces * direction).sum() + slope)) < 1e-6 * _rms(forces)
        assert abs(float((0.999 * forces * direction).sum() + slope)) > 1e-6 * _rms(forces)  # a wrong force is seen


def test_translation_and_lattice_images_change_nothing():
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX)
    energy, forces = deployed(x, box)
    rng = np.random.default_rng(0)
    for reach in (3, 100):
        images = torch.tensor(rng.integers(-reach, reach + 1, size=x.shape).astype(float)) @ box
        moved, same = deployed(x + images + torch.tensor(rng.normal(size=3)), box)
        assert abs(float(moved - energy)) < 1e-11 * abs(float(energy))
        assert float((same - forces).abs().max()) < 1e-10 * _rms(forces)
    other, _ = deployed(x + 0.1 * torch.tensor(rng.random(x.shape)), box)
    assert abs(float(other - energy)) > 1e-3


def test_single_precision_loses_nothing_to_beads_that_are_far_away():
    double, single = _deployed(), _deployed(dtype=torch.float32)
    single.network.load_state_dict(double.network.state_dict())
    x, box = _positions(), torch.tensor(BOX)
    _, exact = double(x, box)
    images = torch.tensor(np.random.default_rng(0).integers(-100, 101, size=x.shape).astype(float)) @ box
    _, far = single(x + images, box)
    assert float((far - exact).abs().max()) < 5e-4 * _rms(exact)


def test_rotation_turns_the_forces():
    deployed, x = _deployed(), _positions()
    rotation = torch.linalg.qr(torch.tensor(np.random.default_rng(0).normal(size=(3, 3))))[0]
    energy, forces = deployed(x, None)
    turned, turned_forces = deployed(x @ rotation, None)
    assert abs(float(turned - energy)) < 1e-11 * abs(float(energy))
    assert float((turned_forces - forces @ rotation).abs().max()) < 1e-10 * _rms(forces)
    assert float((turned_forces - forces).abs().max()) > 0.1 * _rms(forces)


def test_exchanging_molecules_exchanges_forces():
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX)
    energy, forces = deployed(x, box)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    beads = (order.unsqueeze(1) * 3 + torch.arange(3)).reshape(-1)
    swapped, swapped_forces = deployed(x[beads], box)
    assert abs(float(swapped - energy)) < 1e-11 * abs(float(energy))
    assert float((swapped_forces - forces[beads]).abs().max()) < 1e-10 * _rms(forces)


def test_forces_sum_to_zero():
    _, forces = _deployed()(_positions(), torch.tensor(BOX))
    assert float(forces.sum(0).abs().max()) < 1e-13 * float(forces.abs().sum())
    lopsided = forces.clone()
    lopsided[0, 0] += 1e-6 * _rms(forces)
    assert float(lopsided.sum(0).abs().max()) > 1e-13 * float(forces.abs().sum())


@pytest.mark.parametrize("copies", [(1, 1, 2), (2, 2, 2)])
def test_a_replicated_box_has_the_energy_of_its_copies(copies):
    small, x = _deployed(), _positions()
    n = int(np.prod(copies))
    large = _deployed(n_molecules=40 * n)
    large.network = small.network
    shifts = np.stack(np.meshgrid(*[range(c) for c in copies], indexing="ij"), axis=-1).reshape(-1, 3) @ BOX
    many = torch.tensor(np.concatenate([x.numpy() + shift for shift in shifts]))
    energy, forces = small(x, torch.tensor(BOX))
    total, all_forces = large(many, torch.tensor(BOX * np.array(copies)[:, None]))
    assert abs(float(total) / n - float(energy)) < 1e-12 * abs(float(energy))
    assert float((all_forces - forces.repeat(n, 1)).abs().max()) < 1e-11 * _rms(forces)


def test_molecules_across_the_box_are_still_molecules():
    """Inter- and intramolecular pairs are told apart by molecule, not by where the beads happen to lie."""
    deployed = _deployed(include_bonded=True)
    x, box = _positions(), torch.tensor(BOX)
    wrapped = x - torch.floor(x @ torch.linalg.inv(box)) @ box
    assert float((wrapped - x).abs().max()) > 1.0  # some molecules are split
    energy, forces = deployed(x, box)
    split, split_forces = deployed(wrapped, box)
    assert abs(float(split - energy)) < 1e-11 * abs(float(energy))
    assert float((split_forces - forces).abs().max()) < 1e-10 * _rms(forces)
    strangers = DeployedNetwork(deployed.network, CGTopology.from_residues([(BENZENE_1, 120)]))
    assert abs(float(strangers(x, box)[0] - energy)) > 1.0


def test_bonded_pairs_can_be_left_out():
    """All intramolecular pairs of three-bead benzene are bonded: without them its shape does not matter."""
    apart, together = _deployed(include_bonded=False), _deployed(include_bonded=True)
    together.network.load_state_dict(apart.network.state_dict())
    x = _positions(n_molecules=1)
    squeezed = x.mean(0) + 0.9 * (x - x.mean(0))
    for deployed, matters in ((apart, False), (together, True)):
        alone = DeployedNetwork(deployed.network, CGTopology.from_residues([(BENZENE_3, 1)]))
        assert (abs(float(alone(squeezed)[0] - alone(x)[0])) > 1e-6) == matters


@pytest.mark.parametrize("activation", ["shifted_softplus", "tanh", "silu"])
@pytest.mark.parametrize(
    ("n_beads", "settings"),
    [
        (1, {}),
        (3, {}),
        (3, {"separate_readouts": True}),
        (3, {"include_bonded": False}),
        (3, {"n_inter_blocks": 3}),
        (3, {"n_intra_blocks": 0}),
    ],
)
def test_filter_tables_reproduce_the_network(n_beads, settings, activation):
    deployed = _deployed(n_beads, activation=activation, **settings)
    x = _positions(n_beads)
    for box in (BOX, None):
        energy, forces = TabulatedNetwork(deployed)(x.numpy(), box)
        exact, exact_forces = deployed(x, None if box is None else torch.tensor(box))
        assert abs(energy - float(exact)) < 1e-5 * abs(float(exact)) + 1e-3
        assert float((torch.tensor(forces) - exact_forces).abs().max()) < 1e-3 * _rms(exact_forces)


def test_coarse_tables_are_found_out(monkeypatch):
    from openmm_cgml.engine import cpu
    from openmm_cgml.engine.folding import fold
    from openmm_cgml.errors import SimulationError

    monkeypatch.setattr(cpu, "fold", lambda network: fold(network, 12))
    with pytest.raises(SimulationError, match="filter tables differ"):
        TabulatedNetwork(_deployed())(_positions().numpy(), BOX)


def test_the_tabulated_network_notices_what_is_not_finite_and_a_small_box():
    from openmm_cgml.errors import SimulationError

    tabulated = TabulatedNetwork(_deployed())
    x = _positions().numpy().copy()
    with pytest.raises(SimulationError, match="less than twice"):
        tabulated(x, 0.5 * BOX)
    x[7, 1] = np.nan
    with pytest.raises(SimulationError, match="position of bead 7"):
        tabulated(x, BOX)


def test_the_exact_network_notices_what_is_not_finite():
    deployed = _deployed()
    with torch.no_grad():
        deployed.network.embedding.weight[0, 0] = float("nan")
    with torch.enable_grad(), pytest.raises(RuntimeError, match="not finite"):
        deployed(_positions(), torch.tensor(BOX))


def test_the_tables_conserve_what_the_network_conserves():
    tabulated, x = TabulatedNetwork(_deployed()), _positions().numpy()
    _, forces = tabulated(x, BOX)
    assert np.abs(forces.sum(axis=0)).max() < 1e-6 * np.abs(forces).sum()
    direction = np.random.default_rng(0).normal(size=x.shape)
    direction /= np.linalg.norm(direction)
    h = 2e-3  # energies are summed in single precision, so the step is large
    slope = (tabulated(x + h * direction, BOX)[0] - tabulated(x - h * direction, BOX)[0]) / (2 * h)
    assert abs((forces * direction).sum() + slope) < 0.01 * np.linalg.norm(forces)
