"""Priors fitted to mapped frames: each form by its own rule, bonded ones by Boltzmann inversion."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError, PriorWarning
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import (
    ANGLE,
    COORDINATES,
    TORSION,
    BondedConfig,
    BondedPotential,
    Centers,
    PairConfig,
    PairData,
    Samples,
    Sites,
    ThreeBody,
    ThreeBodyConfig,
    bonded_forms,
    group_by_types,
    pair_forms,
)
from openmm_cgml.potentials.settings import by_types
from openmm_cgml.priors.config import PriorConfig
from openmm_cgml.priors.estimated_forces import with_intermolecular_forces
from openmm_cgml.priors.prior_set import PriorSet
from openmm_cgml.priors.term import PriorTerm
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

_LEAST_SAMPLES = 100
_STRAIGHT = math.radians(10)


def fit_priors(config: PriorConfig, topology: CGTopology, frames: Frames, temperature: float) -> PriorSet:
    """The prior set that a configuration asks for.

    Args:
        config: Forms, and values by hand or "fit".
        topology: Beads and bonds.
        frames: Mapped frames, molecules whole.
        temperature: Temperature of the frames [K].

    Raises:
        InputError: If the data cannot give a value that is to be fitted (too few or constant samples, a pair of types
            never seen), or the configuration names bead types that do not occur.
    """
    if frames.n_particles != topology.n_beads:
        raise InputError(f"frames have {frames.n_particles} beads, the topology {topology.n_beads}")
    terms: list[PriorTerm] = []
    for coordinate in COORDINATES:
        section: BondedConfig | None = getattr(config, coordinate.section)
        if section is not None:
            terms += fit_bonded_priors(section, topology, frames, temperature)
    found: Mapping[str, Any] = {}
    if config.pair_form is not None:
        labeled = with_intermolecular_forces(frames, topology, terms) if config.pair_form.follows_forces else frames
        pairs, found = fit_pair_priors(
            config.pair_form, topology, labeled, temperature, config.exclude_bonds, three_body=config.three_body
        )
        terms += pairs
    provenance = {
        "temperature": {"value": temperature, "unit": "K"},
        "n_frames": len(frames),
        "config": config.model_dump(mode="json"),
        **found,
    }
    form = config.pair_form
    return PriorSet(
        terms=tuple(terms),
        exclude_bonds=config.exclude_bonds,
        provenance=provenance,
        sites=() if form is None else form.site_templates(),
        centers=None if form is None else form.center_kind(),
        alike={} if form is None else form.alike_types(),
    )


def fit_bonded_priors(
    config: BondedConfig, topology: CGTopology, frames: Frames, temperature: float
) -> tuple[PriorTerm, ...]:
    """Terms for each combination of bead types of a bonded form, the most likely ones or values given by hand.

    The distribution J exp(-U/kT) of a fitted term, J being the Jacobian of its coordinate, has the mean of every
    feature of its form in the data: mean and variance of a harmonic term, the mean cos(n x) of a series of cosines.

    Args:
        config: Settings of the form, such as `HarmonicBondConfig()`.
        topology: Beads and bonds; angles and torsions are derived.
        frames: Mapped frames.
        temperature: Temperature of the frames [K].

    Raises:
        InputError: If a term to be fitted has fewer than 100 samples or is constant.
    """
    form, kt = _bonded_form_of(config), BOLTZMANN * temperature
    coordinate = form.coordinate
    groups = group_by_types(topology, coordinate.members(topology))
    given = by_types(config.settings(), groups, coordinate.section)
    terms, turned = [], []
    for types, members in groups.items():
        what = f"{form.key} {'-'.join(types)}"
        samples = None
        if not given[types] or "fit" in given[types].values():
            samples = _checked(coordinate.samples(frames, members), what)
            weights = form.weights(frames.positions, frames.box, members)
            try:
                parameters = form.fit(Samples.of(coordinate, samples, weights), kt, given[types], config)
            except InputError as error:
                raise InputError(f"{what} {error}") from error
        else:
            parameters = form.from_settings(given[types], config)
        terms.append(PriorTerm(form=form.key, types=types, parameters=parameters))
        if coordinate is TORSION and not form.straight_angles and not terms[-1].does_nothing:
            turned.append(members)
        by_hand = any(value != "fit" for value in given[types].values())
        for doubt in form.doubts(parameters, None if by_hand else samples, kt):
            warnings.warn(f"{what} {doubt}", PriorWarning, stacklevel=2)
    if turned:
        _warn_of_straight_angles(np.concatenate(turned), frames)
    return tuple(terms)


def fit_pair_priors(
    config: PairConfig,
    topology: CGTopology,
    frames: Frames,
    temperature: float,
    exclude_bonds: int,
    *,
    three_body: ThreeBodyConfig | None = None,
) -> tuple[tuple[PriorTerm, ...], Mapping[str, Any]]:
    """Terms for every pair of bead types (or site types) of a pair form, and what they were made from.

    With a three-body term they are followed by those of every three bead types.

    Args:
        config: Settings of the form, such as `PowerRepulsionConfig()`.
        topology: Beads and bonds.
        frames: Mapped frames.
        temperature: Temperature of the frames [K].
        exclude_bonds: Beads up to this many bonds apart do not interact.
        three_body: Settings of a three-body term that is fitted with the form, which must be one that takes it.

    Raises:
        InputError: If the data cannot give a value that is to be fitted.
    """
    form = next(form for form in pair_forms().values() if form.Config is type(config))
    templates, kind = config.site_templates(), config.center_kind()
    data = PairData(
        topology=topology,
        frames=frames,
        kt=BOLTZMANN * temperature,
        exclude_bonds=exclude_bonds,
        sites=Sites.of(topology, templates, exclude_bonds) if templates else None,
        centers=None if kind is None else Centers.of(topology, kind, exclude_bonds),
        three_body=three_body,
        alike=_checked_alike(config.alike_types(), topology),
    )
    found = form.fit(data, config)
    terms = [PriorTerm(form=form.key, types=types, parameters=values) for types, values in found.parameters.items()]
    terms += [
        PriorTerm(form=ThreeBody.key, types=types, parameters=values) for types, values in found.three_body.items()
    ]
    return tuple(terms), found.provenance


def _checked_alike(alike: Mapping[str, str], topology: CGTopology) -> Mapping[str, str]:
    """The same, if all names are bead types.

    Raises:
        InputError: If one is not.
    """
    unknown = [name for name in (*alike, *alike.values()) if name not in topology.type_names]
    if unknown:
        raise InputError(
            f"pairs.alike names {unknown[0]!r}, which is no bead type; there are {', '.join(topology.type_names)}"
        )
    return alike


def _bonded_form_of(config: BondedConfig) -> type[BondedPotential]:
    """The form that a configuration class belongs to.

    Raises:
        InputError: If it belongs to none.
    """
    for coordinate in COORDINATES:
        for form in bonded_forms(coordinate).values():
            if form.Config is type(config):
                return form
    raise InputError(
        f"{type(config).__name__} is the configuration of no form; take that of a form, such as HarmonicBondConfig"
    )


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


def _warn_of_straight_angles(turned: NDArray[np.int64], frames: Frames) -> None:
    """A torsion pushes without limit where its beads come into line."""
    if not len(turned):
        return
    inner = np.unique(np.concatenate([turned[:, :3], turned[:, 1:]]), axis=0)
    share = float((np.abs(ANGLE.samples(frames, inner) - math.pi / 2) > math.pi / 2 - _STRAIGHT).mean())
    if share > 0.01:
        warnings.warn(
            f"{100 * share:.0f} % of the angles along the torsions are within {math.degrees(_STRAIGHT):.0f} degrees of "
            "a straight line, where the force of a torsion grows without limit; leave torsions out of the priors, or "
            "give coefficients of [0 kJ/mol] to those around such angles",
            PriorWarning,
            stacklevel=3,
        )
