"""How shipped models are made: one recipe for each, and one way to carry it out."""

from openmm_cgml.selection.pages import write_pages
from openmm_cgml.selection.publish import publish
from openmm_cgml.selection.recipe import Recipe, find_recipe, read_recipe
from openmm_cgml.selection.results import FIDELITY, collect_results, read_results
from openmm_cgml.selection.stages import STAGES, STUDIES, Stage, find_stages, make_model
from openmm_cgml.selection.workplace import Workplace

__all__ = [
    "FIDELITY",
    "STAGES",
    "STUDIES",
    "Recipe",
    "Stage",
    "Workplace",
    "collect_results",
    "find_recipe",
    "find_stages",
    "make_model",
    "publish",
    "read_recipe",
    "read_results",
    "write_pages",
]
