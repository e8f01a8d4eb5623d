"""The tables of docs/choosing-a-mapping.md: mappings of benzene and polyethylene judged, and METIS on an electrolyte.

    python -m benchmarks.mappings --benzene runs/benzene --polyethylene runs/pe --electrolyte litfsi_polymer.data

The recordings are those of `openmm-cgml reference`; the electrolyte is a LAMMPS data file of atom style full, of which
masses, atoms and bonds are read (the published one is tests/test_data/9-0-413610210-0 of TRI-AMDD/htp_md).
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np

from openmm_cgml.dataset import open_recording, spread_frames
from openmm_cgml.judging import judge_mapping, suggest_mappings, table_of
from openmm_cgml.judging.structure import disconnected_beads
from openmm_cgml.mapping import center_of_mass_mapping, group_by_metis, mapping_from_labels, partition_molecule
from openmm_cgml.mapping.labels import labels_of_groups, molecule_groups, residue_groups
from openmm_cgml.specification import read_specification
from openmm_cgml.topology import AtomTopology, connected_components

RESULT = Path(__file__).parent / "results" / "mappings.json"
FRAMES = 60


def judged(recording, mappings, atoms):
    """The table and the numbers of some mappings."""
    store = open_recording(recording)
    frames = spread_frames(store, FRAMES)
    found = [
        judge_mapping(mapping, atoms, frames, temperature=store.metadata["temperature"], name=name)
        for name, mapping in mappings.items()
    ]
    return {"n_frames": len(frames), "table": table_of(found), "judgements": [each.to_dict() for each in found]}


def shipped(atoms, *names):
    return {name: center_of_mass_mapping(read_specification(name), atoms) for name in names}


def benzene(recording):
    """One to four beads, and the other ways to pair the carbons."""
    atoms = AtomTopology.from_dict(open_recording(recording).metadata["atoms"])
    groups = residue_groups(atoms)
    pairs = {"one pair adjacent": [0, 1, 0, 1, 2, 2], "opposite": [0, 1, 2, 0, 1, 2]}
    (two,) = suggest_mappings(atoms, [2], temperature=300.0, methods=["partition"])
    mappings = shipped(atoms, "benzene-1bead", "benzene-3bead")
    mappings |= {
        name: mapping_from_labels(atoms, labels_of_groups(groups, [2 * own], atoms.n_atoms))
        for name, own in pairs.items()
    }
    mappings["two beads"] = mapping_from_labels(atoms, two.labels)
    return judged(recording, mappings, atoms)


def polyethylene(recording):
    """One, two and four carbons per bead."""
    atoms = AtomTopology.from_dict(open_recording(recording).metadata["atoms"])
    mappings = shipped(atoms, "polyethylene-2bead", "polyethylene-1bead")
    chains = molecule_groups(atoms)
    for carbons in (4,):
        n_beads = 100 // carbons
        labels = [partition_molecule(g.masses, g.elements, g.bonds, n_beads) for g in chains]
        mappings[f"{carbons} carbons"] = mapping_from_labels(atoms, labels_of_groups(chains, labels, atoms.n_atoms))
    return judged(recording, mappings, atoms)


def electrolyte(path):
    """How many beads of METIS are disconnected, in its modes and after repair, at seven atoms per bead."""
    masses, bonds = read_data(path)
    elements = [""] * len(masses)
    molecules = connected_components(len(masses), bonds)
    found = {}
    for name, divide in {
        "recursive": partial(plain_metis, recursive=True),
        "k-way": partial(plain_metis, recursive=False),
        "k-way, contiguous": partial(plain_metis, recursive=False, contig=1),
        "group_by_metis": lambda m, b: group_by_metis(m, [""] * len(m), b),
    }.items():
        labels, first = np.empty(len(masses), dtype=np.int64), 0
        for molecule in range(molecules.max() + 1):
            own = np.flatnonzero(molecules == molecule)
            local = np.searchsorted(own, bonds[molecules[bonds[:, 0]] == molecule])
            part = divide(masses[own], local)
            labels[own] = first + part
            first += int(part.max()) + 1
        sizes = np.bincount(labels)
        found[name] = {
            "beads": first,
            "of several atoms": int((sizes > 1).sum()),
            "disconnected": len(disconnected_beads(labels, bonds)),
            "smallest": int(sizes[sizes > 1].min()),
            "largest": int(sizes.max()),
            "hydrogens apart from their atom": hydrogens_apart(masses, bonds, labels),
        }
    return {"atoms": len(elements), "molecules": int(molecules.max()) + 1, "modes": found}


def plain_metis(masses, bonds, *, recursive, **options):
    """METIS on all atoms alike, as it was published: parts of about seven atoms."""
    import pymetis

    n_parts = max(1, round(len(masses) / 7))
    if n_parts == 1:
        return np.zeros(len(masses), dtype=np.int64)
    neighbors = [[] for _ in masses]
    for i, j in bonds.tolist():
        neighbors[i].append(j)
        neighbors[j].append(i)
    chosen = pymetis.Options(**options) if options else None
    return np.asarray(pymetis.part_graph(n_parts, adjacency=neighbors, recursive=recursive, options=chosen)[1])


def hydrogens_apart(masses, bonds, labels):
    light = masses < 3.5
    return int((light[bonds].any(axis=1) & (labels[bonds[:, 0]] != labels[bonds[:, 1]])).sum())


def read_data(path):
    """Masses [Da] and bonds of the atoms, in the order of their numbers."""
    sections, section = {"Masses": [], "Atoms": [], "Bonds": []}, None
    for line in Path(path).read_text().splitlines():
        words = line.split("#")[0].split()
        if words and words[0] in sections:
            section = words[0]
        elif words and section and words[0].isdigit():
            sections[section].append(words)
    mass = {int(words[0]): float(words[1]) for words in sections["Masses"]}
    atoms = sorted((int(words[0]), int(words[2])) for words in sections["Atoms"])
    place = {number: index for index, (number, _) in enumerate(atoms)}
    bonds = [(place[int(words[2])], place[int(words[3])]) for words in sections["Bonds"]]
    return np.array([mass[kind] for _, kind in atoms]), np.array(bonds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benzene", type=Path)
    parser.add_argument("--polyethylene", type=Path)
    parser.add_argument("--electrolyte", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    result = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for name, measure in (("benzene", benzene), ("polyethylene", polyethylene), ("electrolyte", electrolyte)):
        given = getattr(arguments, name)
        if given is not None:
            result[name] = measure(given)
            print(result[name].get("table") or json.dumps(result[name], indent=1))
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
