import numpy as np
import pytest
from matplotlib.figure import Figure

from openmm_cgml.analysis.box_picture import draw_box, write_box_picture
from openmm_cgml.errors import InputError

POSITIONS = np.random.default_rng(1).uniform(-1.0, 4.0, (12, 3))
BOX = 2.0 * np.eye(3)


def axes_of(**options):
    axes = Figure().add_subplot()
    draw_box(axes, POSITIONS, BOX, **options)
    return axes


def test_every_particle_is_drawn_inside_the_box():
    edges, _, balls = axes_of().collections
    assert len(balls.get_paths()) == len(POSITIONS)
    corners = np.concatenate([path.vertices for path in edges.get_paths()])
    centers = np.array([path.get_extents().get_points().mean(0) for path in balls.get_paths()])
    assert (centers >= corners.min(0) - 1e-6).all()
    assert (centers <= corners.max(0) + 1e-6).all()


def test_bonds_through_the_boundary_are_left_out():
    positions = np.array([[0.1, 1.0, 1.0], [0.3, 1.0, 1.0], [1.9, 1.0, 1.0]])
    axes = Figure().add_subplot()
    draw_box(axes, positions, BOX, bonds=[[0, 1], [0, 2]])
    assert len(axes.collections[1].get_segments()) == 1


def test_particles_of_a_molecule_share_a_color_that_pales_with_depth():
    positions = np.array([[1.0, 0.1, 1.0], [1.0, 1.9, 1.0]])
    axes = Figure().add_subplot()
    draw_box(axes, positions, BOX, molecules=[0, 0])
    back, front = axes.collections[2].get_facecolors()[:, :3]  # the far one is drawn first
    assert (back > front).any()
    np.testing.assert_allclose((1 - back) / (1 - front), ((1 - back) / (1 - front))[0], rtol=1e-6)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_picture_is_written(tmp_path, ending):
    path = tmp_path / f"box.{ending}"
    write_box_picture(path, POSITIONS, BOX, bonds=[[0, 1]], title="a box")
    assert path.stat().st_size > 1000


def test_unusable_frames_are_refused():
    with pytest.raises(InputError, match=r"shape \(12, 2\)"):
        draw_box(Figure().add_subplot(), POSITIONS[:, :2], BOX)
    with pytest.raises(InputError, match="not all finite"):
        draw_box(Figure().add_subplot(), np.full((2, 3), np.nan), BOX)
