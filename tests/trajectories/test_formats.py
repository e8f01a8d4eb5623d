"""Every format against a reader that is not the one used, in its own units."""

import warnings

import h5py
import numpy as np
import pytest
from scipy.io import netcdf_file

from openmm_cgml.errors import InputError
from openmm_cgml.trajectories.formats import TRAJECTORY_FORMATS, find_format, read_force_array, read_frames, with_forces
from openmm_cgml.trajectories.unit_systems import UNIT_SYSTEMS
from tests.trajectories.liquid import EDGE, MASSES, N_FRAMES, run_liquid

analysis = pytest.importorskip("MDAnalysis")


@pytest.fixture(scope="module")
def universe():
    """The run as MDAnalysis holds it: angstrom, ps, kJ/mol/angstrom."""
    run = run_liquid()
    made = analysis.Universe.empty(len(MASSES), trajectory=True, velocities=True, forces=True)
    reader = analysis.coordinates.memory.MemoryReader
    dimensions = np.tile([10 * EDGE] * 3 + [90.0] * 3, (N_FRAMES, 1))
    made.trajectory = reader(
        10 * run.positions, dimensions=dimensions, velocities=10 * run.velocities, forces=run.forces / 10, dt=0.1
    )
    return made


def write(universe, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what MDAnalysis fills in
        with analysis.Writer(str(path), n_atoms=len(MASSES), velocities=True, forces=True) as writer:
            for _ in universe.trajectory:
                writer.write(universe.atoms)
    return path


def in_our_units(path):
    units = find_format(path).units
    frames = list(read_frames(path))
    positions = np.array([frame.positions for frame in frames]) * units.length
    forces = np.array([frame.forces for frame in frames]) * units.force if frames[0].forces is not None else None
    return frames, positions, forces


def test_trr_has_what_mdtraj_reads(universe, tmp_path):
    from mdtraj.formats import TRRTrajectoryFile

    path = write(universe, tmp_path / "a.trr")
    frames, positions, forces = in_our_units(path)
    with TRRTrajectoryFile(str(path)) as file:
        peer = file._read(N_FRAMES, atom_indices=None, get_velocities=True, get_forces=True)
    np.testing.assert_allclose(positions, peer[0], atol=1e-6)
    np.testing.assert_allclose(forces, peer[6], rtol=1e-6)
    np.testing.assert_allclose([frame.velocities for frame in frames], peer[5], rtol=1e-6)
    np.testing.assert_allclose(forces, run_liquid().forces, rtol=1e-4, atol=1e-3)


def test_netcdf_has_what_its_variables_say(universe, tmp_path):
    path = write(universe, tmp_path / "a.ncdf")
    _, positions, forces = in_our_units(path)
    with netcdf_file(path, mmap=False) as file:
        assert file.variables["forces"].units == b"kilocalorie/mole/angstrom"
        np.testing.assert_allclose(positions, file.variables["coordinates"][:] / 10, rtol=1e-6)
        np.testing.assert_allclose(forces, file.variables["forces"][:] * 41.84, rtol=1e-5)
    np.testing.assert_allclose(forces, run_liquid().forces, rtol=1e-4, atol=1e-3)


def write_h5md(path, *, units=True):
    """An H5MD 1.1 file in nm, ps and kJ/mol."""
    run = run_liquid()
    with h5py.File(path, "w") as file:
        head = file.create_group("h5md")
        head.attrs["version"] = np.array([1, 1])
        for name in ("author", "creator"):
            head.create_group(name).attrs["name"] = "a test"
        particles = file.create_group("particles/trajectory")
        box = particles.create_group("box")
        box.attrs["dimension"], box.attrs["boundary"] = 3, ["periodic"] * 3
        arrays = {
            "box/edges": (np.tile(run.box, (N_FRAMES, 1, 1)), "nm"),
            "position": (run.positions, "nm"),
            "velocity": (run.velocities, "nm ps-1"),
            "force": (run.forces, "kJ mol-1 nm-1"),
        }
        for name, (values, unit) in arrays.items():
            group = particles.create_group(name)
            group["value"], group["step"], group["time"] = values, 50 * np.arange(1, N_FRAMES + 1), run.times
            if units:
                group["value"].attrs["unit"], group["time"].attrs["unit"] = unit, "ps"
    return path


def test_h5md_is_converted_from_the_units_that_it_states(tmp_path):
    frames, positions, forces = in_our_units(write_h5md(tmp_path / "a.h5md"))
    run = run_liquid()
    np.testing.assert_allclose(positions, run.positions, atol=1e-6)
    np.testing.assert_allclose(forces, run.forces, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose([frame.time for frame in frames], run.times)
    np.testing.assert_allclose(frames[0].velocities / 10, run.velocities[0], rtol=1e-5)


def test_h5md_without_units_is_refused(tmp_path):
    with pytest.raises(InputError, match="units"):
        list(read_frames(write_h5md(tmp_path / "a.h5md", units=False)))


def test_extended_xyz_has_what_its_text_says(tmp_path):
    pytest.importorskip("ase")
    run, path = run_liquid(), tmp_path / "a.extxyz"
    electronvolt = 96.48533212331  # kJ/mol
    lines = []
    for k in range(N_FRAMES):
        rows = np.column_stack([10 * run.positions[k], run.forces[k] / 10 / electronvolt])
        lattice = f"{10 * EDGE} 0 0 0 {10 * EDGE} 0 0 0 {10 * EDGE}"
        lines += [
            str(len(MASSES)),
            f'Lattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 time={run.times[k]} pbc="T T T"',
        ]
        lines += [f"{'CO'[i % 2]} " + " ".join(f"{value:.10f}" for value in row) for i, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    frames, positions, forces = in_our_units(path)
    np.testing.assert_allclose(positions, run.positions, atol=1e-8)
    np.testing.assert_allclose(forces, run.forces, atol=1e-5)
    np.testing.assert_allclose(frames[3].box, np.eye(3) * 10 * EDGE)
    assert frames[3].time == pytest.approx(run.times[3])


@pytest.mark.parametrize(("suffix", "precision"), [("xtc", 6e-4), ("dcd", 1e-6)])
def test_positions_without_forces_get_those_of_an_array(universe, tmp_path, suffix, precision):
    import mdtraj

    run, path = run_liquid(), write(universe, tmp_path / f"a.{suffix}")
    np.save(tmp_path / "f.npy", (run.forces / 41.84).astype(np.float32))
    units = find_format(path).units
    frames = list(with_forces(read_frames(path), read_force_array(tmp_path / "f.npy"), UNIT_SYSTEMS["real"], units))
    with {"xtc": mdtraj.formats.XTCTrajectoryFile, "dcd": mdtraj.formats.DCDTrajectoryFile}[suffix](str(path)) as file:
        peer = file.read()[0] * (1.0 if suffix == "xtc" else 0.1)
    positions = np.array([frame.positions for frame in frames]) * units.length
    np.testing.assert_allclose(positions, peer, atol=1e-6)
    np.testing.assert_allclose(positions, run.positions, atol=precision)
    np.testing.assert_allclose([f.forces * units.force for f in frames], run.forces, rtol=1e-5, atol=1e-4)


def test_an_array_of_forces_must_have_the_frames_and_atoms_of_the_trajectory(universe, tmp_path):
    path, units = write(universe, tmp_path / "a.xtc"), UNIT_SYSTEMS["gromacs"]
    forces = run_liquid().forces
    for wrong in (forces[:-1], forces[:, :-1], np.concatenate([forces, forces])):
        with pytest.raises(InputError, match="array of forces has"):
            list(with_forces(read_frames(path), wrong, units, units))
    with pytest.raises(InputError, match="forces of its own"):
        list(with_forces(read_frames(write(universe, tmp_path / "b.trr")), forces, units, units))


@pytest.mark.parametrize("content", [b"no array", None])
def test_what_is_no_array_of_forces_is_refused(tmp_path, content):
    path = tmp_path / "f.npy"
    path.write_bytes(content) if content else np.save(path, np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"shape|format"):
        read_force_array(path)


@pytest.mark.parametrize("suffix", [each.suffixes[0] for each in TRAJECTORY_FORMATS])
def test_a_damaged_file_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"\x00\x01 this is none of it \xff" * 20)
    with pytest.raises(InputError, match=r"a\."):
        list(read_frames(path))


def test_a_truncated_trajectory_is_refused(universe, tmp_path):
    path = write(universe, tmp_path / "a.trr")
    path.write_bytes(path.read_bytes()[: -len(MASSES) * 12 - 30])
    with pytest.raises(InputError, match="cannot be read"):
        list(read_frames(path))


def test_missing_files_and_unknown_endings_are_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        list(read_frames(tmp_path / "a.trr"))
    with pytest.raises(InputError, match=r"LAMMPS dump.*GROMACS TRR.*extended XYZ"):
        find_format(tmp_path / "a.zip")
