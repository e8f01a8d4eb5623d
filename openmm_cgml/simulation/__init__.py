"""Coarse-grained simulations that can be killed at any moment, notice when they go wrong, and resume."""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.runs.result import SimulationResult
    from openmm_cgml.simulation.barostat import add_barostat
    from openmm_cgml.simulation.config import SimulationConfig
    from openmm_cgml.simulation.force_field_run import resume, simulate
    from openmm_cgml.simulation.integrator import create_multiple_time_step_integrator
    from openmm_cgml.simulation.run import simulate_system
    from openmm_cgml.simulation.sampler import Sampler
    from openmm_cgml.simulation.stability import UnstableSimulationError

__all__ = [
    "Sampler",
    "SimulationConfig",
    "SimulationResult",
    "UnstableSimulationError",
    "add_barostat",
    "create_multiple_time_step_integrator",
    "resume",
    "simulate",
    "simulate_system",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Sampler": "sampler",
        "SimulationConfig": "config",
        "SimulationResult": "run",
        "UnstableSimulationError": "stability",
        "add_barostat": "barostat",
        "create_multiple_time_step_integrator": "integrator",
        "resume": "force_field_run",
        "simulate": "force_field_run",
        "simulate_system": "run",
    },
)
