"""Which beads are too near in a molecule is said once, by the priors."""

from dataclasses import replace

import numpy as np

from openmm_cgml.residues import MoleculeTemplate
from openmm_cgml.topology import CGTopology
from openmm_cgml.training.config import DataConfig, FitConfig
from openmm_cgml.training.data import pair_rule
from openmm_cgml.training.pairs import PairFinder
from tests.fixtures import POLYETHYLENE, POLYETHYLENE_CHAIN, tiny_chain_force_field


def test_priors_deployed_network_and_training_leave_out_the_same_pairs():
    names = POLYETHYLENE_CHAIN.residues(4)
    force_field = tiny_chain_force_field()
    molecule = MoleculeTemplate.from_names(names, POLYETHYLENE, (POLYETHYLENE_CHAIN,))
    chain = CGTopology.from_molecules([(molecule, 1)], type_names=force_field.type_names)
    curled = np.random.default_rng(0).uniform(0, 0.25, (chain.n_beads, 3))  # every pair within the cutoffs
    seen = []
    for excluded in (1, 3):
        priors = replace(force_field.priors, exclude_bonds=excluded)
        pairs = {(i, j) for i, j in priors.excluded_pairs(chain).tolist()}
        repulsion = next(p for p in priors.bind(chain) if p.name == "power repulsion")
        assert {(i, j) for i, j in repulsion.exclusions.tolist()} == pairs
        deployed = replace(force_field, priors=priors).deploy(chain)
        assert {divmod(key, chain.n_beads) for key in deployed.excluded.tolist()} == pairs
        network = force_field.network.config
        config = FitConfig(name="a", data=DataConfig(datasets="a"), priors={}, network=network)
        intra = PairFinder(chain, pair_rule(config, priors)).find(curled, None).intra
        everything = {(i, j) for j in range(chain.n_beads) for i in range(j)}
        assert everything - {(int(i), int(j)) for i, j in intra.T} == pairs
        seen.append(pairs)
    assert seen[0] < seen[1], "the control must differ"
