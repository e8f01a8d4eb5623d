import numpy as np
import pytest

from openmm_cgml.engine import matrix_products
from openmm_cgml.engine.matrix_products import Product


@pytest.mark.parametrize("shape", [(5, 3), (240, 256)])
@pytest.mark.parametrize("packed", [True, False])
def test_products_are_those_of_numpy(monkeypatch, shape, packed):
    if not packed:
        monkeypatch.setattr(matrix_products, "can_pack", lambda: False)
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=shape).astype(np.float32)
    rows = rng.normal(size=(37, shape[1])).astype(np.float32)
    product = Product(matrix)
    np.testing.assert_allclose(product(rows), rows @ matrix.T, atol=1e-3)
    out = np.ones((37, shape[0]), np.float32)
    product.into(rows, out)
    np.testing.assert_allclose(out, rows @ matrix.T, atol=1e-3)
