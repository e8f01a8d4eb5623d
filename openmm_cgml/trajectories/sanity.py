"""What is plausible in frames that another program wrote: a table of findings, some of which no run can have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.force_scale import ForceScale, bond_work, compare_work, pair_work
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import pair_vectors
from openmm_cgml.topology import AtomTopology
from openmm_cgml.units import BOLTZMANN, DALTON_PER_NM3_IN_G_PER_CM3

__all__ = ["Finding", "Verdict", "describe_findings", "inspect_frames", "refuse_impossible"]

# Covalent radii [nm]: Cordero et al., Dalton Trans. 2832 (2008).
_RADII = {
    "H": 0.031, "Li": 0.128, "B": 0.084, "C": 0.076, "N": 0.071, "O": 0.066, "F": 0.057, "Na": 0.166, "Mg": 0.141,
    "Al": 0.121, "Si": 0.111, "P": 0.107, "S": 0.105, "Cl": 0.102, "K": 0.203, "Ca": 0.176, "Zn": 0.122, "Se": 0.120,
    "Br": 0.120, "Sn": 0.139, "I": 0.139,
}  # fmt: skip
_USUAL_BOND, _TORN_BOND = (0.75, 1.35), 2.0  # of the sum of the radii; the mean, and any one
_USUAL_DENSITY, _POSSIBLE_DENSITY = (0.05, 23.0), (1e-6, 40.0)  # g/cm^3
_USUAL_SUM = 0.1  # of what forces without relation would add up to
_USUAL_TEMPERATURE, _POSSIBLE_TEMPERATURE = 0.1, 0.4  # deviation over the temperature
_IMPOSSIBLE_SCALE = 2.5
_LEAST_FRAMES = 8  # that forces and positions are compared in


class Verdict(StrEnum):
    """What to make of a finding."""

    GOOD = "good"
    ODD = "odd"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the table.

    Attributes:
        what: What was looked at.
        value: What was found, with its unit.
        verdict: Whether that can be.
        advice: What may be wrong, and what to do; empty if nothing is.
    """

    what: str
    value: str
    verdict: Verdict = Verdict.GOOD
    advice: str = ""


def inspect_frames(frames: Frames, topology: AtomTopology, temperature: float) -> list[Finding]:
    """Findings on frames in our units: density, bonds, forces, velocities, beside what a run at `temperature` has.

    Forces are compared with positions by an identity of the equilibrium (`openmm_cgml.force_scale`), which finds
    factors of units, wrong signs and forces of other frames: along bonds that vibrate, and between the centers of mass
    of molecules, where constraints do not matter.

    Args:
        frames: Some frames, molecules whole.
        topology: Their atoms, with the constraints of the run.
        temperature: Temperature of the run [K].
    """
    findings = [*_density(frames, topology), *_bond_lengths(frames, topology)]
    if frames.forces is not None:
        findings += [*_sizes(frames), *_sum_of_forces(frames), *_force_scales(frames, topology, temperature)]
    return [*findings, *_kinetic(frames, topology, temperature), *_motion(frames)]


def describe_findings(findings: Sequence[Finding]) -> str:
    """The findings as a table of text."""
    width = max((len(finding.what) for finding in findings), default=0)
    value = max((len(finding.value) for finding in findings), default=0)
    lines = [f"{f.what:<{width}}  {f.value:<{value}}  {f.verdict}" for f in findings]
    remarks = [f"{f.what}: {f.advice}" for f in findings if f.advice]
    return "\n".join([*lines, *remarks])


def refuse_impossible(findings: Sequence[Finding], where: str) -> None:
    """Check that nothing impossible was found.

    Args:
        findings: The findings.
        where: What they are about, for the message.

    Raises:
        InputError: Something was; the message has all of it.
    """
    wrong = [finding for finding in findings if finding.verdict is Verdict.IMPOSSIBLE]
    if wrong:
        listed = "; ".join(f"{finding.what} {finding.value}: {finding.advice}" for finding in wrong)
        raise InputError(f"{where}: no such run can be. {listed}")


def _density(frames: Frames, topology: AtomTopology) -> Iterator[Finding]:
    if frames.box is None:
        yield Finding(what="density", value="no box")
        return
    volumes = np.linalg.det(np.asarray(frames.box, np.float64))
    density = float(np.mean(topology.masses.sum() / volumes)) * DALTON_PER_NM3_IN_G_PER_CM3
    value = f"{density:.4g} g/cm^3"
    low, high = _USUAL_DENSITY
    if low <= density <= high:
        yield Finding(what="density", value=value)
        return
    possible = _POSSIBLE_DENSITY[0] <= density <= _POSSIBLE_DENSITY[1]
    yield Finding(
        what="density",
        value=value,
        verdict=Verdict.ODD if possible else Verdict.IMPOSSIBLE,
        advice="a factor of 1000 is angstrom against nm; a liquid or a polymer has 0.5 to 2 g/cm^3. Check `units`",
    )


def _bond_lengths(frames: Frames, topology: AtomTopology) -> Iterator[Finding]:
    if not any(topology.elements):
        return  # beads, of no element
    known = np.array([element in _RADII for element in topology.elements])
    bonds = topology.bonds[known[topology.bonds].all(axis=1)]
    if not len(bonds):
        yield Finding(what="bonds", value=f"{len(topology.bonds)}, none of known elements")
        return
    radii = np.array([_RADII.get(element, 0.0) for element in topology.elements])
    lengths = np.linalg.norm(pair_vectors(frames.positions, frames.box, bonds[:, 0], bonds[:, 1]), axis=2)
    ratios = lengths / radii[bonds].sum(axis=1)
    typical = float(np.median(ratios))
    value = f"{typical:.3g} of the usual lengths, longest {float(ratios.max()):.3g}"
    if not _USUAL_BOND[0] < typical < _USUAL_BOND[1]:
        yield Finding(
            what="bond lengths", value=value, verdict=Verdict.IMPOSSIBLE,
            advice="a factor of 10 is angstrom against nm; otherwise the topology is that of another run. Check "
            "`units`",
        )  # fmt: skip
    elif ratios.max() > _TORN_BOND:
        frame, bond = np.unravel_index(int(ratios.argmax()), ratios.shape)
        i, j = bonds[bond]
        yield Finding(
            what="bond lengths", value=value, verdict=Verdict.IMPOSSIBLE,
            advice=f"atoms {i} and {j} ({topology.names[i]}, {topology.names[j]}) are {lengths[frame, bond]:.3f} nm "
            f"apart in frame {frame} and bonded: the topology has other atoms, or another order, than the trajectory",
        )  # fmt: skip
    else:
        yield Finding(what="bond lengths", value=value)


def _sizes(frames: Frames) -> Iterator[Finding]:
    forces = np.asarray(frames.forces, np.float64)
    rms = float(np.sqrt(np.mean(forces**2)))
    yield Finding(
        what="rms force on an atom",
        value=f"{rms:.4g} kJ/mol/nm",
        verdict=Verdict.GOOD if rms > 0 else Verdict.IMPOSSIBLE,
        advice="" if rms > 0 else "all forces are zero: the columns hold none",
    )


def _sum_of_forces(frames: Frames) -> Iterator[Finding]:
    forces = np.asarray(frames.forces, np.float64)
    unrelated = np.sqrt((forces**2).sum(axis=(1, 2)))
    ratio = float(np.mean(np.linalg.norm(forces.sum(axis=1), axis=1) / np.maximum(unrelated, np.finfo(float).tiny)))
    fine = ratio < _USUAL_SUM
    yield Finding(
        what="sum of forces",
        value=f"{ratio:.2g} of that of unrelated forces",
        verdict=Verdict.GOOD if fine else Verdict.ODD,
        advice="" if fine else "forces between atoms add up to zero. A thermostat that pushes atoms (LAMMPS's `fix "
        "langevin` adds friction and random forces to fx fy fz), a wall, a field or frozen atoms are in these forces, "
        "and "
        "would be learned: dump without the thermostat (`rerun`), or compute them anew with --rerun",
    )  # fmt: skip


def _force_scales(frames: Frames, topology: AtomTopology, temperature: float) -> Iterator[Finding]:
    assert frames.forces is not None
    if len(frames) < _LEAST_FRAMES:
        yield Finding(what="forces beside positions", value=f"{len(frames)} frames, {_LEAST_FRAMES} would tell")
        return
    kinds = np.unique(np.sort(np.asarray(topology.elements)[topology.bonds], axis=1), axis=0, return_inverse=True)[1]
    along = bond_work(frames.positions, frames.box, frames.forces, topology.bonds, kinds.ravel())
    between = pair_work(*_molecules(frames, topology))
    for what, work in (("forces along bonds", along), ("forces between molecules", between)):
        if work is not None:
            yield _judge_scale(what, compare_work(work, temperature), temperature)
    if along is None and between is None:
        yield Finding(what="forces beside positions", value="one rigid molecule: nothing to compare")


def _judge_scale(what: str, scale: ForceScale, temperature: float) -> Finding:
    value = f"{scale.ratio:.3g} +- {scale.error:.1g} of what {temperature:g} K gives"
    if not scale.is_off:
        return Finding(what=what, value=value)
    impossible = scale.ratio < 1 / _IMPOSSIBLE_SCALE or scale.ratio > _IMPOSSIBLE_SCALE
    return Finding(
        what=what,
        value=value,
        verdict=Verdict.IMPOSSIBLE if impossible else Verdict.ODD,
        advice=f"forces, positions and the temperature do not belong together{scale.guess()}. Check `units`, the "
        "temperature, the sign of the forces, and that they are of these frames",
    )


def _molecules(
    frames: Frames, topology: AtomTopology
) -> tuple[NDArray[np.float64], NDArray[np.floating] | None, NDArray[np.float64]]:
    """Centers of mass of molecules, the box, and the sums of their forces."""
    from scipy.sparse import csr_array

    n, atoms = int(topology.molecules.max()) + 1, np.arange(topology.n_atoms)
    member = csr_array((np.ones(topology.n_atoms), (topology.molecules, atoms)), shape=(n, topology.n_atoms))
    fractions = csr_array((topology.masses, (topology.molecules, atoms)), shape=member.shape)
    totals = np.asarray(fractions.sum(axis=1))[:, None]
    centers = np.stack([(fractions @ np.asarray(x, np.float64)) / totals for x in frames.positions])
    forces = np.stack([member @ np.asarray(f, np.float64) for f in np.asarray(frames.forces)])
    return centers, frames.box, forces


def _kinetic(frames: Frames, topology: AtomTopology, temperature: float) -> Iterator[Finding]:
    if "kinetic" not in frames.energies:
        yield Finding(what="kinetic temperature", value="no velocities")
        return
    free = max(3 * topology.n_atoms - len(topology.constraints) - 3, 1)
    found = 2 * float(np.mean(frames.energies["kinetic"])) / (BOLTZMANN * free)
    noise = 4 * (2 / free / len(frames)) ** 0.5  # were the frames independent; thermostats narrow it
    off = abs(found / temperature - 1)
    verdict = Verdict.GOOD if off < max(_USUAL_TEMPERATURE, noise) else Verdict.ODD
    if off > max(_POSSIBLE_TEMPERATURE, 2 * noise):
        verdict = Verdict.IMPOSSIBLE
    yield Finding(
        what="kinetic temperature",
        value=f"{found:.4g} K, {temperature:g} K declared",
        verdict=verdict,
        advice="" if verdict is Verdict.GOOD else "check the temperature, the masses, the constraints and the units of "
        "velocities; priors and energies are wrong by that factor if the temperature is",
    )  # fmt: skip


def _motion(frames: Frames) -> Iterator[Finding]:
    if len(frames) < 2:
        return
    still = int((frames.positions[1:] == frames.positions[:1]).all(axis=(0, 2)).sum())
    if still:
        yield Finding(
            what="atoms that do not move", value=str(still), verdict=Verdict.ODD,
            advice="frozen atoms: forces on them are no samples of anything; leave them out of the beads",
        )  # fmt: skip
