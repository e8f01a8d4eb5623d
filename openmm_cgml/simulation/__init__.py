"""Coarse-grained simulations that can be killed at any moment, notice when they go wrong, and resume."""

from openmm_cgml.runs.result import SimulationResult
from openmm_cgml.simulation.barostat import add_barostat
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.integrator import create_multiple_time_step_integrator
from openmm_cgml.simulation.run import simulate_system
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.simulation.simulate import choose_settings, resume, simulate
from openmm_cgml.simulation.stability import UnstableSimulationError

__all__ = [
    "Sampler",
    "SimulationConfig",
    "SimulationResult",
    "UnstableSimulationError",
    "add_barostat",
    "choose_settings",
    "create_multiple_time_step_integrator",
    "resume",
    "simulate",
    "simulate_system",
]
