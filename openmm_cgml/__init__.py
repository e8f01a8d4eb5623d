"""Machine-learned coarse-grained force fields for OpenMM.

The public names below load on first use, so that `import openmm_cgml` stays light: it imports neither torch nor OpenMM.
"""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.builder import build_box
    from openmm_cgml.dataset import ForceMatchingDataset
    from openmm_cgml.errors import OpenMMCGMLError
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.frames import Frames
    from openmm_cgml.mapping import Mapping
    from openmm_cgml.priors import PriorSet
    from openmm_cgml.reference import ForceRecorder, run_reference
    from openmm_cgml.refinement import refine
    from openmm_cgml.simulation import simulate
    from openmm_cgml.specification import read_specification
    from openmm_cgml.topology import CGTopology
    from openmm_cgml.training.fitting import fit
    from openmm_cgml.validation import validate

__version__ = "0.1.0"

_MODULE_OF = {
    "CGTopology": "topology",
    "ForceField": "force_field",
    "ForceMatchingDataset": "dataset",
    "ForceRecorder": "reference",
    "Frames": "frames",
    "Mapping": "mapping",
    "OpenMMCGMLError": "errors",
    "PriorSet": "priors",
    "build_box": "builder",
    "fit": "training",
    "read_specification": "specification",
    "refine": "refinement",
    "run_reference": "reference",
    "simulate": "simulation",
    "validate": "validation",
}

__all__ = [
    "CGTopology",
    "ForceField",
    "ForceMatchingDataset",
    "ForceRecorder",
    "Frames",
    "Mapping",
    "OpenMMCGMLError",
    "PriorSet",
    "__version__",
    "build_box",
    "fit",
    "read_specification",
    "refine",
    "run_reference",
    "simulate",
    "validate",
]


__getattr__, __dir__ = lazy_names(__name__, _MODULE_OF)
