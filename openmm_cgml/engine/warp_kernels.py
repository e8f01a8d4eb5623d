"""Warp kernels of the tabulated network: one thread per bead and channel, sums in registers.

A bead's row holds all its partners, so the same rows serve the sums forward and backward, and no two threads write to
one place. Tables are cubic Hermite splines: value and knot spacing times derivative at each knot.
"""

import warp as wp

from openmm_cgml.caches import place_warp_cache

place_warp_cache(wp.config)
wp.set_module_options({"enable_backward": False})


@wp.func
def value_weights(t: wp.float32) -> wp.vec4f:
    """What value and derivative at the lower knot, and those at the upper one, count for the value between them."""
    u = 1.0 - t
    return wp.vec4f((1.0 + 2.0 * t) * u * u, t * u * u, t * t * (3.0 - 2.0 * t), -t * t * u)


@wp.func
def slope_between(t: wp.float32, knot: wp.vec4f) -> wp.float32:
    """The derivative in units of the knot spacing; takes the difference of the values first, which is exact."""
    u = 1.0 - t
    return 6.0 * t * u * (knot[2] - knot[0]) + u * (1.0 - 3.0 * t) * knot[1] + t * (3.0 * t - 2.0) * knot[3]


@wp.func
def four(table: wp.array3d[wp.float32], knot: int, channel: int) -> wp.vec4f:
    """Value and derivative of a channel at a knot and the next."""
    return wp.vec4f(
        table[knot, 0, channel], table[knot, 1, channel], table[knot + 1, 0, channel], table[knot + 1, 1, channel]
    )


@wp.func
def four_of_type(table: wp.array4d[wp.float32], bead_type: int, knot: int, channel: int) -> wp.vec4f:
    """Likewise from the table of a bead type."""
    return wp.vec4f(
        table[bead_type, knot, 0, channel],
        table[bead_type, knot, 1, channel],
        table[bead_type, knot + 1, 0, channel],
        table[bead_type, knot + 1, 1, channel],
    )


@wp.kernel
def sum_tables(
    starts: wp.array[int],
    n_near: wp.array[int],
    near: wp.array[int],
    knots: wp.array[int],
    offsets: wp.array[wp.float32],
    bead_types: wp.array[int],
    table: wp.array4d[wp.float32],
    bias: wp.array[wp.float32],
    z: wp.array2d[wp.float32],
) -> None:
    """First block: z_i = bias + sum over partners j of the table of j's type."""
    i, c = wp.tid()
    total = bias[c]
    start = starts[i]
    for k in range(start, start + n_near[i]):
        total += wp.dot(value_weights(offsets[k]), four_of_type(table, bead_types[near[k]], knots[k], c))
    z[i, c] = total


@wp.kernel
def sum_tables_back(
    starts: wp.array[int],
    n_near: wp.array[int],
    near: wp.array[int],
    knots: wp.array[int],
    offsets: wp.array[wp.float32],
    directions: wp.array[wp.vec3f],
    scale: wp.float32,
    bead_types: wp.array[int],
    table: wp.array4d[wp.float32],
    grad: wp.array2d[wp.float32],
    forces: wp.array2d[wp.vec3f],
) -> None:
    """Force on a bead by channel, given the gradient of the energy by z; `scale` is knots per nm."""
    i, c = wp.tid()
    mine = bead_types[i]
    force = wp.vec3f()
    start = starts[i]
    for k in range(start, start + n_near[i]):
        j = near[k]
        slope = slope_between(offsets[k], four_of_type(table, bead_types[j], knots[k], c)) * grad[i, c]
        slope += slope_between(offsets[k], four_of_type(table, mine, knots[k], c)) * grad[j, c]
        force -= slope * directions[k]
    forces[i, c] = force * scale


@wp.kernel
def convolve(
    starts: wp.array[int],
    n_near: wp.array[int],
    near: wp.array[int],
    knots: wp.array[int],
    offsets: wp.array[wp.float32],
    table: wp.array3d[wp.float32],
    h: wp.array2d[wp.float32],
    message: wp.array2d[wp.float32],
) -> None:
    """Message to a bead: sum over partners j of filter times h_j."""
    i, c = wp.tid()
    total = float(0.0)
    start = starts[i]
    for k in range(start, start + n_near[i]):
        total += wp.dot(value_weights(offsets[k]), four(table, knots[k], c)) * h[near[k], c]
    message[i, c] = total


@wp.kernel
def convolve_back(
    starts: wp.array[int],
    n_near: wp.array[int],
    near: wp.array[int],
    knots: wp.array[int],
    offsets: wp.array[wp.float32],
    directions: wp.array[wp.vec3f],
    scale: wp.float32,
    table: wp.array3d[wp.float32],
    h: wp.array2d[wp.float32],
    grad: wp.array2d[wp.float32],
    grad_h: wp.array2d[wp.float32],
    forces: wp.array2d[wp.vec3f],
) -> None:
    """Gradient by h and force on a bead by channel, given the gradient of the energy by the messages."""
    i, c = wp.tid()
    total = float(0.0)
    force = wp.vec3f()
    start = starts[i]
    for k in range(start, start + n_near[i]):
        j = near[k]
        knot_values = four(table, knots[k], c)
        total += wp.dot(value_weights(offsets[k]), knot_values) * grad[j, c]
        slope = slope_between(offsets[k], knot_values) * (grad[i, c] * h[j, c] + grad[j, c] * h[i, c])
        force -= slope * directions[k]
    grad_h[i, c] = total
    forces[i, c] = force * scale
