"""The bonded terms of a class-II force field written out atom by atom in numpy, in kJ/mol and nm."""

import numpy as np


def length(x, i, j):
    return np.linalg.norm(x[j] - x[i])


def angle(x, i, j, k):
    u, v = x[i] - x[j], x[k] - x[j]
    return np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))


def torsion(x, i, j, k, m):
    first, axis, last = x[j] - x[i], x[k] - x[j], x[m] - x[k]
    left, right = np.cross(first, axis), np.cross(axis, last)
    return np.arctan2(np.linalg.norm(axis) * (first @ right), left @ right)


def out_of_plane(x, i, j, k, m):
    """Mean over the three bonds of the angle between the bond and the plane of the other two."""
    u, v, w = (x[atom] - x[j] for atom in (i, k, m))
    angles = []
    for bond, second, third in ((u, v, w), (v, w, u), (w, u, v)):
        normal = np.cross(second, third)
        angles.append(np.arcsin(bond @ normal / np.linalg.norm(bond) / np.linalg.norm(normal)))
    return np.mean(angles)


def energies(x, coordinates, types, find):
    """Energy of each term by its name in the parameter file.

    Args:
        x: Positions.
        coordinates: InternalCoordinates.
        types: Atom types.
        find: (section, types) -> values.
    """

    def values(section, *atoms):
        return np.array(find(section, tuple(types[atom] for atom in atoms)))

    def stretch(i, j):
        return length(x, i, j) - values("quartic_bond", i, j)[0]

    def bend(i, j, k):
        return angle(x, i, j, k) - values("quartic_angle", i, j, k)[0]

    total = dict.fromkeys(
        ("quartic_bond", "quartic_angle", "bond-bond", "bond-angle", "torsion_3", "middle_bond-torsion_3",
         "end_bond-torsion_3", "angle-torsion_3", "angle-angle-torsion_1", "bond-bond_1_3", "angle-angle",
         "wilson_out_of_plane"), 0.0
    )  # fmt: skip
    for i, j in coordinates.bonds:
        total["quartic_bond"] += sum(k * stretch(i, j) ** n for n, k in enumerate(values("quartic_bond", i, j)[1:], 2))
    for i, j, k in coordinates.angles:
        total["quartic_angle"] += sum(
            c * bend(i, j, k) ** n for n, c in enumerate(values("quartic_angle", i, j, k)[1:], 2)
        )
        total["bond-bond"] += values("bond-bond", i, j, k)[0] * stretch(i, j) * stretch(j, k)
        first, second = values("bond-angle", i, j, k)
        total["bond-angle"] += bend(i, j, k) * (first * stretch(i, j) + second * stretch(j, k))
    for i, j, k, m in coordinates.torsions:
        phi = torsion(x, i, j, k, m)
        series = np.cos(phi * np.arange(1, 4))
        v1, p1, v2, p2, v3, p3 = values("torsion_3", i, j, k, m)
        for n, v, p in ((1, v1, p1), (2, v2, p2), (3, v3, p3)):
            total["torsion_3"] += v * (1 - np.cos(n * phi - p))
        total["middle_bond-torsion_3"] += stretch(j, k) * (values("middle_bond-torsion_3", i, j, k, m) @ series)
        ends = np.reshape(values("end_bond-torsion_3", i, j, k, m), (2, 3)) @ series
        total["end_bond-torsion_3"] += ends @ [stretch(i, j), stretch(k, m)]
        ends = np.reshape(values("angle-torsion_3", i, j, k, m), (2, 3)) @ series
        total["angle-torsion_3"] += ends @ [bend(i, j, k), bend(j, k, m)]
        coupling = values("angle-angle-torsion_1", i, j, k, m)[0]
        total["angle-angle-torsion_1"] += coupling * bend(i, j, k) * bend(j, k, m) * np.cos(phi)
        if "cp" in (types[i], types[j], types[k], types[m]):
            total["bond-bond_1_3"] += values("bond-bond_1_3", i, j, k, m)[0] * stretch(i, j) * stretch(k, m)
    for center in coordinates.centers:
        i, j, k, m = center
        for a, shared, b in ((k, i, m), (i, k, m), (i, m, k)):
            total["angle-angle"] += values("angle-angle", a, j, shared, b)[0] * bend(a, j, shared) * bend(shared, j, b)
        if center in coordinates.trigonal_centers:
            total["wilson_out_of_plane"] += values("wilson_out_of_plane", *center)[0] * out_of_plane(x, *center) ** 2
    return total
