import numpy as np
import pytest

from benchmarks.speed_evaluate import check_evaluation


def test_a_method_that_computes_something_else_is_refused():
    forces = np.random.default_rng(0).normal(size=(50, 3))
    exact = (10.0, forces)
    assert check_evaluation("same", (10.0, forces + 1e-5), exact) == pytest.approx(1e-5, rel=0.2)
    with pytest.raises(RuntimeError, match="forces differ"):
        check_evaluation("other forces", (10.0, forces * 1.01), exact)
    with pytest.raises(RuntimeError, match="nothing was timed"):
        check_evaluation("other energy", (11.0, forces), exact)
    with pytest.raises(RuntimeError, match="nothing was timed"):
        check_evaluation("not a number", (10.0, forces * np.nan), exact)
