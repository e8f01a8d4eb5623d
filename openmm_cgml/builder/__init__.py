"""Starting structures for a force field, and a script that simulates them."""

from openmm_cgml.builder.box import build_box, place_molecules
from openmm_cgml.builder.build import BuildResult, choose_time_step, write_build
from openmm_cgml.builder.composition import ChainCount
from openmm_cgml.builder.structure_file import read_structure, register_beads, write_structure

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
