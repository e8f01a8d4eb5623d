"""What evaluates the priors between all pairs of beads in a run, and why."""

from __future__ import annotations

from dataclasses import dataclass

from openmm_cgml.engine import BackendChoice, choose_pair_backend
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.potentials import NO_NATIVE_FORCE
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.start import compare_with_period
from openmm_cgml.system import (
    nonbonded_potentials_of,
    pair_potentials_of,
    site_potentials_of,
    suggest_time_step,
    three_body_potentials_of,
)
from openmm_cgml.topology import CGTopology


@dataclass(frozen=True, kw_only=True)
class PairChoice:
    """What evaluates the pair priors of a run.

    Attributes:
        choice: The pair backend and why it was taken; None where there are no pair priors.
        by_replicas: Whether the engine evaluates them because there are replicas, which OpenMM cannot keep apart.
        by_sites: Whether the engine evaluates them because they act between sites, which have no native force.
    """

    choice: BackendChoice | None
    by_replicas: bool = False
    by_sites: bool = False

    @property
    def backend(self) -> str:
        """One of `PAIR_BACKENDS`."""
        return "native" if self.choice is None else self.choice.name

    @property
    def in_engine(self) -> bool:
        """Whether the engine evaluates them."""
        return self.backend == "engine"

    @property
    def differ_from_native(self) -> bool:
        """Whether the System has fewer native forces than it has by default."""
        return self.in_engine and not self.by_replicas and not self.by_sites

    @property
    def record(self) -> dict[str, str | float]:
        """Entries of the record of the run."""
        if self.choice is None:
            return {}
        return {"pair_backend": self.choice.name, "pair_backend_reason": self.choice.reason}


def choose_pairs(force_field: ForceField, topology: CGTopology, config: SimulationConfig, platform: str) -> PairChoice:
    """What evaluates the pair priors of a run.

    With multiple time steps the engine evaluates them with the network, at the outer step. Where that is too long for
    them, or no native force would be left for the inner steps, "auto" takes native forces.

    Args:
        force_field: The force field.
        topology: The beads of one replica.
        config: Settings of the run.
        platform: Name of the OpenMM platform.

    Raises:
        InputError: If native forces are asked for priors between sites, or multiple time steps that they do not allow.
        MissingDependencyError: If the engine is asked for and cannot be had.
    """
    potentials = force_field.bind(topology)
    has_network = force_field.network is not None
    if site_potentials_of(potentials):
        return _choose_for_sites(force_field, topology, config, n_others=len(potentials) - 1)
    pairs = pair_potentials_of(potentials)
    if not pairs:
        return PairChoice(choice=None)
    if has_network and config.replicas > 1:
        reason = "native pair forces would give up OpenMM's neighbor list to keep replicas apart"
        return PairChoice(choice=BackendChoice(name="engine", reason=reason), by_replicas=True)
    choice = choose_pair_backend(config.pair_backend, platform=platform, has_network=has_network)
    n_native = len(potentials) - len(pairs) - len(three_body_potentials_of(potentials))
    if config.pair_backend == "auto" and choice.name == "engine" and config.network_interval > 1:
        problem = _outer_step_problem(force_field, topology, config, n_others=n_native)
        if problem:
            choice = BackendChoice(name="native", reason=problem)
    return PairChoice(choice=choice)


def _choose_for_sites(
    force_field: ForceField, topology: CGTopology, config: SimulationConfig, *, n_others: int
) -> PairChoice:
    """The engine, where nothing else is asked for.

    Raises:
        InputError: If something else is, or the step of the ML force is too long for priors between sites.
    """
    if config.pair_backend == "native":
        raise InputError(NO_NATIVE_FORCE)
    if config.network_interval > 1 and (
        problem := _outer_step_problem(force_field, topology, config, n_others=n_others)
    ):
        raise InputError(f"network_interval {config.network_interval} is too long for priors between sites: {problem}")
    choice = choose_pair_backend("engine", has_network=False)  # a PythonForce in any case
    reason = "priors between sites have no native force"
    return PairChoice(choice=BackendChoice(name=choice.name, reason=reason), by_sites=True)


def compare_pairs_with_outer_step(
    force_field: ForceField, topology: CGTopology, config: SimulationConfig
) -> str | None:
    """A note where the step of the network is longer than wise for a pair prior, or None.

    Raises:
        InputError: If it is far too long.
    """
    potentials = force_field.bind(topology)
    pairs = nonbonded_potentials_of(potentials)
    allowed = suggest_time_step(pairs, topology.masses, temperature=config.temperature, bonds=potentials)
    if allowed is None:
        return None
    term = f"{allowed.term}, which the engine evaluates with the network"
    return compare_with_period(config.network_interval * config.time_step, allowed.period, term)


def _outer_step_problem(
    force_field: ForceField, topology: CGTopology, config: SimulationConfig, *, n_others: int
) -> str | None:
    """Why the pair priors cannot go with the network, or None."""
    if n_others == 0:
        return "without the pair priors there is no native force for the steps between those of the network"
    try:
        return compare_pairs_with_outer_step(force_field, topology, config)
    except InputError as error:
        return str(error)
