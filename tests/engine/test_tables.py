from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from openmm_cgml.engine.tables import tabulate


def test_tables_hold_values_and_slopes_times_the_spacing():
    knots = tabulate(lambda r: torch.stack([r**2, torch.cos(r)], dim=1), 2.0, 11)
    r = np.linspace(0, 2, 11)
    np.testing.assert_allclose(knots[:, 0], np.stack([r**2, np.cos(r)], axis=1), atol=1e-14)
    np.testing.assert_allclose(knots[:, 1], 0.2 * np.stack([2 * r, -np.sin(r)], axis=1), atol=1e-14)


def test_two_threads_can_tabulate_at_a_time():
    """Torch's levels of forward differentiation are common to all threads; without a lock most of these calls fail."""
    weight = torch.randn(300, 300, dtype=torch.float64)

    def curves(r):
        return torch.tanh(r[:, None] * torch.ones(300, dtype=torch.float64) @ weight)

    expected = tabulate(curves, 1.0, 200)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: tabulate(curves, 1.0, 200), range(20)))
    assert all(np.array_equal(knots, expected) for knots in found)
