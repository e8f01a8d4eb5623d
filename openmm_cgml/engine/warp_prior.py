"""Warp kernel of the tabulated pair prior, in double precision: forces near its wall are large and cancel."""

import warp as wp

from openmm_cgml.engine.warp_search import nearest_image

wp.set_module_options({"enable_backward": False})


@wp.kernel
def add_prior(
    positions: wp.array[wp.vec3d],
    box: wp.array[wp.mat33d],
    periodic: int,
    first_knot: wp.float64,
    cutoff: wp.float64,
    starts: wp.array[int],
    lengths: wp.array[int],
    partners: wp.array[int],
    bead_types: wp.array[int],
    table: wp.array4d[wp.float64],
    energies: wp.array[wp.float64],
    forces: wp.array[wp.vec3d],
) -> None:
    """Half the energy of a bead's pairs, written, and the force on it, added.

    Args:
        table: Energy and knot spacing times its derivative, shape (n_types, n_types, n_knots, 2); goes on linearly
            below the first knot.
    """
    i = wp.tid()
    n_knots = table.shape[2]
    scale = wp.float64(n_knots - 1) / (cutoff - first_knot)
    one, two, three, six = wp.float64(1.0), wp.float64(2.0), wp.float64(3.0), wp.float64(6.0)
    energy = wp.float64(0.0)
    force = wp.vec3d()
    for k in range(starts[i], starts[i] + lengths[i]):
        j = partners[k]
        v = positions[i] - positions[j]
        if periodic != 0:
            v = nearest_image(v, box[0])
        distance = wp.length(v)
        if distance < cutoff:
            a, b = bead_types[i], bead_types[j]
            place = (distance - first_knot) * scale
            knot = wp.clamp(int(place), 0, n_knots - 2)
            low, low_slope = table[a, b, knot, 0], table[a, b, knot, 1]
            high, high_slope = table[a, b, knot + 1, 0], table[a, b, knot + 1, 1]
            t = place - wp.float64(knot)
            u = one - t
            pair_energy = (one + two * t) * u * u * low + t * u * u * low_slope
            pair_energy += t * t * (three - two * t) * high - t * t * u * high_slope
            slope = six * t * u * (high - low) + u * (one - three * t) * low_slope + t * (three * t - two) * high_slope
            if place < wp.float64(0.0):
                pair_energy = low + low_slope * place
                slope = low_slope
            energy += wp.float64(0.5) * pair_energy
            force -= slope * scale / distance * v
    energies[i] = energy
    forces[i] = forces[i] + force
