"""Starting structures for a force field, and a script that simulates them."""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.builder.box import build_box, place_molecules
    from openmm_cgml.builder.build import BuildResult, write_build
    from openmm_cgml.builder.composition import ChainCount
    from openmm_cgml.builder.structure_file import read_structure, register_beads, write_structure
    from openmm_cgml.builder.time_step import choose_time_step

__all__ = [
    "BuildResult",
    "ChainCount",
    "build_box",
    "choose_time_step",
    "place_molecules",
    "read_structure",
    "register_beads",
    "write_build",
    "write_structure",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BuildResult": "build",
        "ChainCount": "composition",
        "build_box": "box",
        "choose_time_step": "time_step",
        "place_molecules": "box",
        "read_structure": "structure_file",
        "register_beads": "structure_file",
        "write_build": "build",
        "write_structure": "structure_file",
    },
)
