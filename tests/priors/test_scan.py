import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.priors import PriorSet, PriorTerm, check_repulsion, scan_repulsion

PRIORS = PriorSet(
    terms=(
        PriorTerm(
            form="power_repulsion",
            types=("A", "A"),
            parameters={"sigma": 0.4, "epsilon": 4.184, "exponent": 12, "cutoff": 0.8, "switch_distance": 0.7},
        ),
    )
)
CLOSEST = {("A", "A"): 0.36}


@pytest.mark.physics
def test_repulsion_rises_below_the_data_and_a_hole_is_found() -> None:
    (scan,) = scan_repulsion(PRIORS.pair_energy, CLOSEST)
    assert scan.is_monotonic
    assert scan.distances[[0, -1]] == pytest.approx([0.36, 0.18])
    check_repulsion(PRIORS.pair_energy, CLOSEST)

    def with_hole(a: str, b: str, distance: np.ndarray) -> np.ndarray:
        return PRIORS.pair_energy(a, b, distance) - 4000 * np.exp(-(((distance - 0.23) / 0.02) ** 2))

    (scan,) = scan_repulsion(with_hole, CLOSEST)
    assert scan.hole is not None
    assert 0.23 < scan.hole < 0.3
    with pytest.raises(InputError, match=r"A-A inside 0\.2\d\d nm.*larger sigma"):
        check_repulsion(with_hole, CLOSEST)


def test_no_repulsion_and_values_that_are_not_finite_count_as_holes() -> None:
    (scan,) = scan_repulsion(PriorSet(terms=()).pair_energy, CLOSEST)
    assert not scan.is_monotonic
    (scan,) = scan_repulsion(lambda a, b, r: np.full_like(r, np.nan), CLOSEST)
    assert scan.hole == pytest.approx(0.36)
