"""Chains of the tiny polyethylene force field, and what is measured on them."""

import numpy as np

from openmm_cgml.builder.local_statistics import LocalStatistics
from openmm_cgml.topology import CGTopology, MoleculeTemplate
from tests.fixtures import polyethylene_conformations, tiny_chain_force_field


def chain_force_field(conformations=True):
    """Priors alone, with conformations in its manifest or without."""
    known = polyethylene_conformations() if conformations else None
    return tiny_chain_force_field(network=False, conformations=known)


def chain_topology(force_field, monomers, count):
    names = force_field.chains[0].residues(monomers)
    molecule = MoleculeTemplate.from_names(names, force_field.templates, force_field.chains)
    return CGTopology.from_molecules([(molecule, count)], force_field.type_names)


def chain_statistics(conformations=True):
    return LocalStatistics.of(chain_force_field(conformations), 300.0)


def internal_distances(chains, separations):
    """Mean squared distances of beads so many bonds apart [nm^2], of chains of shape (n_chains, n_beads, 3)."""
    return np.array([((chains[:, k:] - chains[:, :-k]) ** 2).sum(axis=-1).mean() for k in separations])
