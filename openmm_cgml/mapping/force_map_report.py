"""What optimal force weights gain, for one kind of residue."""

import math
from collections.abc import Mapping as Dictionary
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

_LEAST_GAIN = 1e-3


@dataclass(frozen=True, kw_only=True)
class ForceMapReport:
    """What an optimal force map gains for one kind of residue.

    Attributes:
        residue_name: The kind of residue, or of molecule where beads reach across residues.
        bead_names: Its beads.
        uniform_rms: Force rms per component with uniform weights [kJ/mol/nm], one value per bead.
        optimal_rms: The same with optimal weights.
        n_samples: Force components averaged over for each pair of atoms.
        uniform_inter_rms: `uniform_rms` of the intermolecular part alone; empty where it was not recorded.
        optimal_inter_rms: `optimal_rms` of the intermolecular part alone; empty where it was not recorded.
        uniform_valid: Whether no constraint is cut, so that uniform weights give the right mean force.
    """

    _LISTS: ClassVar[tuple[str, ...]] = (
        "bead_names", "uniform_rms", "optimal_rms", "uniform_inter_rms", "optimal_inter_rms",
    )  # fmt: skip

    residue_name: str
    bead_names: tuple[str, ...]
    uniform_rms: tuple[float, ...]
    optimal_rms: tuple[float, ...]
    n_samples: int
    uniform_inter_rms: tuple[float, ...] = ()
    optimal_inter_rms: tuple[float, ...] = ()
    uniform_valid: bool = True

    @property
    def variance_removed(self) -> float:
        """Share of the mean square force with uniform weights, over all beads, that optimal weights remove."""
        before, after = (sum(x**2 for x in each) for each in (self.uniform_rms, self.optimal_rms))
        return 1 - after / before if before else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {**asdict(self), **{name: list(getattr(self, name)) for name in self._LISTS}}

    @classmethod
    def from_dict(cls, content: Dictionary[str, Any]) -> "ForceMapReport":
        """The report that `to_dict` wrote."""
        return cls(**{**content, **{name: tuple(content[name]) for name in cls._LISTS if name in content}})

    def to_text(self) -> str:
        """One line per bead, and one of the variance removed."""
        lines = [f"optimal force map of {self.residue_name} ({self.n_samples} samples), force rms [kJ/mol/nm]:"]
        for bead, before, after in zip(self.bead_names, self.uniform_rms, self.optimal_rms, strict=True):
            lines.append(f"  {bead}: {before:.1f} with uniform sums, {after:.1f} optimal ({after / before - 1:+.1%})")
        if not self.uniform_valid:
            lines.append("  uniform sums would lack the forces of constraints that are cut; only the optimal are right")
        elif self.variance_removed < _LEAST_GAIN:
            lines.append("  nothing to gain: the optimal weights are the uniform ones, or as good as these")
        else:
            lines.append(f"  {self.variance_removed:.0%} of the mean square force, all of it noise, is removed")
        if self.uniform_inter_rms:
            rms = [math.sqrt(sum(x**2 for x in e) / len(e)) for e in (self.uniform_inter_rms, self.optimal_inter_rms)]
            lines.append(f"  intermolecular part: {rms[0]:.1f} with uniform sums, {rms[1]:.1f} with these weights")
        return "\n".join(lines)
