"""Bonded and pair priors refined in the same simulations."""

from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.builder import build_box
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.priors import PriorSet
from openmm_cgml.refinement import PriorsRefinementConfig, config_of, refine
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.simulation.sampler import Sampler
from tests.fixtures import tiny_chain_force_field

SHORT = {
    "rounds": 1, "starts": 2, "duration": 0.4, "equilibration": 0.1, "first_equilibration": 0.0, "frame_interval": 0.1,
    "time_step": 0.001, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def force_field():
    return tiny_chain_force_field(network=False)


@pytest.fixture(scope="module")
def dataset(force_field, tmp_path_factory):
    """Frames of a short simulation."""
    topology, positions, box = build_box(force_field, chains=[(20, 5)], density="0.7 g/cm^3")
    beads = force_field.bead_topology(topology)
    config = SimulationConfig(temperature=300.0, duration=4.0, time_step=0.001, frame_interval=0.1, threads=1)
    sampler = Sampler.create(force_field.create_system(beads, box=box), beads, positions, box, config)
    sampler.step(1000)
    frames = np.array([snapshot.positions for snapshot in sampler.frames(40)])
    return ForceMatchingDataset.create(
        tmp_path_factory.mktemp("chains") / "data",
        [Frames(positions=frames, forces=np.ones_like(frames), box=np.tile(box, (len(frames), 1, 1)))],
        topology=beads,
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=force_field.templates,
        chains=force_field.chains,
    )


def changed_terms(one, other):
    pairs = zip(one.priors.terms, other.priors.terms, strict=True)
    return {a.form for a, b in pairs if a.parameters != b.parameters}


@pytest.mark.backend
def test_both_kinds_change_in_one_round(force_field, dataset, tmp_path):
    config = config_of("priors", **SHORT)
    assert isinstance(config, PriorsRefinementConfig)
    result = refine(force_field, dataset, tmp_path / "out", config)
    changed = changed_terms(force_field, result.force_field)
    assert "power_repulsion" in changed and "harmonic_bond" in changed
    assert "Bonded and pair priors refined" in ForceField.load(result.path).manifest.description
    columns = (tmp_path / "out" / "refinement.csv").read_text().splitlines()[0].split(",")
    assert {"js_divergence", "gr_judged", "all_gr_floor", "pressure"} <= set(columns)
    assert len(set(columns)) == len(columns)


@pytest.mark.backend
def test_an_interrupted_one_ends_like_an_uninterrupted_one(force_field, dataset, tmp_path):
    config = PriorsRefinementConfig(**SHORT)
    whole = refine(force_field, dataset, tmp_path / "whole", config)

    def stop(done, rounds, measure):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine(force_field, dataset, tmp_path / "parts", config, progress=stop)
    parts = refine(force_field, dataset, tmp_path / "parts", config, resume=True)
    for one, other in zip(parts.force_field.priors.terms, whole.force_field.priors.terms, strict=True):
        assert one.parameters == pytest.approx(dict(other.parameters), rel=1e-3)


def test_without_pair_priors_there_is_nothing_to_refine_together(force_field, dataset, tmp_path):
    terms = tuple(term for term in force_field.priors.terms if term.form != "power_repulsion")
    bare = replace(force_field, priors=PriorSet(terms=terms, exclude_bonds=3))
    with pytest.raises(InputError, match="no pair priors"):
        refine(bare, dataset, tmp_path / "out", PriorsRefinementConfig(**SHORT))
