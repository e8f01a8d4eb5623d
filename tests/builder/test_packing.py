import numpy as np

from openmm_cgml.builder.packing import spread_molecules


def unevenness(positions, edge, n=4):
    cells = np.floor(positions * n / edge).astype(int) % n
    counts = np.bincount(np.ravel_multi_index(tuple(cells.T), (n,) * 3), minlength=n**3)
    return counts.std() / counts.mean()


def test_molecules_keep_their_shape_and_fill_the_box_evenly():
    rng = np.random.default_rng(0)
    shapes = [np.cumsum(rng.normal(scale=0.1, size=(50, 3)), axis=0) for _ in range(60)]
    shapes = [shape - shape.mean(axis=0) for shape in shapes]
    positions = spread_molecules(shapes, 4.0, np.random.default_rng(1))
    for shape, placed in zip(shapes, positions.reshape(60, 50, 3), strict=True):
        assert np.allclose(np.linalg.norm(placed - placed[0], axis=1), np.linalg.norm(shape - shape[0], axis=1))
    blind = np.concatenate([shape + rng.uniform(0, 4.0, 3) for shape in shapes])
    assert unevenness(positions, 4.0) < 0.75 * unevenness(blind, 4.0)
    assert np.array_equal(positions, spread_molecules(shapes, 4.0, np.random.default_rng(1)))
