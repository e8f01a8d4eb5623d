from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.trajectories.reading import Tally, TrajectorySource, read_trajectory
from openmm_cgml.trajectories.topology_files import read_atom_topology
from openmm_cgml.trajectories.unit_systems import UNIT_SYSTEMS, find_unit_system, lennard_jones_units
from openmm_cgml.units import BOLTZMANN, parse_quantity
from tests.trajectories.liquid import EDGE, MASSES, N_FRAMES, run_liquid, write_data, write_dump

REAL = UNIT_SYSTEMS["real"]


@pytest.fixture(scope="module")
def topology(tmp_path_factory):
    return read_atom_topology(write_data(tmp_path_factory.mktemp("t") / "a.data"))


def read(paths, topology, **settings):
    tally = Tally()
    paths = tuple(paths) if isinstance(paths, list) else (paths,)
    source = TrajectorySource(paths=paths, **{"units": REAL, **settings})
    return Frames.concatenate(list(read_trajectory(source, topology, chunk_frames=7, tally=tally))), tally


def scales(units):
    """Scales of `write_dump` for a system of units."""
    return {"length": units.length, "energy": units.energy, "time": units.length / units.speed}


@pytest.mark.parametrize("name", ["real", "metal", "si", "cgs", "electron", "lj"])
def test_every_system_of_units_gives_the_same_frames(tmp_path, topology, name):
    units = lennard_jones_units(length=0.34, energy=1.2, mass=40.0) if name == "lj" else find_unit_system(name)
    run = run_liquid()
    frames, _ = read(write_dump(tmp_path / "a.dump", run, **scales(units)), topology, units=units)
    np.testing.assert_allclose(frames.positions, run.positions, atol=1e-6)
    np.testing.assert_allclose(frames.forces, run.forces, rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(frames.box[0], np.eye(3) * EDGE)
    kinetic = 0.5 * np.einsum("n,fnx,fnx->f", MASSES, run.velocities, run.velocities)
    np.testing.assert_allclose(frames.energies["kinetic"], kinetic, rtol=1e-4)  # masses of the elements


@pytest.mark.parametrize(
    ("name", "length", "energy", "time"),
    [
        ("real", "1 angstrom", "1 kcal/mol", "1 fs"),
        ("gromacs", "1 nm", "1 kJ/mol", "1 ps"),
        ("si", "1e10 angstrom", None, "1 s"),
    ],
)
def test_units_are_those_of_their_names(name, length, energy, time):
    units = find_unit_system(name)
    assert units.length == pytest.approx(parse_quantity(length, "length"))
    assert units.time == pytest.approx(parse_quantity(time, "time"))
    if energy is not None:
        assert units.energy == pytest.approx(parse_quantity(energy, "energy"))


def test_thermal_speeds_are_the_same_in_joules_and_electronvolts():
    # 1/2 m v^2 of 1 kg at 1 m/s is 1 J; of 1 u at one ASE unit of speed half an eV.
    si, ase = UNIT_SYSTEMS["si"], UNIT_SYSTEMS["ase"]
    assert si.mass * si.speed**2 == pytest.approx(si.energy)
    assert ase.mass * ase.speed**2 == pytest.approx(ase.energy)
    assert UNIT_SYSTEMS["metal"].energy / (BOLTZMANN * 11604.518) == pytest.approx(1, rel=1e-6)  # eV over kB


def test_unknown_units_and_lj_without_scales_are_refused():
    with pytest.raises(InputError, match="known are"):
        find_unit_system("reel")
    with pytest.raises(InputError, match="sigma, epsilon"):
        find_unit_system("lj")
    with pytest.raises(InputError, match="mass of lj units is 0"):
        lennard_jones_units(length=1.0, energy=1.0, mass=0.0)


def test_molecules_that_were_wrapped_are_made_whole(tmp_path, topology):
    run = run_liquid()
    frames, tally = read(write_dump(tmp_path / "a.dump", run, wrap=True, columns="id x y z fx fy fz"), topology)
    bonds = topology.atoms.bonds
    lengths = np.linalg.norm(frames.positions[:, bonds[:, 0]] - frames.positions[:, bonds[:, 1]], axis=2)
    assert lengths.max() < 0.2
    assert tally.split > 0


def test_every_so_many_frames_from_a_first_one_on(tmp_path, topology):
    run = run_liquid()
    frames, tally = read(write_dump(tmp_path / "a.dump", run), topology, every=5, first=3)
    np.testing.assert_allclose(frames.positions, run.positions[3::5], atol=1e-6)
    assert tally.n_read == N_FRAMES


def part(run, chosen):
    return replace(run, **{n: getattr(run, n)[chosen] for n in ("positions", "forces", "velocities", "times")})


def test_frames_that_a_restart_wrote_again_are_there_once(tmp_path, topology):
    run = run_liquid()
    one = write_dump(tmp_path / "a.dump", part(run, slice(0, 12)))
    text = write_dump(tmp_path / "b.dump", run).read_text()
    (tmp_path / "b.dump").write_text(text[text.index("ITEM: TIMESTEP\n900\n") :])  # frames 8 to the last
    frames, tally = read([one, tmp_path / "b.dump"], topology, time_step=0.001)
    np.testing.assert_allclose(frames.positions, run.positions, atol=1e-6)
    assert tally.repeated == 4
    np.testing.assert_allclose(np.diff(frames.times), 0.1, rtol=1e-6)


def test_runs_that_are_no_continuation_are_refused(tmp_path, topology):
    run = run_liquid()
    one = write_dump(tmp_path / "a.dump", run)
    other = write_dump(tmp_path / "b.dump", replace(run, positions=run.positions + 0.01))
    with pytest.raises(InputError, match="independent runs one by one"):
        read([one, other], topology, time_step=0.001)
    with pytest.raises(InputError, match="given twice"):
        read([one, one], topology)


def test_a_trajectory_that_stands_still_is_refused(tmp_path, topology):
    run = run_liquid()
    still = replace(run, positions=np.repeat(run.positions[:1], N_FRAMES, axis=0))
    with pytest.raises(InputError, match=r"frame 1 \(counted from 0\): its positions are those of the frame before"):
        read(write_dump(tmp_path / "a.dump", still), topology)


def test_numbers_that_are_not_finite_are_refused_with_the_frame(tmp_path, topology):
    run = run_liquid()
    forces = run.forces.copy()
    forces[4, 3, 1] = np.nan
    with pytest.raises(InputError, match=r"frame 4 .*its forces are not finite"):
        read(write_dump(tmp_path / "a.dump", replace(run, forces=forces)), topology)


def test_another_number_of_atoms_than_the_topology_has_is_refused(tmp_path, topology):
    short = replace(topology, n_particles=100)
    with pytest.raises(InputError, match="128 particles, the topology has 100"):
        read(write_dump(tmp_path / "a.dump", run_liquid()), short)


def test_particles_without_mass_are_left_out(tmp_path, topology):
    run = run_liquid()
    kept = np.arange(0, len(MASSES), 2)
    atoms = replace(
        topology.atoms, names=tuple(topology.atoms.names[i] for i in kept), elements=("C",) * len(kept), masses=MASSES[kept],
        residues=np.arange(len(kept)), molecules=np.arange(len(kept)), bonds=np.zeros((0, 2), int),
    )  # fmt: skip
    frames, _ = read(write_dump(tmp_path / "a.dump", run), replace(topology, atoms=atoms, kept=kept))
    np.testing.assert_allclose(frames.forces, run.forces[:, kept], rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": None}, "does not say its units"),
        ({"every": 0}, "at least every 1"),
        ({"first": -1}, "at least every 1, from 0 on"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        TrajectorySource(paths=(tmp_path / "none.dump",), **{"units": REAL, **settings})


def test_units_of_a_format_that_defines_them_are_refused(tmp_path):
    with pytest.raises(InputError, match="GROMACS TRR defines its units"):
        TrajectorySource(paths=(tmp_path / "a.trr",), units=REAL)
    with pytest.raises(InputError, match="does not say its units"):
        TrajectorySource(paths=(tmp_path / "a.xtc",), forces=(tmp_path / "a.npy",))
    with pytest.raises(InputError, match="1 arrays of forces for 2 trajectories"):
        TrajectorySource(
            paths=(tmp_path / "a.xtc", tmp_path / "b.xtc"), forces=(tmp_path / "a.npy",), forces_units=REAL
        )
    with pytest.raises(InputError, match="no trajectory"):
        TrajectorySource(paths=())
