"""OpenMM forces for the bonded terms of a class-II force field, as the class2 styles of LAMMPS have them.

One force for each kind of coordinate: an angle with its two bonds, a torsion with its three bonds and two angles, so
that a cross term costs no coordinate of its own. No periodic images are taken: molecules are whole, as in OpenMM.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import openmm

from openmm_cgml.errors import InputError
from openmm_cgml.reference.pcff.internal_coordinates import InternalCoordinates
from openmm_cgml.reference.pcff.lookup import ParameterLookup

__all__ = ["create_bonded_forces"]

_BOND = "k2*d^2 + k3*d^3 + k4*d^4; d=r-r0"

_ANGLE = """k2*a^2 + k3*a^3 + k4*a^4 + bond_bond*b*c + a*(bond_angle_1*b + bond_angle_2*c);
a=angle(p1,p2,p3)-theta0; b=distance(p1,p2)-r1; c=distance(p2,p3)-r2"""

# The factors of cos(phi), cos(2 phi), cos(3 phi) gather the torsion, middle-bond, end-bond and angle terms.
_TORSION = """constant + f1*x + f2*(2*x^2-1) + f3*(4*x^3-3*x) + angle_angle*a*b*x + bond_bond*l*n;
f1=v1+m1*m+l1*l+n1*n+a1*a+b1*b; f2=v2+m2*m+l2*l+n2*n+a2*a+b2*b; f3=v3+m3*m+l3*l+n3*n+a3*a+b3*b;
x=cos(dihedral(p1,p2,p3,p4)); a=angle(p1,p2,p3)-theta1; b=angle(p2,p3,p4)-theta2;
l=distance(p1,p2)-r1; m=distance(p2,p3)-r2; n=distance(p3,p4)-r3"""

# shared1 couples the two angles that share the bond p2-p1, and so on.
_ANGLE_ANGLE = """shared1*a*b + shared3*a*c + shared4*b*c;
a=angle(p1,p2,p3)-theta13; b=angle(p1,p2,p4)-theta14; c=angle(p3,p2,p4)-theta34"""

# Wilson's angle between a bond and the plane of the other two, averaged over the three bonds. `volume` is the triple
# product of the unit vectors from p2; the torsion about p2-p3 needs no fourth bond.
_OUT_OF_PLANE = """k*((asin(volume/sin(c)) + asin(volume/sin(b)) + asin(volume/sin(a)))/3)^2;
volume=sin(a)*sin(c)*sin(dihedral(p1,p2,p3,p4));
a=angle(p1,p2,p3); b=angle(p1,p2,p4); c=angle(p3,p2,p4)"""

_AROMATIC = "cp"


def create_bonded_forces(
    coordinates: InternalCoordinates,
    atom_types: Sequence[str],
    lookup: ParameterLookup,
    rigid_bonds: Iterable[tuple[int, int]] = (),
) -> list[openmm.Force]:
    """All bonded terms; what has no parameters is noted in `lookup`, which the caller checks.

    Args:
        coordinates: Atoms of each coordinate.
        atom_types: PCFF type of each atom.
        lookup: Where parameters are looked up.
        rigid_bonds: Pairs i < j that are constrained and need no bond term.
    """
    rigid = set(rigid_bonds)
    typed = _Typed(atom_types, lookup)
    return [
        _bond_force([bond for bond in coordinates.bonds if bond not in rigid], typed),
        _angle_force(coordinates.angles, typed),
        _torsion_force(coordinates.torsions, typed),
        _angle_angle_force(coordinates.centers, typed),
        _out_of_plane_force(coordinates.trigonal_centers, typed),
    ]


class _Typed:
    """Parameters by atom index."""

    def __init__(self, atom_types: Sequence[str], lookup: ParameterLookup) -> None:
        self._types = atom_types
        self._lookup = lookup

    def find(self, section: str, *atoms: int) -> tuple[float, ...]:
        return self._lookup.find(section, self.names(*atoms))

    def length(self, i: int, j: int) -> float:
        return self.find("quartic_bond", i, j)[0]

    def angle(self, i: int, j: int, k: int) -> float:
        return self.find("quartic_angle", i, j, k)[0]

    def names(self, *atoms: int) -> tuple[str, ...]:
        return tuple(self._types[atom] for atom in atoms)


def _bond_force(bonds: Iterable[tuple[int, int]], typed: _Typed) -> openmm.CustomBondForce:
    force = openmm.CustomBondForce(_BOND)
    force.setName("PCFF bonds")
    for name in ("r0", "k2", "k3", "k4"):
        force.addPerBondParameter(name)
    for i, j in bonds:
        force.addBond(i, j, typed.find("quartic_bond", i, j))
    return force


def _angle_force(angles: Iterable[tuple[int, int, int]], typed: _Typed) -> openmm.CustomCompoundBondForce:
    names = "theta0 k2 k3 k4 bond_bond bond_angle_1 bond_angle_2 r1 r2"
    force = _compound_force("PCFF angles", 3, _ANGLE, names)
    for i, j, k in angles:
        values = [*typed.find("quartic_angle", i, j, k), *typed.find("bond-bond", i, j, k)]
        values += [*typed.find("bond-angle", i, j, k), typed.length(i, j), typed.length(j, k)]
        force.addBond([i, j, k], values)
    return force


def _torsion_force(torsions: Iterable[tuple[int, int, int, int]], typed: _Typed) -> openmm.CustomCompoundBondForce:
    names = (
        "constant v1 v2 v3 m1 m2 m3 l1 l2 l3 n1 n2 n3 a1 a2 a3 b1 b2 b3 angle_angle bond_bond theta1 theta2 r1 r2 r3"
    )
    force = _compound_force("PCFF torsions", 4, _TORSION, names)
    for atoms in torsions:
        i, j, k, m = atoms
        values = [*_torsion_amplitudes(typed, atoms), *typed.find("middle_bond-torsion_3", *atoms)]
        values += [*typed.find("end_bond-torsion_3", *atoms), *typed.find("angle-torsion_3", *atoms)]
        values += [*typed.find("angle-angle-torsion_1", *atoms), *_bond_bond_1_3(typed, atoms)]
        values += [typed.angle(i, j, k), typed.angle(j, k, m)]
        values += [typed.length(i, j), typed.length(j, k), typed.length(k, m)]
        force.addBond(atoms, values)
    return force


def _torsion_amplitudes(typed: _Typed, atoms: tuple[int, ...]) -> list[float]:
    """The constant and the factors of cos(n phi) of sum V(n) [1 - cos(n phi - phi0(n))]."""
    values = typed.find("torsion_3", *atoms)
    heights, phases = values[0::2], values[1::2]
    for height, phase in zip(heights, phases, strict=True):
        if height and abs(math.sin(phase)) > 1e-6:
            raise InputError(
                f"torsion {'-'.join(typed.names(*atoms))} has the phase {math.degrees(phase):g} deg; "
                "only 0 and 180 are implemented, since others tell mirror images apart"
            )
    return [sum(heights), *(-height * math.cos(phase) for height, phase in zip(heights, phases, strict=True))]


def _bond_bond_1_3(typed: _Typed, atoms: tuple[int, ...]) -> tuple[float, ...]:
    """The coupling of the outer bonds, a term that exists in and next to aromatic rings only (as msi2lmp has it)."""
    return typed.find("bond-bond_1_3", *atoms) if _AROMATIC in typed.names(*atoms) else (0.0,)


def _angle_angle_force(centers: Iterable[tuple[int, int, int, int]], typed: _Typed) -> openmm.CustomCompoundBondForce:
    force = _compound_force("PCFF angle-angle", 4, _ANGLE_ANGLE, "shared1 shared3 shared4 theta13 theta14 theta34")
    for i, j, k, m in centers:
        # The third atom of a row is the one whose bond the two angles share.
        values = [typed.find("angle-angle", *atoms)[0] for atoms in ((k, j, i, m), (i, j, k, m), (i, j, m, k))]
        if any(values):
            force.addBond([i, j, k, m], [*values, typed.angle(i, j, k), typed.angle(i, j, m), typed.angle(k, j, m)])
    return force


def _out_of_plane_force(centers: Iterable[tuple[int, int, int, int]], typed: _Typed) -> openmm.CustomCompoundBondForce:
    force = _compound_force("PCFF out of plane", 4, _OUT_OF_PLANE, "k")
    for atoms in centers:
        stiffness, reference = typed.find("wilson_out_of_plane", *atoms)
        if abs(reference) > 1e-6:
            raise InputError(
                f"out of plane {'-'.join(typed.names(*atoms))} has the reference {math.degrees(reference):g} deg; "
                "only 0 is implemented, since others depend on the order of the neighbors"
            )
        force.addBond(atoms, [stiffness])
    return force


def _compound_force(name: str, n_atoms: int, energy: str, parameters: str) -> openmm.CustomCompoundBondForce:
    force = openmm.CustomCompoundBondForce(n_atoms, energy)
    force.setName(name)
    for parameter in parameters.split():
        force.addPerBondParameter(parameter)
    return force
