"""A short chain of a made-up polymer as a PDB file: CH2-CH(F) units of random hands, with hydrogens at the ends."""

import numpy as np

from openmm_cgml.specification import ChainSpecification

CHAIN = ChainSpecification(name="vinyl", head="VIH", body="VIM", tail="VIT", links=[("C2", "C1")], monomers=6, count=3)
N_UNITS = 4


def lines(n_units=N_UNITS, n_models=6, seed=1, *, cut=(), names=("VIH", "VIM", "VIT")):
    """Lines of the file; atoms lie on a rough zigzag, the fluorine and its hydrogen on random sides."""
    generator = np.random.default_rng(seed)
    atoms, bonds = _atoms(n_units)
    text = []
    for model in range(n_models):
        text.append(f"MODEL     {model + 1:4d}")
        for number, ((name, element, residue), place) in enumerate(
            zip(atoms, _places(atoms, generator), strict=True), 1
        ):
            own = names[0] if residue == 0 else names[2] if residue == n_units - 1 else names[1]
            x, y, z = place
            text.append(
                f"HETATM{number:5d}  {name:<3} {own:>3} A{residue + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
                f"          {element:>2}"
            )
        text.append("ENDMDL")
    both_ways = sorted([*bonds, *((j, i) for i, j in bonds)])
    return [*text, *(f"CONECT{i + 1:5d}{j + 1:5d}" for i, j in both_ways if (i, j) not in cut), "END"]


def write(path, **changes):
    path.write_text("\n".join(lines(**changes)) + "\n")
    return path


def _atoms(n_units):
    atoms, bonds = [], []
    for unit in range(n_units):
        first = len(atoms)
        own = [("C1", "C"), ("C2", "C"), ("F1", "F"), ("H1", "H"), ("H2", "H"), ("H3", "H")]
        atoms += [(name, element, unit) for name, element in own]
        bonds += [(first, first + 1), (first + 1, first + 2), (first, first + 3), (first, first + 4)]
        bonds.append((first + 1, first + 5))
        if unit:
            bonds.append((first - 6 if unit == 1 else first - 5, first))
        if unit in (0, n_units - 1):
            bonds.append((first if unit == 0 else first + 1, len(atoms)))
            atoms.append(("H4", "H", unit))
    return atoms, sorted(bonds)


def _places(atoms, generator):
    """Angstrom. Backbone along x; what hangs on it above or below, fluorine and hydrogen of a center on opposite sides."""
    hands = generator.choice([1.0, -1.0], size=1 + atoms[-1][2])
    places = []
    for name, _, unit in atoms:
        offset = {
            "C1": (0.0, 0.0, 0.0),
            "C2": (1.25, 0.8, 0.0),
            "F1": (1.25, 1.5, 1.1 * hands[unit]),
            "H1": (0.0, -0.6, 0.9),
            "H2": (0.0, -0.6, -0.9),
            "H3": (1.25, 1.4, -0.9 * hands[unit]),
            "H4": (-1.0, 0.3, 0.0) if unit == 0 else (2.2, 0.3, 0.0),
        }[name]
        places.append(np.array(offset) + np.array([2.5 * unit, 0.0, 0.0]) + generator.normal(scale=0.02, size=3))
    return places
