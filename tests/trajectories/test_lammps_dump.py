import gzip
import shutil

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.trajectories.lammps_dump import read_lammps_dump
from tests.trajectories.liquid import N_FRAMES, run_liquid, write_dump


def all_frames(path):
    frames = list(read_lammps_dump(path))
    return np.array([frame.positions for frame in frames]) * 0.1, np.array([frame.forces for frame in frames]) * 41.84


@pytest.mark.parametrize(
    "columns",
    [
        "id mol type element x y z vx vy vz fx fy fz",
        "fz fy fx z y x id",
        "element xu yu zu fx fy fz id type",
        "id x y z ix iy iz fx fy fz",
        "id xs ys zs ix iy iz fx fy fz",
    ],
)
def test_any_columns_in_any_order_of_atoms_give_the_frames_that_were_written(tmp_path, columns):
    run = run_liquid()
    positions, forces = all_frames(write_dump(tmp_path / "a.dump", run, columns=columns, seed=7, wrap="ix" in columns))
    assert positions.shape == run.positions.shape
    np.testing.assert_allclose(positions, run.positions, atol=2e-7)
    np.testing.assert_allclose(forces, run.forces, atol=1e-4)


def test_wrapped_coordinates_without_image_flags_stay_wrapped(tmp_path):
    run = run_liquid()
    positions, _ = all_frames(write_dump(tmp_path / "a.dump", run, columns="id x y z fx fy fz", wrap=True))
    np.testing.assert_allclose(positions, run.positions % run.box[0, 0], atol=2e-7)


def test_a_dump_is_read_as_mdanalysis_reads_it(tmp_path):
    reader = pytest.importorskip("MDAnalysis.coordinates.LAMMPS").DumpReader
    path = write_dump(tmp_path / "a.dump", run_liquid(), seed=2, wrap=True)
    with reader(str(path), dt=0.1) as peer:
        for step, frame in zip(peer, read_lammps_dump(path), strict=True):
            np.testing.assert_allclose(frame.positions, step.positions, atol=1e-5)
            np.testing.assert_allclose(frame.forces, step.forces, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(frame.velocities, step.velocities, rtol=1e-5, atol=1e-8)
            np.testing.assert_allclose(np.diag(frame.box), step.dimensions[:3], rtol=1e-6)


def test_a_compressed_dump_is_read(tmp_path):
    path = write_dump(tmp_path / "a.dump", run_liquid())
    with open(path, "rb") as plain, gzip.open(tmp_path / "a.dump.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    assert len(list(read_lammps_dump(tmp_path / "a.dump.gz"))) == N_FRAMES


def header(bounds="pp pp pp", lines=("0 10", "0 10", "0 10"), columns="id x y z", n=2):
    box = "\n".join(lines)
    return f"ITEM: TIMESTEP\n5\nITEM: NUMBER OF ATOMS\n{n}\nITEM: BOX BOUNDS {bounds}\n{box}\nITEM: ATOMS {columns}\n"


def read_text(tmp_path, text):
    path = tmp_path / "a.dump"
    path.write_text(text)
    return list(read_lammps_dump(path))


def test_a_tilted_box_has_its_vectors_and_its_corner_at_the_origin(tmp_path):
    # xlo 1, xhi 11, ylo 2, yhi 10, zlo 3, zhi 9, xy 2, xz -1, yz 1.5: bounds as the manual of LAMMPS defines them.
    lines = ("0 13 2", "2 11.5 -1", "3 9 1.5")
    text = header("xy xz yz pp pp pp", lines) + "1 1 2 3\n2 2 3 4\n" + header("xy xz yz pp pp pp", lines, "id xs ys zs")
    first, second = read_text(tmp_path, text + "1 0 0 0\n2 0.5 0.5 0.5\n")
    np.testing.assert_allclose(first.box, [[10, 0, 0], [2, 8, 0], [-1, 1.5, 6]])
    np.testing.assert_allclose(first.positions, [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(second.positions[1], first.box.sum(axis=0) / 2)


def test_a_box_that_is_periodic_nowhere_is_none_and_times_come_from_the_file(tmp_path):
    text = "ITEM: UNITS\nreal\nITEM: TIME\n2.5\n" + header("ss ff mm") + "2 1 2 3\n1 0 0 0\n"
    (frame,) = read_text(tmp_path, text)
    assert frame.box is None
    assert frame.time == 2.5
    np.testing.assert_allclose(frame.positions, [[0, 0, 0], [1, 2, 3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (header("pp pp ff") + "1 1 2 3\n2 1 2 3\n", "periodic in some directions only"),
        (header("abc origin pp pp pp") + "1 1 2 3\n2 1 2 3\n", "triclinic/general no"),
        (header(columns="x y z") + "1 2 3\n1 2 3\n", "no column `id`"),
        (header(columns="id vx vy vz") + "1 1 2 3\n2 1 2 3\n", "no coordinates"),
        (header() + "1 1 2 3\n1 4 5 6\n", "atom id 1 is there twice"),
        (header() + "1 1 2 3\n", "ends after 1 of 2 atoms"),
        (header() + "1 1 2 3\n2 1 2\n", "line 2 of its atoms has 3 columns"),
        (header() + "1 1 2 3\n2 1 two 3\n", "holds text"),
        (header(n=0), "0 atoms"),
        (header() + "1 1 2 3\n2 4 5 6\n" + header() + "1 1 2 3\n3 4 5 6\n", "other ids than those of the first frame"),
        ("PK\x03\x04 binary", "begins with ITEM:"),
        ("ITEM: TIMESTEP\n5\n", "ends within its header"),
        (header(lines=("0 ten", "0 10", "0 10")) + "1 1 2 3\n2 1 2 3\n", "header cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_frame(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        read_text(tmp_path, text)
    assert "frame " in str(error.value)
