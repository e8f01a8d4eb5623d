"""Warp kernels that keep a neighbor list: decide on a search, sort beads into cells, write the rows, take what is near.

Everything is decided on the device, so the launches of a step are always the same and can be captured in a CUDA graph:
where no search is due its kernels return at once. A row holds all partners of a bead, so each pair is in two rows.
Atomic operations count cells and room at a search only; rows are sorted afterwards, so sums do not depend on them.
"""

import warp as wp

from openmm_cgml.caches import place_warp_cache

place_warp_cache(wp.config)
wp.config.log_level = wp.LOG_ERROR  # no banner
wp.init()
wp.set_module_options({"enable_backward": False})

# What `flags` holds: one number each, then the room that the rows of each kind of pairs need.
SEARCH, HAS_SEARCHED, NOT_FINITE, NARROW, N_SEARCHES, ROOM = 0, 1, 2, 3, 4, 5

BETWEEN, WITHIN, ALL = 0, 1, 2
"""Kinds of pairs: of different molecules or of different images of one, within a molecule, both."""

HOPS = 16
"""How many ancestors of a bead are added up by one launch."""


@wp.func
def nearest_image(v: wp.vec3d, b: wp.mat33d) -> wp.vec3d:
    """The shortest image of a vector in a reduced box; exact up to half its smallest width."""
    s = wp.rint(v[2] / b[2, 2])
    w = v - s * wp.vec3d(b[2, 0], b[2, 1], b[2, 2])
    s = wp.rint(w[1] / b[1, 1])
    w = w - s * wp.vec3d(b[1, 0], b[1, 1], b[1, 2])
    s = wp.rint(w[0] / b[0, 0])
    return w - s * wp.vec3d(b[0, 0], b[0, 1], b[0, 2])


@wp.func
def is_finite(v: wp.vec3d) -> bool:
    """Whether all components are."""
    return wp.isfinite(v[0]) and wp.isfinite(v[1]) and wp.isfinite(v[2])


@wp.func
def cells_along(width: wp.float64, reach: wp.float64) -> int:
    """Cells along a width, none narrower than the reach."""
    return int(wp.clamp(width / reach, wp.float64(1.0), wp.float64(1024.0)))


@wp.func
def set_cells(cells: wp.array[int], wanted_a: int, wanted_b: int, wanted_c: int, max_cells: int) -> None:
    """Write the cells along each width, the most of them halved until there are few enough in all."""
    n_a, n_b, n_c = int(wanted_a), int(wanted_b), int(wanted_c)
    while n_a * n_b * n_c > max_cells:
        if n_a >= n_b and n_a >= n_c:
            n_a = (n_a + 1) // 2
        elif n_b >= n_c:
            n_b = (n_b + 1) // 2
        else:
            n_c = (n_c + 1) // 2
    cells[0] = n_a
    cells[1] = n_b
    cells[2] = n_c


@wp.kernel
def prepare(
    box: wp.array[wp.mat33d],
    periodic: int,
    cutoff: wp.float64,
    skin: wp.float64,
    max_cells: int,
    searched_box: wp.array[wp.mat33d],
    cells: wp.array[int],
    reach: wp.array[wp.float64],
    flags: wp.array[int],
) -> None:
    """Look at the box: the reach of the list, the cells that it allows, and whether it is another one than before.

    The skin shrinks to what half the smallest width leaves beside the cutoff: farther out, the nearest image is
    not exact, and a partner could be missed.
    """
    flags[SEARCH] = 1 - flags[HAS_SEARCHED]
    flags[NOT_FINITE] = 0
    flags[NARROW] = 0
    slack = skin
    narrowest = wp.float64(wp.inf)
    if periodic != 0:
        b = box[0]
        for row in range(3):
            for column in range(3):
                if b[row, column] != searched_box[0][row, column]:
                    flags[SEARCH] = 1
        ax, bx, by = b[0, 0], b[1, 0], b[1, 1]
        cx, cy, cz = b[2, 0], b[2, 1], b[2, 2]
        skewed = bx * cy - by * cx
        width_a = ax * by * cz / wp.sqrt(by * cz * by * cz + bx * cz * bx * cz + skewed * skewed)
        width_b = by * cz / wp.sqrt(cy * cy + cz * cz)
        narrowest = wp.min(wp.min(width_a, width_b), cz)
        # A box in single precision may be narrower by rounding.
        if not (wp.float64(2.0) * cutoff <= narrowest * wp.float64(1.000001)):
            flags[NARROW] = 1
        slack = wp.clamp(wp.float64(0.5) * narrowest - cutoff, wp.float64(0.0), skin)
        n_a = cells_along(width_a, cutoff + slack)
        n_b = cells_along(width_b, cutoff + slack)
        n_c = cells_along(cz, cutoff + slack)
        set_cells(cells, n_a, n_b, n_c, max_cells)
    else:
        side = int(1)
        while (side + 1) * (side + 1) * (side + 1) <= max_cells:
            side += 1
        cells[0] = side
        cells[1] = side
        cells[2] = side
    reach[0] = cutoff + slack
    reach[1] = slack
    reach[2] = wp.float64(0.5) * narrowest


@wp.kernel
def look_for_movement(
    positions: wp.array[wp.vec3d],
    searched_at: wp.array[wp.vec3d],
    reach: wp.array[wp.float64],
    flags: wp.array[int],
) -> None:
    """Ask for a search if a bead has moved half the skin; note positions that are not finite."""
    i = wp.tid()
    moved = positions[i] - searched_at[i]
    if not is_finite(positions[i]):
        flags[NOT_FINITE] = 1
        flags[SEARCH] = 1
    elif not (wp.dot(moved, moved) < wp.float64(0.25) * reach[1] * reach[1]):
        flags[SEARCH] = 1


@wp.kernel
def empty_cells(
    box: wp.array[wp.mat33d],
    n_kinds: int,
    searched_box: wp.array[wp.mat33d],
    heads: wp.array[int],
    flags: wp.array[int],
) -> None:
    """Begin a search, if one is due."""
    cell = wp.tid()
    if flags[SEARCH] == 0:
        return
    heads[cell] = -1
    if cell == 0:
        searched_box[0] = box[0]
        flags[HAS_SEARCHED] = 1
        flags[N_SEARCHES] = flags[N_SEARCHES] + 1
        for kind in range(n_kinds):
            flags[ROOM + kind] = 0


@wp.func
def wrapped_cell(place: wp.float64, n: int) -> int:
    """Cell of a coordinate in units of cells, in a row of n that repeats."""
    row = wp.float64(n)
    return wp.clamp(int(place - wp.floor(place / row) * row), 0, n - 1)


@wp.kernel
def fill_cells(
    positions: wp.array[wp.vec3d],
    box: wp.array[wp.mat33d],
    periodic: int,
    replica_size: int,
    cells: wp.array[int],
    reach: wp.array[wp.float64],
    flags: wp.array[int],
    searched_at: wp.array[wp.vec3d],
    cell_of: wp.array[int],
    heads: wp.array[int],
    following: wp.array[int],
) -> None:
    """Put every bead at the head of its cell's chain; every replica has cells of its own.

    Without a box, space is covered by repeated images of the cells: beads that share one by chance are far apart.
    """
    i = wp.tid()
    if flags[SEARCH] == 0:
        return
    x = positions[i]
    searched_at[i] = x
    if not is_finite(x):
        x = wp.vec3d()
    f = x / reach[0]
    if periodic != 0:
        b = box[0]
        f_c = x[2] / b[2, 2]
        f_b = (x[1] - f_c * b[2, 1]) / b[1, 1]
        f_a = (x[0] - f_c * b[2, 0] - f_b * b[1, 0]) / b[0, 0]
        f = wp.vec3d(f_a * wp.float64(cells[0]), f_b * wp.float64(cells[1]), f_c * wp.float64(cells[2]))
    cell = i / replica_size * cells[0] + wrapped_cell(f[0], cells[0])
    cell = cell * cells[1] + wrapped_cell(f[1], cells[1])
    cell = cell * cells[2] + wrapped_cell(f[2], cells[2])
    cell_of[i] = cell
    following[i] = wp.atomic_exch(heads, cell, i)


@wp.kernel
def look_at_parents(
    positions: wp.array[wp.vec3d],
    box: wp.array[wp.mat33d],
    parents: wp.array[int],
    flags: wp.array[int],
    images: wp.array[wp.vec3d],
) -> None:
    """If a search is due, how many box vectors every bead is away from its place beside its parent."""
    i = wp.tid()
    if flags[SEARCH] == 0:
        return
    v, b = positions[i] - positions[parents[i]], box[0]
    f_c = v[2] / b[2, 2]
    f_b = (v[1] - f_c * b[2, 1]) / b[1, 1]
    f_a = (v[0] - f_c * b[2, 0] - f_b * b[1, 0]) / b[0, 0]
    images[i] = wp.vec3d(wp.rint(f_a), wp.rint(f_b), wp.rint(f_c))


@wp.kernel
def add_up_images(
    ancestors: wp.array[int],
    flags: wp.array[int],
    images: wp.array[wp.vec3d],
    sums: wp.array[wp.vec3d],
) -> None:
    """If a search is due, add up what every bead and the next ancestors hold; done for each level, whole paths."""
    i = wp.tid()
    if flags[SEARCH] == 0:
        return
    total = images[i]
    j = ancestors[i]
    for _ in range(HOPS - 1):
        total += images[j]
        j = ancestors[j]
    sums[i] = total


@wp.func
def are_within(
    i: int,
    j: int,
    positions: wp.array[wp.vec3d],
    box: wp.array[wp.mat33d],
    periodic: int,
    half_width: wp.float64,
    molecules: wp.array[int],
    images: wp.array[wp.vec3d],
) -> bool:
    """Whether the nearest image of a pair is that of a whole molecule."""
    if molecules[i] != molecules[j]:
        return False
    if periodic == 0:
        return True
    n, b = images[i] - images[j], box[0]
    v = positions[i] - positions[j] - n[2] * wp.vec3d(b[2, 0], b[2, 1], b[2, 2])
    v = v - n[1] * wp.vec3d(b[1, 0], b[1, 1], b[1, 2]) - n[0] * wp.vec3d(b[0, 0], b[0, 1], b[0, 2])
    return wp.dot(v, v) < half_width * half_width


@wp.func
def are_partners(
    i: int,
    j: int,
    kind: int,
    within: bool,
    excluded_starts: wp.array[int],
    excluded: wp.array[int],
) -> bool:
    """Whether two beads of a replica are a pair of a kind, given whether they are within a molecule."""
    if i == j:
        return False
    if kind == BETWEEN and within:
        return False
    if kind == WITHIN and not within:
        return False
    for k in range(excluded_starts[i], excluded_starts[i + 1]):
        if excluded[k] == j:
            return False
    return True


@wp.func
def sort_row(partners: wp.array[int], start: int, count: int) -> None:
    """Sort the partners of one bead in place, ascending."""
    for k in range(start + 1, start + count):
        j = partners[k]
        place = int(k)
        while place > start and partners[wp.max(place - 1, 0)] > j:
            partners[place] = partners[place - 1]
            place -= 1
        partners[place] = j


@wp.kernel
def write_rows(
    positions: wp.array[wp.vec3d],
    box: wp.array[wp.mat33d],
    periodic: int,
    cutoff: wp.float64,
    kind: int,
    number: int,
    molecules: wp.array[int],
    images: wp.array[wp.vec3d],
    excluded_starts: wp.array[int],
    excluded: wp.array[int],
    cells: wp.array[int],
    reach: wp.array[wp.float64],
    cell_of: wp.array[int],
    heads: wp.array[int],
    following: wp.array[int],
    flags: wp.array[int],
    starts: wp.array[int],
    lengths: wp.array[int],
    partners: wp.array[int],
) -> None:
    """Write the row of every bead, if a search is due: count, take room, fill, sort.

    A row for which there is no room stays empty; `flags` then says that more room is needed than there is.
    """
    i = wp.tid()
    if flags[SEARCH] == 0:
        return
    range_now = cutoff + reach[1]
    n_a, n_b, n_c = cells[0], cells[1], cells[2]
    c = cell_of[i] % n_c
    b = (cell_of[i] / n_c) % n_b
    a = (cell_of[i] / (n_c * n_b)) % n_a
    first_cell = cell_of[i] - (a * n_b + b) * n_c - c
    count = int(0)
    start = int(0)
    for phase in range(2):
        if phase == 1:
            start = wp.atomic_add(flags, ROOM + number, count)
            if start + count > partners.shape[0]:
                starts[i] = 0
                lengths[i] = 0
                return
            starts[i] = start
            lengths[i] = count
            count = int(0)
        # With one or two cells in a direction, a step to the left leads to a cell that was or will be looked at.
        for da in range(wp.where(n_a > 2, -1, 0), wp.where(n_a > 1, 2, 1)):
            for db in range(wp.where(n_b > 2, -1, 0), wp.where(n_b > 1, 2, 1)):
                for dc in range(wp.where(n_c > 2, -1, 0), wp.where(n_c > 1, 2, 1)):
                    cell = ((a + da + n_a) % n_a * n_b + (b + db + n_b) % n_b) * n_c + (c + dc + n_c) % n_c
                    j = heads[first_cell + cell]
                    while j >= 0:
                        v = positions[i] - positions[j]
                        if periodic != 0:
                            v = nearest_image(v, box[0])
                        if wp.dot(v, v) < range_now * range_now:
                            within = are_within(i, j, positions, box, periodic, reach[2], molecules, images)
                            if are_partners(i, j, kind, within, excluded_starts, excluded):
                                if phase == 1:
                                    partners[start + count] = j
                                count += 1
                        j = following[j]
    sort_row(partners, start, count)


@wp.kernel
def take_near(
    positions: wp.array[wp.vec3d],
    box: wp.array[wp.mat33d],
    periodic: int,
    cutoff: wp.float64,
    n_knots: int,
    starts: wp.array[int],
    lengths: wp.array[int],
    partners: wp.array[int],
    n_near: wp.array[int],
    near: wp.array[int],
    knots: wp.array[int],
    offsets: wp.array[wp.float32],
    directions: wp.array[wp.vec3f],
) -> None:
    """From every row, the partners within the cutoff now: the place in the table and the unit vector to the bead."""
    i = wp.tid()
    start = starts[i]
    count = int(0)
    scale = wp.float64(n_knots - 1) / cutoff
    for k in range(start, start + lengths[i]):
        j = partners[k]
        v = positions[i] - positions[j]
        if periodic != 0:
            v = nearest_image(v, box[0])
        square = wp.dot(v, v)
        if square < cutoff * cutoff:
            distance = wp.sqrt(square)
            place = distance * scale
            knot = wp.min(int(place), n_knots - 2)
            near[start + count] = j
            knots[start + count] = knot
            offsets[start + count] = wp.float32(place - wp.float64(knot))
            directions[start + count] = wp.vec3f(v / distance)
            count += 1
    n_near[i] = count


@wp.kernel
def judge(flags: wp.array[int], room: wp.array[int], verdict: wp.array[wp.float64]) -> None:
    """Zero, or NaN if the list is wrong: a box too narrow, a position not finite, or a row without room."""
    wrong = flags[NOT_FINITE] + flags[NARROW]
    for kind in range(room.shape[0]):
        if flags[ROOM + kind] > room[kind]:
            wrong += 1
    verdict[0] = wp.where(wrong == 0, wp.float64(0.0), wp.float64(wp.nan))
