"""Closest approaches that data show, and those that they have too few pairs for."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from openmm_cgml.errors import DatasetWarning

__all__ = ["SHELL", "Contact", "supported_contacts"]

SHELL = 1.25
"""Of the closest approach, within which pairs are counted."""
_SHOWN = 5.0  # times as many as in a gas


@dataclass(frozen=True, kw_only=True)
class Contact:
    """The closest approach of beads of two types in data.

    Attributes:
        distance: Closest approach [nm].
        rank: How many pairs of beads are nearer.
        n_near: Pairs within `shell`.
        shell: A somewhat larger distance [nm].
    """

    distance: float
    rank: int
    n_near: int
    shell: float

    @property
    def shows_a_wall(self) -> bool:
        """Whether pairs crowd beyond the closest approach, rather than being so few that it lies there by chance.

        Pairs that fill space without any wall are (shell / distance)^3 times as many within the shell.
        """
        return self.n_near >= _SHOWN * (self.rank + 1) * (self.shell / self.distance) ** 3


def supported_contacts(
    contacts: Mapping[tuple[str, ...], Contact],
    wanted: Collection[tuple[str, ...]],
    *,
    remedy: str = "give repulsion.sigma of {} by hand",
) -> dict[tuple[str, ...], float]:
    """Closest approach [nm] of each pair of types; where pairs are too few, at most the sum of the two beads' radii.

    Radii are halves of the closest approaches of like beads, or what is left of those of unlike ones. Each pair that is
    too rare is named in a warning.

    Args:
        contacts: Closest approaches in the data, by pair of bead types.
        wanted: The pairs that are to be fitted; of others nothing is said.
        remedy: What else to do than to use more frames, with {} for the bead types.
    """
    shown = {types: contact.distance for types, contact in contacts.items() if contact.shows_a_wall}
    result = {}
    for types, contact in contacts.items():
        result[types] = contact.distance
        if types in wanted and types not in shown:
            estimate = _from_others(types, shown)
            result[types] = contact.distance if estimate is None else min(contact.distance, estimate)
            _warn(types, contact, estimate, remedy)
    return result


def _from_others(types: tuple[str, ...], shown: Mapping[tuple[str, ...], float]) -> float | None:
    first, second = (_radius(name, shown) for name in (types[0], types[-1]))
    if first is not None and second is not None:
        return first + second
    return min(shown.values(), default=None)


def _radius(name: str, shown: Mapping[tuple[str, ...], float]) -> float | None:
    if (name, name) in shown:
        return shown[name, name] / 2
    rests = []
    for pair, distance in shown.items():
        other = pair[1] if pair[0] == name else pair[0]
        if name in pair and (other, other) in shown:
            rests.append(distance - shown[other, other] / 2)
    return max(sum(rests) / len(rests), 0.0) if rests else None


def _warn(types: tuple[str, ...], contact: Contact, estimate: float | None, remedy: str) -> None:
    name = "-".join(types)
    taken = (
        "and no other pair of types tells how large they are, so that distance is taken as it is"
        if estimate is None
        else f"so at most {estimate:.3f} nm is taken from the other pairs of types"
    )
    warnings.warn(
        f"excluded volume of {name}: only {contact.n_near} pairs within {contact.shell:.3f} nm, the closest at "
        f"{contact.distance:.3f} nm, show no wall there, {taken}; use more frames with such pairs, or "
        + remedy.format(name),
        DatasetWarning,
        stacklevel=3,
    )
