"""Kinds of residues and chains, molecules made of them, what bonds one residue to another, and what names mean."""

from openmm_cgml.residues.chain import ChainTemplate
from openmm_cgml.residues.molecule import MoleculeTemplate
from openmm_cgml.residues.rules import LinkRules
from openmm_cgml.residues.template import ResidueTemplate, check_bonds, check_residue_bonds

__all__ = [
    "ChainTemplate",
    "LinkRules",
    "MoleculeTemplate",
    "ResidueTemplate",
    "check_bonds",
    "check_residue_bonds",
]
