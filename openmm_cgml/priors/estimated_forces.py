"""Forces between molecules where a recording has only total ones: what the bonded priors leave."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from openmm_cgml.errors import PriorWarning
from openmm_cgml.frames import Frames
from openmm_cgml.priors.prior_set import PriorSet
from openmm_cgml.priors.term import PriorTerm
from openmm_cgml.topology import CGTopology

__all__ = ["with_intermolecular_forces"]


def with_intermolecular_forces(frames: Frames, topology: CGTopology, bonded: Sequence[PriorTerm]) -> Frames:
    """The frames with forces between molecules, estimated where they were not recorded.

    The estimate is the total force less that of the bonded terms. What these do not explain of the forces within
    molecules stays in it as noise, which is larger than the forces between molecules. It is not correlated with
    distances between molecules, so least squares see through it with enough frames.

    Args:
        frames: Mapped frames, which may have total forces only.
        topology: The beads.
        bonded: Bonded terms that were fitted to the frames.

    Warns:
        PriorWarning: Where they were estimated, with the size of what is left.
    """
    if frames.forces_inter is not None or frames.forces is None or topology.n_molecules == topology.n_beads:
        return frames
    total = np.asarray(frames.forces, np.float64)
    left = total - PriorSet(terms=tuple(bonded), exclude_bonds=1).forces(topology, frames)
    warnings.warn(
        "the data hold total forces only, as imported trajectories do: pairs are fitted to what the bonded priors "
        "leave of them "
        f"(rms {_rms(left):.3g} of {_rms(total):.3g} kJ/mol/nm), most of it noise from within the molecules. Give the "
        "fit many frames "
        "and correct the structure with `openmm-cgml refine --target priors`; or have the forces between molecules "
        "computed: `openmm-cgml import --rerun`",
        PriorWarning,
        stacklevel=3,
    )
    return frames.replace(forces_inter=left)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
