"""Entry point for OpenMM-ML: `MLPotential("openmm-cgml", modelPath="benzene-1bead").createSystem(topology)`.

OpenMM-ML imports this module whenever it is imported itself, so nothing heavy and nothing that could fail is imported
at the top, not even OpenMM-ML.
"""

from __future__ import annotations

from typing import Any


class CGMLPotentialImplFactory:
    """Makes the object through which OpenMM-ML uses a force field of this package."""

    def createImpl(self, name: str, modelPath: Any = None) -> Any:  # noqa: N802  (OpenMM-ML's name)
        """The implementation of one force field.

        Args:
            name: Name of the potential, "openmm-cgml".
            modelPath: Name of a shipped model or path of a force field folder.

        Raises:
            InputError: If `modelPath` is missing or no force field.
        """
        from openmm_cgml.errors import InputError

        if modelPath is None:
            raise InputError(f'say which force field: MLPotential("{name}", modelPath="benzene-1bead"), or a path')
        return _implementation(modelPath)


def _implementation(name_or_path: Any) -> Any:
    import openmm
    from openmmml.mlpotential import MLPotentialImpl

    from openmm_cgml.errors import InputError
    from openmm_cgml.force_field import ForceField

    class CGMLPotentialImpl(MLPotentialImpl):  # type: ignore[misc]  # OpenMM-ML has no type information
        """Adds the priors and the network of one force field to a System."""

        def __init__(self) -> None:
            self.force_field = ForceField.load(name_or_path)

        def addForces(  # noqa: N802
            self,
            topology: openmm.app.Topology,
            system: openmm.System,
            atoms: Any,
            forceGroup: int,
            ml_backend: str = "auto",
        ) -> None:
            """Set the bead masses, which OpenMM-ML cannot know, and add the forces, all in one group."""
            if atoms is not None and sorted(atoms) != list(range(topology.getNumAtoms())):
                raise InputError("a coarse-grained force field needs all beads; mixed systems are not supported")
            beads = self.force_field.bead_topology(topology)
            for bead, mass in enumerate(beads.masses.tolist()):
                system.setParticleMass(bead, mass)
            self.force_field.add_forces(system, topology, ml_backend=ml_backend, force_group=forceGroup)

    return CGMLPotentialImpl()
