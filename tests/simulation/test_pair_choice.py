"""What evaluates the pair priors of a run."""

from dataclasses import replace

import numpy as np
import openmm
import pytest

from openmm_cgml.engine import pair_parity, pair_tables
from openmm_cgml.engine.pair_parity import measure_pair_parity
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.shards import FrameStore
from openmm_cgml.simulation import SimulationConfig, simulate
from openmm_cgml.simulation.pair_choice import choose_pairs
from openmm_cgml.storage import read_json
from openmm_cgml.system import pair_potentials_of
from tests.fixtures import benzene_box, displaced, tiny_force_field

CONFIG = SimulationConfig(
    temperature=300.0,
    duration="0.04 ps",
    time_step="4 fs",
    frame_interval="8 fs",
    platform="CPU",
    threads=1,
    minimize=False,
)


def changed(config, **changes):
    return SimulationConfig(**{**config.model_dump(), **changes})


def run(force_field, start, output, config=CONFIG, **options):
    topology, positions, box = start
    return simulate(force_field, topology, positions, box, output=output, config=config, progress=False, **options)


def record_of(output):
    return read_json(output / "simulation.json")


@pytest.fixture(scope="module")
def start():
    """A box whose priors are relaxed, so that runs can be compared without minimizations of their own."""
    topology, positions, box = benzene_box(3, 60)
    system = tiny_force_field(3, network=False).create_system(topology, box=box)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 200)
    return topology, context.getState(positions=True).getPositions(asNumpy=True)._value, box


@pytest.mark.backend
@pytest.mark.parametrize("network", [True, False])
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_run_on_the_cpu_platform_takes_the_engine_and_goes_as_with_native_forces(start, tmp_path, network, replicas):
    force_field = tiny_force_field(3, network=network)
    config = changed(CONFIG, replicas=replicas, ensemble="NVE")
    native = changed(config, pair_backend="native")
    assert run(force_field, start, tmp_path / "engine", config).status == "complete"
    assert run(force_field, start, tmp_path / "native", native).status == "complete"
    record = record_of(tmp_path / "engine")
    assert record["pair_backend"] == "engine"
    assert record["pair_backend_reason"]
    assert 0 < record["pair_table_force_error_over_rms"] < 1e-5
    if replicas == 1:
        assert record_of(tmp_path / "native")["pair_backend"] == "native"
        assert "pair_table_force_error_over_rms" not in record_of(tmp_path / "native")
    found, expected = (
        FrameStore.open(next(tmp_path.glob(f"{name}/**/trajectory"))).read().positions for name in ("engine", "native")
    )
    assert np.abs(found - expected).max() < 2e-4  # native nonbonded forces are in single precision
    assert np.abs(found[-1] - found[0]).max() > 1e-2  # the control: beads have moved


def test_a_run_on_another_platform_keeps_native_forces(start, tmp_path):
    config = changed(CONFIG, platform="Reference")
    run(tiny_force_field(3, network=False), start, tmp_path / "run", config)
    record = record_of(tmp_path / "run")
    assert (record["pair_backend"], "Reference" in record["pair_backend_reason"]) == ("native", True)


@pytest.mark.backend
@pytest.mark.parametrize("network", [True, False])
def test_a_run_goes_on_with_another_pair_backend(start, tmp_path, network):
    force_field = tiny_force_field(3, network=network)
    run(force_field, start, tmp_path / "run", changed(CONFIG, pair_backend="native"))
    longer = changed(CONFIG, duration=0.08)
    assert run(force_field, start, tmp_path / "run", longer, resume=True).n_frames == 10
    assert record_of(tmp_path / "run")["pair_backend"] in ("native", "engine")
    other = tiny_force_field(3, network=network, seed=5) if network else None
    if other is not None:  # the control: another network is noticed whatever evaluates the pair priors
        with pytest.raises(InputError, match="have changed"):
            run(other, start, tmp_path / "run", changed(CONFIG, duration=0.12), resume=True)


def test_forces_of_the_engine_that_are_wrong_are_refused(start, monkeypatch, tmp_path):
    tabulate = pair_tables.tabulate_pairs
    monkeypatch.setattr("openmm_cgml.force_field.force_field.tabulate_pairs", lambda pairs: tabulate(pairs, n_knots=30))
    with pytest.raises(SimulationError, match=r"differ from them by .* of the rms force.*pair_backend=\"native\""):
        run(tiny_force_field(3, network=False), start, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def deployed(start):
    force_field = tiny_force_field(3)
    return force_field.deploy_pairs(start[0]), pair_potentials_of(force_field.bind(start[0]))


def test_a_start_with_overlaps_is_compared_elsewhere(start, deployed):
    """Below the first knot the tables go on linearly, which is no error."""
    _, positions, box = start
    positions = positions.copy()
    positions[3] = positions[100] + [0.05, 0, 0]
    assert measure_pair_parity(*deployed, positions, np.asarray(box)) < 1e-5
    overlap = pair_parity.find_pairs(positions, np.asarray(box), deployed[0].pair_table.start)
    assert overlap.size > 0


def test_forces_that_cancel_are_no_reason_to_refuse():
    force_field = tiny_force_field(1)
    topology, _, _ = benzene_box(1, 64)
    lattice = np.stack(np.meshgrid(*[np.arange(4) * 0.55] * 3), axis=-1).reshape(-1, 3)
    potentials = pair_potentials_of(force_field.bind(topology))
    assert measure_pair_parity(force_field.deploy_pairs(topology), potentials, lattice, np.eye(3) * 2.2) < 1e-5


def test_a_missed_exclusion_is_noticed(start, deployed):
    _, positions, box = start
    engine, potentials = deployed
    wrong = [potential.with_exclusions(potential.exclusions[:-1]) for potential in potentials]
    x = displaced(positions, np.asarray(box), scale=0.001)
    assert measure_pair_parity(engine, potentials, x, np.asarray(box)) < 1e-5
    with pytest.raises(SimulationError, match="differ from them"):
        measure_pair_parity(engine, wrong, x, np.asarray(box))


@pytest.mark.parametrize(
    ("changes", "backend", "reason"),
    [
        ({}, "engine", "faster"),
        ({"pair_backend": "native"}, "native", "asked for"),
        ({"pair_backend": "engine", "network_interval": 2}, "engine", "asked for"),
        ({"network_interval": 2, "time_step": 0.002}, "engine", "faster"),
        ({"network_interval": 2, "time_step": 0.006}, "native", "longer than wise"),
        ({"network_interval": 10}, "native", "too long"),
        ({"replicas": 2, "pair_backend": "native"}, "engine", "replicas"),
    ],
)
def test_an_outer_step_that_is_too_long_for_the_pair_priors_leaves_them_native(start, changes, backend, reason):
    force_field = tiny_force_field(3)
    config = changed(CONFIG, frame_interval=0.04, **changes)
    found = choose_pairs(force_field, start[0], config, "CPU")
    assert found.backend == backend
    assert reason in found.choice.reason


def test_without_bonds_multiple_time_steps_need_native_pair_forces():
    force_field = tiny_force_field(1)
    topology, _, _ = benzene_box(1)
    config = changed(CONFIG, network_interval=2, time_step=0.002)
    assert "no native force" in choose_pairs(force_field, topology, config, "CPU").choice.reason
    priors = replace(force_field.priors, terms=())
    assert choose_pairs(replace(force_field, priors=priors), topology, config, "CPU").record == {}


@pytest.mark.backend
def test_multiple_time_steps_with_the_engine_note_a_long_outer_step(start, tmp_path):
    force_field = tiny_force_field(3)
    config = changed(CONFIG, network_interval=3, frame_interval=0.012, duration=0.036, pair_backend="engine")
    result = run(force_field, start, tmp_path / "run", config)
    assert any("which the engine evaluates with the network" in note for note in result.notes)
    assert record_of(tmp_path / "run")["pair_backend"] == "engine"
    native = run(force_field, start, tmp_path / "auto", changed(config, pair_backend="auto"))
    assert record_of(tmp_path / "auto")["pair_backend"] == "native"
    assert native.notes == ()
    with pytest.raises(InputError, match=r"too long .*which the engine evaluates with the network"):
        run(force_field, start, tmp_path / "far", changed(config, network_interval=9, frame_interval=0.036))
