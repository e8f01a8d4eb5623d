"""A picture of which atoms make which bead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openmm_cgml.starting.beads import Bead
from openmm_cgml.starting.molecules import SmallMolecule, chemistry

__all__ = ["draw_mapping"]

_COLORS = [
    (0.99, 0.75, 0.44), (0.55, 0.78, 0.95), (0.65, 0.87, 0.55), (0.94, 0.62, 0.65), (0.78, 0.70, 0.90),
    (0.85, 0.80, 0.55), (0.60, 0.85, 0.82), (0.90, 0.70, 0.85),
]  # fmt: skip
_LARGE = 60
"""Atoms beyond which hydrogens are left out."""
_PANEL = (460, 460)


def draw_mapping(molecules: Sequence[SmallMolecule], beads: Sequence[Sequence[Bead]]) -> bytes:
    """PNG with a panel for each kind of molecule, one color for each bead type, lighter for every other bead of it.

    Atoms carry their names, so that beads can be named by them.
    """
    chem = chemistry()
    from rdkit.Chem.Draw import rdMolDraw2D

    types = list(dict.fromkeys(bead.type for own in beads for bead in own))
    width, height = _PANEL
    canvas = rdMolDraw2D.MolDraw2DCairo(width * len(molecules), height, width, height)
    options: Any = canvas.drawOptions()
    options.highlightRadius = 0.38
    options.highlightBondWidthMultiplier = 22
    options.bondLineWidth = 2
    options.useBWAtomPalette()
    panels = [_panel(chem, molecule, own, types) for molecule, own in zip(molecules, beads, strict=True)]
    drawn, atoms, bonds = ([panel[place] for panel in panels] for place in range(3))
    canvas.DrawMolecules(
        drawn,
        highlightAtoms=[list(own) for own in atoms],
        highlightBonds=[list(own) for own in bonds],
        highlightAtomColors=atoms,
        highlightBondColors=bonds,
        legends=[_legend(molecule, own) for molecule, own in zip(molecules, beads, strict=True)],
    )
    canvas.FinishDrawing()
    return bytes(canvas.GetDrawingText())


def _legend(molecule: SmallMolecule, beads: Sequence[Bead]) -> str:
    types = ", ".join(dict.fromkeys(bead.type for bead in beads))
    return f"{molecule.residue_name}: {len(beads)} {'bead' if len(beads) == 1 else 'beads'} of {types}"


_Panel = tuple[Any, dict[int, tuple[float, float, float]], dict[int, tuple[float, float, float]]]


def _panel(chem: Any, molecule: SmallMolecule, beads: Sequence[Bead], types: Sequence[str]) -> _Panel:
    """Molecule to draw, and colors of its atoms and of the bonds within a bead."""
    from rdkit.Chem.Draw import rdMolDraw2D

    drawn = chem.MolFromMolBlock(molecule.mol_block, removeHs=False)
    bead_of = {atom: number for number, bead in enumerate(beads) for atom in bead.atoms}
    for atom in drawn.GetAtoms():
        atom.SetIntProp("_place", atom.GetIdx())
        atom.SetProp("atomNote", molecule.atom_names[atom.GetIdx()])
    if drawn.GetNumAtoms() > _LARGE:
        drawn = chem.RemoveHs(drawn)
    chem.AllChem.Compute2DCoords(drawn)
    drawn = rdMolDraw2D.PrepareMolForDrawing(drawn, kekulize=True, addChiralHs=False)
    place = [atom.GetIntProp("_place") for atom in drawn.GetAtoms()]
    color = [_color(beads, bead_of[own], types) for own in place]
    bonds = {
        bond.GetIdx(): color[bond.GetBeginAtomIdx()]
        for bond in drawn.GetBonds()
        if bead_of[place[bond.GetBeginAtomIdx()]] == bead_of[place[bond.GetEndAtomIdx()]]
    }
    return drawn, dict(enumerate(color)), bonds


def _color(beads: Sequence[Bead], number: int, types: Sequence[str]) -> tuple[float, float, float]:
    """That of the bead's type, lighter for every other bead of it, so that equal neighbors are told apart."""
    kind = beads[number].type
    red, green, blue = _COLORS[types.index(kind) % len(_COLORS)]
    if sum(bead.type == kind for bead in beads[:number]) % 2 == 0:
        return red, green, blue
    return 0.5 * (1 + red), 0.5 * (1 + green), 0.5 * (1 + blue)
