"""Priors fitted to mapped frames: bonded terms by Boltzmann inversion, excluded volume from closest approaches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import find_pairs
from openmm_cgml.priors.config import (
    AnglePriorConfig,
    BondPriorConfig,
    PriorConfig,
    RepulsionPriorConfig,
    TorsionPriorConfig,
)
from openmm_cgml.priors.coordinates import distances_in_frame, group_by_types, measure
from openmm_cgml.priors.inversion import Samples, fit_cosines, fit_harmonic
from openmm_cgml.priors.prior_set import PriorSet
from openmm_cgml.priors.term import PriorTerm, cosine_term, type_key
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

_LEAST_SAMPLES = 100
_STRAIGHT = math.radians(10)
_SECTIONS = {"bond": "bonds", "angle": "angles", "torsion": "torsions"}
_FIRST_LOOK = 20  # frames that set the search radius for the closest approach


class PriorWarning(UserWarning):
    """A fitted prior that is possible but does not describe the data well."""


def fit_priors(config: PriorConfig, topology: CGTopology, frames: Frames, temperature: float) -> PriorSet:
    """The prior set that a configuration asks for.

    Args:
        config: Values by hand or "fit".
        topology: Beads and bonds.
        frames: Mapped frames, molecules whole.
        temperature: Temperature of the frames [K].

    Raises:
        InputError: If the data cannot give a value that is to be fitted (too few or constant samples, a pair of types
            never seen), or the configuration names bead types that do not occur.
    """
    if frames.n_particles != topology.n_beads:
        raise InputError(f"frames have {frames.n_particles} beads, the topology {topology.n_beads}")
    terms = fit_bond_priors(topology, frames, temperature, config.bonds)
    if config.angles is not None:
        terms += fit_angle_priors(topology, frames, temperature, config.angles)
    if config.torsions is not None:
        terms += fit_torsion_priors(topology, frames, temperature, config.torsions)
    contacts: dict[tuple[str, ...], float] = {}
    if config.repulsion is not None:
        if config.repulsion.sigma == "fit" or isinstance(config.repulsion.sigma, dict):
            contacts = closest_approach(
                topology,
                frames,
                cutoff=config.repulsion.cutoff,
                exclude_bonds=config.exclude_bonds,
                contacts_per_bead=config.repulsion.contacts_per_bead,
            )
        terms += fit_repulsion_priors(topology, contacts, temperature, config.repulsion)
    provenance = {
        "temperature": {"value": temperature, "unit": "K"},
        "n_frames": len(frames),
        "config": config.model_dump(mode="json"),
        "closest_approach": {"unit": "nm", **{"-".join(types): distance for types, distance in contacts.items()}},
    }
    return PriorSet(terms=terms, exclude_bonds=config.exclude_bonds, provenance=provenance)


def fit_bond_priors(
    topology: CGTopology, frames: Frames, temperature: float, config: BondPriorConfig | None = None
) -> tuple[PriorTerm, ...]:
    """Harmonic bonds, for each type of bond the most likely ones, or values given by hand.

    The distribution r^2 exp(-U/kT) of a fitted bond has the mean and the variance of the data.

    Args:
        topology: Beads and bonds.
        frames: Mapped frames.
        temperature: Temperature of the frames [K].
        config: Values by hand; by default all are fitted.

    Raises:
        InputError: If a bond to be fitted has fewer than 100 samples or a constant length.
    """
    config = config or BondPriorConfig()
    values = {"length": config.length, "stiffness": config.stiffness}
    return _harmonic_terms("bond", topology, topology.bonds, values, config.convention, frames, temperature)


def fit_angle_priors(
    topology: CGTopology, frames: Frames, temperature: float, config: AnglePriorConfig | None = None
) -> tuple[PriorTerm, ...]:
    """Angles, for each type of angle the most likely ones, or values given by hand.

    The distribution sin(theta) exp(-U/kT) of a fitted harmonic angle has the mean and the variance of the data, that of
    a series of cosines their mean cos(n theta).

    Args:
        topology: Beads and bonds; its angles are derived.
        frames: Mapped frames.
        temperature: Temperature of the frames [K].
        config: The form, and values by hand; by default all are fitted.

    Raises:
        InputError: If an angle to be fitted has fewer than 100 samples or is constant.
    """
    config = config or AnglePriorConfig()
    if config.form == "cosine":
        return _cosine_terms("angle", topology, topology.angles, config, frames, temperature)
    values = {"angle": config.angle, "stiffness": config.stiffness}
    terms = _harmonic_terms("angle", topology, topology.angles, values, config.convention, frames, temperature)
    for term in terms:
        angle = term.parameters["angle"]
        reach = 2 * math.sqrt(BOLTZMANN * temperature / term.parameters["stiffness"])
        if not reach < angle < math.pi - reach:
            warnings.warn(
                f"{term} of {math.degrees(angle):.0f} degrees reaches {'180' if angle > 1.5 else '0'} degrees within "
                'two standard deviations, where it has a kink; take angles.form "cosine", or leave it out',
                PriorWarning,
                stacklevel=2,
            )
    return terms


def fit_torsion_priors(
    topology: CGTopology, frames: Frames, temperature: float, config: TorsionPriorConfig | None = None
) -> tuple[PriorTerm, ...]:
    """Torsions, for each type of torsion the most likely series of cosines, or values given by hand.

    Args:
        topology: Beads and bonds; its dihedrals are derived.
        frames: Mapped frames.
        temperature: Temperature of the frames [K].
        config: Values by hand; by default all are fitted.

    Raises:
        InputError: If a torsion to be fitted has fewer than 100 samples or is constant.
    """
    config = config or TorsionPriorConfig()
    _warn_of_straight_angles(topology, frames)
    return _cosine_terms("torsion", topology, topology.dihedrals, config, frames, temperature)


def fit_repulsion_priors(
    topology: CGTopology,
    contacts: Mapping[tuple[str, ...], float],
    temperature: float,
    config: RepulsionPriorConfig | None = None,
) -> tuple[PriorTerm, ...]:
    """Excluded volume for every pair of bead types that occur, sigma from the closest approach or by hand.

    A fitted sigma is r_closest (contact_energy kT / epsilon)^(1/n): the repulsion is `contact_energy` kT where the data
    end, grows by the power n inside, and leaves the rest to the network. One-bead benzene, with 0.365 nm, n = 12 and
    1 kcal/mol, gets 0.40 nm.

    Args:
        topology: Beads.
        contacts: Closest approach [nm] by pair of bead types, as from `closest_approach`.
        temperature: Temperature of the data [K].
        config: Values by hand; by default sigma is fitted with n = 12 and epsilon = 1 kcal/mol.

    Raises:
        InputError: If a sigma is to be fitted for bead types without a closest approach.
    """
    config = config or RepulsionPriorConfig()
    present = [topology.type_names[t] for t in np.unique(topology.bead_types)]
    pairs: dict[tuple[str, ...], None] = {type_key((a, b)): None for i, a in enumerate(present) for b in present[i:]}
    given = _settings({"sigma": config.sigma, "epsilon": config.epsilon}, pairs, "repulsion")
    unseen = [types for types in pairs if given[types]["sigma"] == "fit" and types not in contacts]
    if unseen:
        raise InputError(
            f"bead types {', '.join('-'.join(types) for types in unseen)} hardly ever come within {config.cutoff:g} nm "
            "in the data, so their sigma cannot be fitted; give it by hand under repulsion.sigma, or use more frames"
        )
    contact_energy = config.contact_energy * BOLTZMANN * temperature
    shared = {
        "exponent": config.exponent,
        "cutoff": config.cutoff,
        "switch_distance": config.switch_distance or 0.9 * config.cutoff,
    }
    terms = []
    for types in pairs:
        epsilon, sigma = given[types]["epsilon"], given[types]["sigma"]
        if sigma == "fit":
            sigma = contacts[types] * (contact_energy / epsilon) ** (1 / config.exponent)
        terms.append(
            PriorTerm(form="power_repulsion", types=types, parameters={"sigma": sigma, "epsilon": epsilon, **shared})
        )
    return tuple(terms)


def closest_approach(
    topology: CGTopology, frames: Frames, *, cutoff: float, exclude_bonds: int = 2, contacts_per_bead: float = 0.0
) -> dict[tuple[str, ...], float]:
    """Closest approach [nm] of each pair of bead types; types that do not come that close within the cutoff are absent.

    Args:
        topology: Beads and bonds.
        frames: Mapped frames.
        cutoff: Search radius [nm].
        exclude_bonds: Beads up to this many bonds apart do not count.
        contacts_per_bead: The distance at which a bead (of the rarer type) has this many neighbors on average, which
            depends neither on the size of the system nor on the number of frames; 0 for the one smallest distance.

    Raises:
        InputError: If a box is below twice the cutoff.
    """
    exclusions = topology.exclusions(exclude_bonds)
    first = np.unique(np.linspace(0, len(frames) - 1, min(_FIRST_LOOK, len(frames))).astype(int))
    look = _contacts(topology, frames[first], cutoff, exclusions, contacts_per_bead)
    # Farther pairs cannot matter, which makes all but the first frames cheap.
    radius = cutoff if None in look.values() else min(cutoff, 1.2 * max(filter(None, look.values()), default=cutoff))
    found = _contacts(topology, frames, radius, exclusions, contacts_per_bead)
    if radius < cutoff and None in found.values():
        found = _contacts(topology, frames, cutoff, exclusions, contacts_per_bead)
    return {types: distance for types, distance in found.items() if distance is not None}


def _contacts(
    topology: CGTopology, frames: Frames, radius: float, exclusions: NDArray[np.int64], contacts_per_bead: float
) -> dict[tuple[str, ...], float | None]:
    """The distance that is wanted for each pair of bead types that occur, None where it lies beyond the radius."""
    n_types = len(topology.type_names)
    keys, distances = [np.zeros(0, np.int64)], [np.zeros(0)]
    for index in range(len(frames)):
        positions = np.asarray(frames.positions[index], np.float64)
        box = None if frames.box is None else np.asarray(frames.box[index], np.float64)
        i, j = find_pairs(positions, box, radius, exclusions=exclusions)
        low, high = np.sort(topology.bead_types[np.stack([i, j])], axis=0)
        keys.append(low * n_types + high)
        distances.append(distances_in_frame(positions, box, i, j))
    key, distance = np.concatenate(keys), np.concatenate(distances)
    counts = np.bincount(topology.bead_types, minlength=n_types)
    present = np.flatnonzero(counts)
    result: dict[tuple[str, ...], float | None] = {}
    for a, b in ((a, b) for k, a in enumerate(present) for b in present[k:]):
        found = np.sort(distance[key == a * n_types + b])
        beads = len(frames) * (counts[a] / 2 if a == b else min(counts[a], counts[b]))
        rank = max(math.ceil(contacts_per_bead * beads) - 1, 0)
        types = type_key((topology.type_names[a], topology.type_names[b]))
        result[types] = float(found[rank]) if rank < len(found) else None
    return result


def _settings(
    values: Mapping[str, Any], known: Mapping[tuple[str, ...], Any], section: str
) -> dict[tuple[str, ...], dict[str, Any]]:
    """What the configuration says of each parameter for each combination of bead types: a number or "fit"."""
    result: dict[tuple[str, ...], dict[str, Any]] = {types: {} for types in known}
    for name, value in values.items():
        by_types = {}
        for text, entry in value.items() if isinstance(value, dict) else ():
            match = [types for types in known if text in ("-".join(types), "-".join(types[::-1]))]
            if not match:
                names = ", ".join("-".join(types) for types in known) or "none"
                raise InputError(f"{section}.{name} names {text!r}, which does not occur here; there are {names}")
            by_types[match[0]] = entry
        for types in known:
            if isinstance(value, dict) and types not in by_types:
                raise InputError(
                    f'{section}.{name} has no value for {"-".join(types)}; give one, or "fit" where it can'
                )
            result[types][name] = by_types.get(types, value)
    return result


def _harmonic_terms(
    kind: str,
    topology: CGTopology,
    indices: NDArray[np.int64],
    values: Mapping[str, Any],
    convention: str,
    frames: Frames,
    temperature: float,
) -> tuple[PriorTerm, ...]:
    """A term for each combination of bead types, its two parameters (center, stiffness) by hand or fitted."""
    center, stiffness = values
    form = f"harmonic_{kind}"
    groups = group_by_types(topology, indices)
    given = _settings(values, groups, _SECTIONS[kind])
    terms = []
    for types, members in groups.items():
        parameters = given[types]
        if convention == "full" and parameters[stiffness] != "fit":
            parameters[stiffness] *= 2
        if "fit" in parameters.values():
            what = f"{form} {'-'.join(types)}"
            samples = _checked(measure(frames, members), what)
            _warn_of_maxima(samples, what)
            by_hand = {name: None if value == "fit" else value for name, value in parameters.items()}
            try:
                fitted = fit_harmonic(
                    Samples.of(kind, samples),
                    BOLTZMANN * temperature,
                    center=by_hand[center],
                    stiffness=by_hand[stiffness],
                )
            except InputError as error:
                raise InputError(f"{what} {error}; {_OTHER_WAYS[kind]}") from error
            parameters = dict(zip(values, fitted, strict=True))
        terms.append(PriorTerm(form=form, types=types, parameters=parameters))
    return tuple(terms)


_OTHER_WAYS = {
    "bond": "give its length and stiffness by hand",
    "angle": 'take angles.form "cosine", give its values by hand, or leave angles out',
}


def _cosine_terms(
    kind: str,
    topology: CGTopology,
    indices: NDArray[np.int64],
    config: AnglePriorConfig | TorsionPriorConfig,
    frames: Frames,
    temperature: float,
) -> tuple[PriorTerm, ...]:
    """A series of cosines for each combination of bead types, by hand or fitted."""
    form = f"cosine_{kind}"
    groups = group_by_types(topology, indices)
    given = _settings({"coefficients": config.coefficients}, groups, _SECTIONS[kind])
    terms = []
    for types, members in groups.items():
        coefficients = given[types]["coefficients"]
        if coefficients == "fit":
            what = f"{form} {'-'.join(types)}"
            samples = Samples.of(kind, _checked(measure(frames, members), what))
            try:
                coefficients = fit_cosines(samples, BOLTZMANN * temperature, config.harmonics)
            except InputError as error:
                raise InputError(f"{what} {error}; lower {_SECTIONS[kind]}.harmonics") from error
        terms.append(cosine_term(form, types, coefficients))
    return tuple(terms)


def _checked(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """The samples, if there are enough of them and they are not all the same."""
    if len(values) < _LEAST_SAMPLES:
        raise InputError(
            f"{what} has {len(values)} samples; a fit needs at least {_LEAST_SAMPLES}. Use more frames, or give its "
            "values by hand"
        )
    mean, spread = float(values.mean()), float(values.std())
    if spread < 1e-5 * abs(mean):
        raise InputError(
            f"{what} is constant at {mean:.6g}, probably a constraint between atoms of different beads, so a stiffness "
            "cannot be fitted; give it by hand, or choose beads that hold no constraint between them"
        )
    return values


def _warn_of_maxima(values: NDArray[np.float64], what: str) -> None:
    maxima = _maxima(values)
    if len(maxima) > 1:
        listed = " and ".join(f"{value:.3g}" for value in maxima)
        warnings.warn(
            f"{what} has {len(maxima)} maxima, at {listed}; one harmonic term lies between them (mean "
            f"{values.mean():.3g}, standard deviation {values.std():.2g}, range {values.min():.3g} to "
            f"{values.max():.3g}). Split the bead type, or give a soft stiffness by hand and leave the rest to the "
            "network",
            PriorWarning,
            stacklevel=4,
        )


def _warn_of_straight_angles(topology: CGTopology, frames: Frames) -> None:
    """A torsion pushes without limit where its beads come into line."""
    turned = topology.dihedrals
    if not len(turned):
        return
    inner = np.unique(np.concatenate([turned[:, :3], turned[:, 1:]]), axis=0)
    share = float((np.abs(measure(frames, inner) - math.pi / 2) > math.pi / 2 - _STRAIGHT).mean())
    if share > 0.01:
        warnings.warn(
            f"{100 * share:.0f} % of the angles along the torsions are within {math.degrees(_STRAIGHT):.0f} degrees of "
            "a straight line, where the force of a torsion grows without limit; leave torsions out of the priors",
            PriorWarning,
            stacklevel=3,
        )


def _maxima(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the smoothed distribution has maxima that stand out by a fifth of the highest."""
    counts, edges = np.histogram(values, bins=200)
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 0.9 * min(values.std(), np.ptp(quartiles) / 1.34) * len(values) ** -0.2  # Silverman's rule
    density = gaussian_filter1d(np.pad(counts, 50).astype(float), max(width / (edges[1] - edges[0]), 1.0))
    peaks, _ = find_peaks(density, prominence=0.2 * density.max())
    return edges[0] + (peaks - 50 + 0.5) * (edges[1] - edges[0])
