"""Metric: one number of a simulation beside the reference's, with its limit, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.result import Result


@dataclass(frozen=True, eq=False, kw_only=True)
class Metric(Result):
    """One number of a simulation beside the reference's.

    Attributes:
        key: Short name, as in `benchmarks/results/fidelity.json`.
        label: Name for people, with what it is the worst of.
        unit: Unit, empty for pure numbers.
        value: The simulation's value.
        error: Its standard error, if known.
        reference: The reference's value, if there is one.
        reference_error: The reference's own statistical error, if known.
        lowest: Smallest value that passes, if there is a limit.
        highest: Largest value that passes, if there is a limit.
    """

    key: str
    label: str
    unit: str = ""
    value: float
    error: float | None = None
    reference: float | None = None
    reference_error: float | None = None
    lowest: float | None = None
    highest: float | None = None

    @property
    def verdict(self) -> str:
        """The verdict "pass" or "fail", or nothing where there is no limit."""
        if self.lowest is None and self.highest is None:
            return ""
        too_low = self.lowest is not None and self.value < self.lowest
        too_high = self.highest is not None and self.value > self.highest
        return "fail" if too_low or too_high else "pass"

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    @property
    def limit(self) -> str:
        """The limit as text."""
        if self.lowest is not None and self.highest is not None:
            return f"{self.lowest:.4g} to {self.highest:.4g}"
        if self.highest is not None:
            return f"≤ {self.highest:.4g}"
        return "" if self.lowest is None else f"≥ {self.lowest:.3g}"


def format_value(value: float, error: float | None) -> str:
    """A value with as many digits as its error allows."""
    if error is None or error <= 0:
        return f"{value:.4g}"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{digits}f} ± {error:.{digits}f}" if digits < 7 else f"{value:.3g} ± {error:.1g}"


def format_reference(metric: Metric) -> str:
    """The reference's value, or where there is none its own statistical error."""
    if metric.reference is not None:
        return format_value(metric.reference, metric.reference_error)
    return "" if metric.reference_error is None else f"own halves: {metric.reference_error:.2g}"


def name_worst(label: str, values: Mapping[str, float], worst: str) -> str:
    """A label that says of how many kinds the value is the worst, and of which."""
    return label if len(values) == 1 else f"{label} (worst of {len(values)}: {worst})"
