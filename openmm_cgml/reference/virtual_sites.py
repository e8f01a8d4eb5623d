"""Virtual sites of OpenMM Systems: particles without mass, whose forces OpenMM hands on to those that place them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_cgml.errors import InputError

__all__ = ["describe_virtual_site", "is_virtual_site", "moved_virtual_site"]


def is_virtual_site(system: openmm.System) -> NDArray[np.bool_]:
    """Which particles are virtual sites, shape (n_particles,)."""
    return np.array([system.isVirtualSite(i) for i in range(system.getNumParticles())], dtype=bool)


def describe_virtual_site(site: Any, place: Mapping[int, int]) -> tuple[Any, ...]:
    """What a site is, with its parents numbered by `place`; equal for sites that are placed alike.

    Raises:
        InputError: The site is of a kind that is not known here.
    """
    particles = tuple(place[site.getParticle(k)] for k in range(site.getNumParticles()))
    return type(site).__name__, particles, *_weights(site)


def moved_virtual_site(site: Any, place: Mapping[int, int]) -> Any:
    """The same site with its parents numbered by `place`.

    Raises:
        InputError: The site is of a kind that is not known here.
    """
    particles = [place[site.getParticle(k)] for k in range(site.getNumParticles())]
    if isinstance(site, openmm.LocalCoordinatesSite):
        return openmm.LocalCoordinatesSite(particles, *map(list, _weights(site)))
    return type(site)(*particles, *_weights(site))


def _weights(site: Any) -> tuple[Any, ...]:
    """The numbers that a site is constructed from, in the order of its constructor."""
    if isinstance(site, openmm.TwoParticleAverageSite | openmm.ThreeParticleAverageSite):
        return tuple(site.getWeight(k) for k in range(site.getNumParticles()))
    if isinstance(site, openmm.OutOfPlaneSite):
        return site.getWeight12(), site.getWeight13(), site.getWeightCross()
    if isinstance(site, openmm.LocalCoordinatesSite):
        position = tuple(float(x) for x in site.getLocalPosition()._value)
        return tuple(site.getOriginWeights()), tuple(site.getXWeights()), tuple(site.getYWeights()), position
    raise InputError(
        f"virtual sites of kind {type(site).__name__} are not known; record total forces only with "
        "ForceRecorder(..., require_split=False)"
    )
