import numpy as np
import pytest
import torch

from openmm_cgml.engine import cpu, pair_lists, parity
from openmm_cgml.engine.cpu import TabulatedNetwork, suggest_threads
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.folding import fold
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.engine.test_invariances import BOX, _deployed, _positions

TRIPLE = ResidueTemplate(
    name="R",
    bead_names=("A", "B", "C"),
    bead_type_names=("A", "B", "C"),
    masses=(10.0, 20.0, 30.0),
    bonds=((0, 1), (1, 2)),
)


def _three_types(**settings):
    torch.manual_seed(1)
    values = {"n_features": 12, "n_filters": 16, "n_basis": 12, "cutoff": 0.7, "intra_cutoff": 0.6, "energy_scale": 5.0}
    network = SchNet(SchNetConfig(**{**values, "n_intra_blocks": 2, **settings}), 3).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return DeployedNetwork(network, CGTopology.from_residues([(TRIPLE, 40)]))


def _agrees(deployed, tabulated, box=BOX):
    x = _positions()
    energy, forces = tabulated(x.numpy(), box)
    exact, exact_forces = deployed(x, None if box is None else torch.tensor(box))
    scale = float((exact_forces**2).mean().sqrt())
    assert abs(energy - float(exact)) < 1e-5 * abs(float(exact)) + 1e-3
    assert np.abs(forces - exact_forces.numpy()).max() < 2e-4 * scale


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("box", [BOX, None])
@pytest.mark.parametrize("settings", [{}, {"n_inter_blocks": 1, "n_intra_blocks": 3}, {"separate_readouts": True}])
def test_several_bead_types_and_threads_give_what_the_network_gives(n_threads, box, settings):
    deployed = _three_types(**settings)
    _agrees(deployed, TabulatedNetwork(deployed, n_threads=n_threads), box)


def test_many_bead_types_are_not_folded_and_agree(monkeypatch):
    monkeypatch.setattr(cpu, "fold", lambda network: fold(network, max_folded_types=2))
    deployed = _three_types()
    tabulated = TabulatedNetwork(deployed)
    assert tabulated._folded.inter.first is None
    _agrees(deployed, tabulated)


def test_one_type_is_folded_so_that_no_product_is_left_in_the_first_block():
    folded = fold(_deployed(1, n_inter_blocks=2).network)
    assert len(folded.inter.first.tables) == 1
    assert len(folded.inter.blocks) == 1


@pytest.mark.parametrize("box", [BOX, None])
def test_large_systems_are_renumbered_by_place_and_come_back_in_order(monkeypatch, box):
    monkeypatch.setattr(pair_lists, "SORTED_FROM", 10)
    deployed = _three_types()
    tabulated = TabulatedNetwork(deployed, n_threads=2)
    _agrees(deployed, tabulated, box)
    assert (tabulated._lists.order != np.arange(120)).any()


def test_results_do_not_depend_on_when_pairs_were_searched():
    moved = _positions().numpy() + 0.01
    fresh, used = TabulatedNetwork(_deployed()), TabulatedNetwork(_deployed())
    used(_positions().numpy(), BOX)
    energy, forces = used(moved, BOX)
    assert used._lists.n_searches == 1
    expected, expected_forces = fresh(moved, BOX)
    assert energy == expected
    np.testing.assert_array_equal(forces, expected_forces)


def test_a_changed_box_or_a_step_of_half_the_skin_searches_again():
    tabulated, x = TabulatedNetwork(_deployed()), _positions().numpy().copy()
    tabulated(x, BOX)
    tabulated(x, 1.001 * BOX)
    assert tabulated._lists.n_searches == 2
    x[5] += 0.06
    tabulated(x, 1.001 * BOX)
    assert tabulated._lists.n_searches == 3


def test_the_skin_gives_way_in_a_narrow_box():
    """Beyond half the box a nearest image is ambiguous, so a skin that reaches there could lose a pair."""
    box = np.eye(3) * 1.45  # cutoff 0.7: half of it leaves 0.025 nm
    deployed = _deployed(1, 60, include_bonded=True)
    tabulated = TabulatedNetwork(deployed)
    x = _positions(1, 60, box).numpy().copy()
    rng = np.random.default_rng(0)
    for _ in range(6):
        _, forces = tabulated(x, box)
        _, exact = deployed(torch.tensor(x), torch.tensor(box))
        assert np.abs(forces - exact.numpy()).max() < 2e-4 * float((exact**2).mean().sqrt())
        x += rng.normal(scale=0.008, size=x.shape)
    assert tabulated._lists.n_searches > 2


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_interrupted_evaluation_leaves_nothing_behind(monkeypatch, n_threads):
    tabulated, x = TabulatedNetwork(_deployed(), n_threads=n_threads), _positions().numpy()
    expected = tabulated(x, BOX)
    phases = tabulated._phases
    for stop in range(1, len(phases)):

        def interrupt(thread):
            if thread == 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(tabulated, "_phases", [*phases[:stop], interrupt])
        with pytest.raises(KeyboardInterrupt):
            tabulated(x, BOX)
        monkeypatch.setattr(tabulated, "_phases", phases)
        found = tabulated(x, BOX)
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1], expected[1])


def test_parity_of_a_large_system_is_measured_on_some_of_its_beads(monkeypatch):
    monkeypatch.setattr(parity, "_CHECKED_BEADS", 60)
    tabulated = TabulatedNetwork(_deployed())
    tabulated(_positions().numpy(), BOX)
    assert 0 < tabulated.parity < 1e-3
    monkeypatch.setattr(cpu, "fold", lambda network: fold(network, 12))
    with pytest.raises(Exception, match="filter tables differ"):
        TabulatedNetwork(_deployed())(_positions().numpy(), BOX)


def test_tables_are_not_refused_where_forces_cancel_or_vanish(monkeypatch):
    """A lattice and a pair near the cutoff have next to no net force, by which no error can be measured."""
    deployed = _deployed()
    box = torch.eye(3, dtype=torch.float64) * 4.0
    single = ResidueTemplate(name="S", bead_names=("A",), bead_type_names=("A",), masses=(10.0,))
    lattice = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3) * (4.0 / 8)
    pair = np.array([[0.0, 0.0, 0.0], [0.9999 * deployed.network.cutoff, 0.0, 0.0]])
    for positions, cell in ((lattice, 0.5 * box), (pair, box)):
        few = DeployedNetwork(deployed.network, CGTopology.from_residues([(single, len(positions))]))
        tabulated = TabulatedNetwork(few)
        forces = tabulated(positions, cell.numpy())[1]
        assert np.abs(forces).max() < 1e-2 * parity.force_scale(deployed.network, np.zeros(1, np.int32), forces)
        assert tabulated.parity < parity.PARITY
    monkeypatch.setattr(cpu, "fold", lambda network: fold(network, 12))  # control: coarse tables are still refused
    with pytest.raises(Exception, match="filter tables differ"):
        TabulatedNetwork(_deployed())(_positions().numpy(), BOX)


def test_threads_are_as_many_as_asked_for_where_there_is_work_for_them(monkeypatch):
    monkeypatch.setenv("OPENMM_CPU_THREADS", "4")
    assert [suggest_threads(n) for n in (10, 999, 1000, 100_000)] == [1, 1, 2, 4]
    monkeypatch.delenv("OPENMM_CPU_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert suggest_threads(100_000) == 1
