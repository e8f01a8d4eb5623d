"""ValidationLimits: how far a simulation may be from its reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from openmm_cgml.errors import InputError

if TYPE_CHECKING:
    from openmm_cgml.validation.quantity import Quantity


_LARGEST = 1e300


class ValidationLimits(Mapping[str, float]):
    """Limits by name, such as `ValidationLimits(gr_com_rmse=0.045)`; those not given stay as they are.

    Each quantity describes its limits.

    Raises:
        InputError: If a limit is not a number, not finite, or negative.
    """

    def __init__(self, /, **limits: float) -> None:
        for name, value in limits.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 <= value <= _LARGEST:  # false for NaN; integers may be too large for a float
                raise InputError(f"limit {name} is {str(value)[:60]}; a limit is a finite number that is not negative")
        self._limits = {name: float(value) for name, value in limits.items()}

    def __getitem__(self, name: str) -> float:
        return self._limits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._limits)

    def __len__(self) -> int:
        return len(self._limits)

    def __repr__(self) -> str:
        return f"ValidationLimits({', '.join(f'{name}={value:g}' for name, value in self.items())})"


def collect_limits(quantities: Iterable[Quantity[Any]]) -> ValidationLimits:
    """All limits of quantities at their usual values."""
    return ValidationLimits(**{name: value for quantity in quantities for name, value in quantity.limits.items()})


def check_limits(limits: Iterable[str], quantities: Iterable[Quantity[Any]]) -> None:
    """Refuse limits that no quantity has.

    Raises:
        InputError: If a name is unknown.
    """
    known = collect_limits(quantities)
    if unknown := [name for name in limits if name not in known]:
        raise InputError(f"no limit {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}")
