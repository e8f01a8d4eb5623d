import numpy as np
import pytest

from openmm_cgml.simulation.stability import (
    BondReferences,
    ContactReferences,
    StabilityMonitor,
    UnstableSimulationError,
)
from openmm_cgml.wholeness import BondForest

BOX = np.eye(3) * 3.0
POSITIONS = np.array([[0.1, 0.1, 0.1], [0.6, 0.1, 0.1], [2.9, 2.9, 2.9]])


def check(monitor, step=10, time=1.0, positions=POSITIONS, potential_energy=0.0, temperature=300.0):
    monitor.check(step, time, positions, BOX, potential_energy, temperature)


def test_a_position_that_is_not_finite_is_named_with_its_bead_and_step():
    positions = POSITIONS.copy()
    positions[1, 2] = np.nan
    with pytest.raises(UnstableSimulationError, match=r"unstable after 77 steps: .*first bead 1") as caught:
        check(StabilityMonitor(300.0, 3000), step=77, positions=positions)
    assert caught.value.step == 77


@pytest.mark.parametrize("values", [{"potential_energy": np.inf}, {"temperature": np.nan}])
def test_an_energy_that_is_not_finite_is_unstable(values):
    with pytest.raises(UnstableSimulationError, match=r"is (inf|nan)"):
        check(StabilityMonitor(300.0, 3000), **values)


def test_a_threefold_temperature_is_unstable_at_once():
    check(StabilityMonitor(300.0, 3000), temperature=890.0)
    with pytest.raises(UnstableSimulationError, match=r"temperature 910 K, target 300 K"):
        check(StabilityMonitor(300.0, 3000), temperature=910.0)


@pytest.mark.parametrize(("temperature", "stable"), [(205.0, False), (215.0, True), (445.0, True), (455.0, False)])
def test_the_mean_temperature_over_ten_picoseconds_is_judged(temperature, stable):
    monitor = StabilityMonitor(300.0, 300000)
    for time in range(9):
        check(monitor, time=float(time), temperature=temperature)
    if stable:
        check(monitor, time=9.0, temperature=temperature)
    else:
        with pytest.raises(UnstableSimulationError, match=r"mean temperature"):
            check(monitor, time=9.0, temperature=temperature)


def test_a_short_excursion_is_no_instability():
    monitor = StabilityMonitor(300.0, 3000)
    for time in range(20):
        check(monitor, time=float(time), temperature=600.0 if time == 12 else 300.0)


def test_the_mean_temperature_is_not_judged_before_the_thermostat_has_acted():
    monitor = StabilityMonitor(300.0, 3000, relaxation_time=float("inf"))
    for time in range(30):
        check(monitor, time=float(time), temperature=150.0)


def test_thermal_noise_of_a_few_beads_is_no_instability():
    rng = np.random.default_rng(0)
    monitor = StabilityMonitor(300.0, 6)
    for time in range(5000):
        check(monitor, time=float(time), temperature=300.0 * rng.chisquare(6) / 6)


def test_the_window_survives_a_restart():
    first, second = (StabilityMonitor(300.0, 300000) for _ in range(2))
    for time in range(9):
        check(first, time=float(time), temperature=205.0)
    second.restore(first.history)
    with pytest.raises(UnstableSimulationError, match=r"mean temperature"):
        check(second, time=9.0, temperature=205.0)


@pytest.mark.parametrize(("length", "stable"), [(0.45, True), (0.39, False)])
def test_a_stretched_bond_is_unstable_and_named(length, stable):
    bonds = BondReferences(indices=np.array([[0, 1]]), length=np.array([length]), stiffness=np.array([1e5]))
    monitor = StabilityMonitor(300.0, 3000, bonds)
    if stable:
        check(monitor)
        assert monitor.largest_bond_deviation == pytest.approx(0.05 / 0.45)
    else:
        with pytest.raises(UnstableSimulationError, match=r"bond between beads 0 and 1 is 0.5 nm long, 28% off"):
            check(monitor)


def test_a_bond_across_the_boundary_has_its_true_length():
    length = np.linalg.norm([0.2, 0.2, 0.2])
    bonds = BondReferences(indices=np.array([[0, 2]]), length=np.array([length]), stiffness=np.array([1e5]))
    monitor = StabilityMonitor(300.0, 3000, bonds)
    check(monitor)
    assert monitor.largest_bond_deviation == pytest.approx(0.0, abs=1e-9)


def test_a_soft_bond_may_stretch_as_far_as_thermal_noise_takes_it():
    bonds = BondReferences(indices=np.array([[0, 1]]), length=np.array([0.3]), stiffness=np.array([1000.0]))
    check(StabilityMonitor(300.0, 3000, bonds))  # 67 % off, 4 standard deviations


@pytest.mark.parametrize(("length", "stable"), [(0.5, True), (0.44, True), (0.32, True), (0.72, False), (0.2, False)])
def test_a_bond_in_any_of_its_minima_has_not_left(length, stable):
    bonds = BondReferences(
        indices=np.array([[0, 1]]),
        length=np.array([0.5]),
        stiffness=np.array([1e5]),
        shortest=np.array([0.34]),
        longest=np.array([0.55]),
    )
    monitor = StabilityMonitor(300.0, 3000, bonds)
    positions = POSITIONS.copy()
    positions[1, 0] = 0.1 + length
    if stable:
        check(monitor, positions=positions)
        assert monitor.largest_bond_deviation == pytest.approx(0.04 if length == 0.32 else 0.0)
    else:
        nearest = "0.55" if length > 0.5 else "0.34"
        with pytest.raises(UnstableSimulationError, match=f"{length} nm long, .* off its {nearest} nm"):
            check(monitor, positions=positions)


def contacts(closest, molecules=(0, 1, 2)):
    forest = BondForest.from_bonds(np.zeros((0, 2), int), 3, np.array(molecules))
    return ContactReferences(bead_types=np.zeros(3, int), forest=forest, closest=np.array([[closest]]))


def test_contacts_below_the_data_are_reported_and_a_collapse_is_unstable():
    monitor = StabilityMonitor(300.0, 3000, contacts=contacts(0.4))
    check(monitor)
    assert monitor.closest_contact == pytest.approx(np.sqrt(0.12) / 0.4)
    with pytest.raises(UnstableSimulationError, match=r"beads 0 and 2 are 0.3464 nm apart"):
        check(StabilityMonitor(300.0, 3000, contacts=contacts(0.7)))


def test_contacts_within_a_molecule_do_not_count():
    check(StabilityMonitor(300.0, 3000, contacts=contacts(0.7, molecules=(0, 1, 0))))


def test_a_contact_of_a_chain_with_its_own_image_counts():
    forest = BondForest.from_bonds(np.array([[0, 1], [1, 2]]), 3)
    chain = ContactReferences(bead_types=np.zeros(3, int), forest=forest, closest=np.array([[0.4]]))
    positions = np.array([[0.0, 0, 0], [0.9, 0, 0], [1.8, 0, 0]])
    assert chain.closest_contact(positions, np.diag([2.0, 2.0, 2.0])) == pytest.approx((0.5, 0, 2, 0.2))
    assert chain.closest_contact(positions * 0.1, np.diag([2.0, 2.0, 2.0])) is None
