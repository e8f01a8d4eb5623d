#!/usr/bin/env python3
"""Draw how atoms become beads in every shipped system: docs/images/mapping-<system>.png. Needs RDKit."""

from __future__ import annotations

from pathlib import Path

from rdkit import Chem
from rdkit.Chem import AllChem
from rdkit.Chem.Draw import rdMolDraw2D

from openmm_cgml.reference import find_atomistic_model, find_polymer
from openmm_cgml.shipped import list_systems
from openmm_cgml.specification import SystemSpecification, read_specification

FOLDER = Path(__file__).resolve().parent / "images"
COLORS = [(0.99, 0.75, 0.44), (0.55, 0.78, 0.95), (0.65, 0.87, 0.55), (0.94, 0.62, 0.65), (0.78, 0.70, 0.90)]
MONOMERS = 3
LARGE = 60
"""Atoms beyond which hydrogens are left out."""


def main() -> None:
    """Draw every system that has an atomistic model."""
    FOLDER.mkdir(exist_ok=True)
    for name in list_systems():
        (FOLDER / f"mapping-{name}.png").write_bytes(draw(read_specification(name)))


def draw(specification: SystemSpecification) -> bytes:
    """PNG of one molecule, or of a chain of three residues, one color per bead type; hydrogens only if it is small."""
    graph = chain_of(specification) if specification.chains else molecule_of(specification)
    elements, bonds, beads = without_hydrogens(*graph) if len(graph[0]) > LARGE else graph
    molecule = Chem.RWMol()
    for symbol in elements:
        molecule.AddAtom(Chem.Atom(symbol))
    for i, j in bonds:
        molecule.AddBond(i, j, Chem.BondType.SINGLE)
    colors = {atom: COLORS[specification.type_names.index(kind) % len(COLORS)] for atom, (_, kind) in beads.items()}
    inside = [number for number, (i, j) in enumerate(bonds) if beads[i][0] == beads[j][0]]
    for atom in molecule.GetAtoms():
        atom.SetNoImplicit(True)
    AllChem.Compute2DCoords(molecule)
    size = (900, 420) if specification.chains else (420, 420)
    canvas = rdMolDraw2D.MolDraw2DCairo(*size)
    options = canvas.drawOptions()
    options.highlightRadius, options.highlightBondWidthMultiplier, options.bondLineWidth = 0.38, 22, 2
    options.useBWAtomPalette()
    rdMolDraw2D.PrepareMolForDrawing(molecule, kekulize=False, addChiralHs=False)
    canvas.DrawMolecule(
        molecule,
        highlightAtoms=list(colors),
        highlightAtomColors=colors,
        highlightBonds=inside,
        highlightBondColors={number: colors[bonds[number][0]] for number in inside},
        legend=", ".join(specification.type_names) + " (one color each)",
    )
    canvas.FinishDrawing()
    return bytes(canvas.GetDrawingText())


Graph = tuple[list[str], list[tuple[int, int]], dict[int, tuple[str, str]]]
"""Elements, bonds, and (bead, bead type) of each atom."""


def without_hydrogens(elements: list[str], bonds: list[tuple[int, int]], beads: dict[int, tuple[str, str]]) -> Graph:
    """The heavy atoms of a graph."""
    kept = [i for i, symbol in enumerate(elements) if symbol != "H"]
    number = {atom: place for place, atom in enumerate(kept)}
    return (
        [elements[i] for i in kept],
        [(number[i], number[j]) for i, j in bonds if i in number and j in number],
        {number[i]: beads[i] for i in kept},
    )


def molecule_of(specification: SystemSpecification) -> Graph:
    """One small molecule."""
    assert specification.reference is not None
    model = find_atomistic_model(specification.reference.force_field)
    beads = {atom: (bead.name, bead.type) for bead in specification.residues[0].beads for atom in bead.atoms}
    return list(model.elements), list(model.bonds), {i: beads[name] for i, name in enumerate(model.atom_names)}


def chain_of(specification: SystemSpecification) -> Graph:
    """A short chain."""
    polymer = find_polymer(specification.chains[0].name)
    elements: list[str] = []
    bonds: list[tuple[int, int]] = []
    beads: dict[int, tuple[str, str]] = {}
    before: dict[str, int] = {}
    for number, unit in enumerate(polymer.units(MONOMERS)):
        start = len(elements)
        elements += unit.elements
        bonds += [(start + i, start + j) for i, j in unit.bonds]
        own = {name: start + i for i, name in enumerate(unit.atom_names)}
        links = polymer.joint_links(number - 1) if before else ()
        bonds += [(before[a], own[b]) for a, b in links]
        for bead in specification.residue(unit.residue_name).beads:
            beads |= {own[atom]: (f"{number}-{bead.name}", bead.type) for atom in bead.atoms}
        before = own
    return elements, bonds, beads


if __name__ == "__main__":
    main()
