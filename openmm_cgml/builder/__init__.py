"""Starting structures for a force field, and a script that simulates them."""

from openmm_cgml.builder.box import build_box, place_molecules
from openmm_cgml.builder.build import BuildResult, write_build

__all__ = ["BuildResult", "build_box", "place_molecules", "write_build"]
