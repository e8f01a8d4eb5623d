"""Prior sets with sites: files, binding, what is refused."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.potentials import SitePairs, SiteTemplate
from openmm_cgml.priors import PriorSet
from tests.site_models import (
    RING_SITES,
    SITES,
    bond_terms,
    center_priors,
    center_terms,
    site_fluid,
    site_priors,
    site_terms,
    site_topology,
)

COORDINATE = st.floats(-0.5, 0.5, allow_nan=False)
NAME = st.text("ABCXYZ12", min_size=1, max_size=4)
TEMPLATES = st.builds(
    lambda site, bead, positions: SiteTemplate(site_type=site, bead_type=bead, positions=tuple(positions)),
    NAME, NAME, st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), min_size=1, max_size=4),
)  # fmt: skip


@given(st.lists(TEMPLATES, min_size=1, max_size=5, unique_by=lambda t: (t.site_type, t.bead_type)))
def test_files_give_sites_back(templates):
    names = sorted({template.site_type for template in templates})
    pairs = [(a, b) for k, a in enumerate(names) for b in names[k:]]
    cutoffs = itertools.cycle(site_terms()[:2])  # which differ
    terms = [replace(term, types=types) for types, term in zip(pairs, cutoffs, strict=False)]
    priors = PriorSet(terms=terms, sites=tuple(templates))
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


def test_centers_are_written_and_read_back():
    priors = center_priors("C")
    content = priors.to_dict()
    assert content["version"] == "1.5" and content["centers"] == "beads"
    again = PriorSet.from_json(priors.to_json())
    assert again.to_dict() == content and again.centers == "beads"
    with pytest.raises(ArtifactError, match='expected "molecules" or "beads", or no such key'):
        PriorSet.from_json(json.dumps(content | {"centers": "atoms"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centers": None}, r"pair_spline R-R is not between sites, which are C, H; say with centers"),
        ({"terms": (*bond_terms("R"), *site_terms())}, "no terms of pair forms between them"),
        ({"sites": ()}, "no sites beside them"),
        ({"terms": (*site_terms(), replace(site_terms()[0], types=("C", "R")))}, "between a site and something else"),
    ],
)
def test_centers_that_do_not_go_with_the_terms_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(center_priors("R"), **changes)


def test_a_site_and_a_center_have_different_names():
    site = SiteTemplate(site_type="M", bead_type="M", positions=((0.01, 0, 0),))
    priors = PriorSet(
        terms=(*bond_terms("C"), *site_terms(), *center_terms("C")[:1], *center_terms("C")[2:]),
        sites=(*SITES["C"], site),
        centers="beads",
    )
    with pytest.raises(InputError, match="M is a type of sites and one of centers of beads; rename the sites"):
        priors.bind_centers(site_topology("C", 2))
