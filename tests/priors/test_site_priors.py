"""Prior sets with sites: files, binding, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.potentials import SitePairs, SiteTemplate
from openmm_cgml.priors import PriorSet
from tests.site_models import RING_SITES, bond_terms, site_fluid, site_priors, site_terms, site_topology

COORDINATE = st.floats(-0.5, 0.5, allow_nan=False)
NAME = st.text("ABCXYZ12", min_size=1, max_size=4)
TEMPLATES = st.builds(
    lambda site, bead, positions: SiteTemplate(site_type=site, bead_type=bead, positions=tuple(positions)),
    NAME, NAME, st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), min_size=1, max_size=4),
)  # fmt: skip


@given(st.lists(TEMPLATES, min_size=1, max_size=5, unique_by=lambda t: (t.site_type, t.bead_type)))
def test_files_give_sites_back(templates):
    priors = PriorSet(terms=site_terms(), sites=tuple(templates))
    again = PriorSet.from_json(priors.to_json())
    assert again.sites == priors.sites and again.terms == priors.terms
    assert again.to_dict() == priors.to_dict() and again.to_dict()["version"] == "1.3"


def test_without_sites_nothing_changes_in_files():
    one = PriorSet(terms=site_terms()[:1])
    assert one.to_dict()["version"] == "1.2" and "sites" not in one.to_dict() and "sites" not in one.to_dict()["units"]
    assert PriorSet(terms=site_terms()).to_dict()["version"] == "1.3", "cutoffs that differ are new"
    assert PriorSet(terms=bond_terms("R")).to_dict()["version"] == "1.0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": []}, "expected a list of them, or no such key"),
        ({"sites": {}}, "expected a list of them"),
        ({"sites": [{"type": "C", "bead_type": "A"}]}, "keys missing"),
        ({"sites": [{"type": "C", "bead_type": "A", "positions": [[0, 0, 0]], "more": 1}]}, r"unknown: \['more'\]"),
        ({"sites": [{"type": 1, "bead_type": "A", "positions": [[0, 0, 0]]}]}, "must be names"),
        ({"sites": [{"type": "C", "bead_type": "A", "positions": [[0, 0]]}]}, "three finite coordinates"),
        ({"sites": [{"type": "C", "bead_type": "A", "positions": [[0, 0, "x"]]}]}, "three coordinates each"),
        ({"sites": [{"type": "C", "bead_type": "A", "positions": [[0, 0, True]]}]}, "three coordinates each"),
        ({"units": {}}, "units are"),
    ],
)
def test_files_are_read_strictly(change, message):
    content = PriorSet(terms=site_terms(), sites=RING_SITES).to_dict() | change
    with pytest.raises(ArtifactError, match=message):
        PriorSet.from_json(json.dumps(content))


def test_sites_that_appear_twice_or_do_nothing_are_refused():
    with pytest.raises(InputError, match="appear twice; give all their positions in one"):
        PriorSet(terms=site_terms(), sites=(*RING_SITES, RING_SITES[0]))
    with pytest.raises(InputError, match="no pair form that acts between them"):
        PriorSet(terms=bond_terms("R"), sites=RING_SITES)


def test_binding_builds_the_sites_of_the_topology():
    topology = site_topology("C", 3)
    *_, bound = site_priors("C").bind(topology)
    assert isinstance(bound, SitePairs)
    assert bound.sites.n_sites == 3 * (2 * 4 + 2 * 3) and bound.cutoff == 0.65
    assert np.bincount(bound.sites.owners).tolist() == [4, 3, 3, 4] * 3
    lacking = replace(site_priors("C"), terms=(*bond_terms("C"), *site_terms()[:2]))
    with pytest.raises(InputError, match="no pair_spline for bead types H-H"):
        lacking.bind(topology)
    with pytest.raises(InputError, match="no native OpenMM force"):
        bound.to_openmm(periodic=True)


@pytest.mark.physics
def test_forces_between_molecules_are_all_where_those_within_are_excluded():
    topology, frames = site_topology("R", 27), site_fluid("R")
    priors = site_priors("R")
    inter = priors.forces(topology, frames, part="inter")
    bonds_only = replace(priors, terms=bond_terms("R"), sites=())
    np.testing.assert_allclose(inter, priors.forces(topology, frames) - bonds_only.forces(topology, frames), atol=1e-9)
    assert np.abs(inter).max() > 10
    # The control: sites elsewhere make other forces.
    moved = tuple(
        replace(each, positions=tuple((x + 0.01, y, z) for x, y, z in each.positions)) for each in priors.sites
    )
    other = replace(priors, sites=moved).forces(topology, frames, part="inter")
    assert np.abs(other - inter).max() > 1


@pytest.mark.physics
def test_collisions_of_sites_allow_a_shorter_step_than_those_of_beads():
    topology = site_topology("C", 2)
    lengths = {frozenset(bond): 0.15 for bond in topology.bonds.tolist()}
    *_, bound = site_priors("C").bind(topology)
    period = bound.period(topology.masses, lengths, 2.5)
    heavy = bound.pairs.collision_period(np.full(bound.sites.n_sites, 1 / 15), 2.5)
    assert 0 < period.period < heavy.period
    assert bound.period(np.zeros(topology.n_beads), lengths, 2.5) is None
