"""The folder of a polymer as a whole, with made-up parameters; tests/starting/test_polymer_parameters.py has real ones."""

import shlex

import numpy as np
import pytest
from openmm import app
from scipy.spatial.distance import pdist, squareform

from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.reference import ReferenceConfig
from openmm_cgml.reference.plan import make_plan
from openmm_cgml.refinement.config import read_refinement_config
from openmm_cgml.specification import read_specification
from openmm_cgml.starting import StartPolymerConfig, polymer_parameters, start_polymer
from openmm_cgml.training.config import read_fit_config
from tests.starting.liquids import fake_parameters
from tests.starting.test_folder import commands_of

FILES = {"atomistic.xml", "system.yaml", "fit.yaml", "refine.yaml", "README.md", "mapping.png", "chain.pdb"}


@pytest.fixture(autouse=True)
def parameters(monkeypatch):
    monkeypatch.setattr(polymer_parameters, "parametrize", fake_parameters)
    monkeypatch.setattr(polymer_parameters, "compare_systems", lambda *_: 0.0)  # made-up bonds depend on the geometry


def start(path, repeat, chains="10x30", overwrite=False, **settings):
    return start_polymer(path, StartPolymerConfig(repeat=repeat, chains=chains, **settings), overwrite=overwrite)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("repeat", "settings"),
    [
        ("[*]CC(C)[*]", {}),
        ("[*]CC(C)[*]", {"tacticity": "syndiotactic", "beads": 2}),
        ("[*]CCO[*]", {"ends": ("[H][*]", "C[*]"), "chains": "12x25"}),
        ("[*]CC(c1ccccc1)[*]", {"beads": 2, "temperature": 500.0, "pressure": 10.0}),
        ("[*]O[C@@H](C)C(=O)[*]", {"bead": ("O1 C1 H1", "C2 H2 H3 H4", "C3 O2")}),
    ],
)
def test_a_started_folder_is_read_by_every_stage(tmp_path, repeat, settings):
    path = tmp_path / "polymer"
    start(path, repeat, **settings)
    specification = read_specification(path)
    plan = make_plan(specification, ReferenceConfig())
    system = plan.box.create_system(plan.settings, 9.0)
    assert system.getNumParticles() == plan.box.sizes.sum()
    assert plan.box.n_molecules == int(settings.get("chains", "10x30").split("x")[0])
    fit, refine = read_fit_config(path / "fit.yaml"), read_refinement_config(path / "refine.yaml")
    assert fit.network is None and fit.priors.torsions is not None and refine.target == "priors"
    assert (specification.temperature, specification.pressure) == (
        settings.get("temperature", 300.0), settings.get("pressure", 1.01325)
    )  # fmt: skip
    assert {entry.name for entry in path.iterdir()} == FILES


def test_polypropylene_is_what_was_asked_for(tmp_path):
    started = start(tmp_path / "polypropylene", "[*]CC(C)[*]", seed=3)
    specification = read_specification(tmp_path / "polypropylene")
    (chain,) = specification.chains
    assert (chain.name, chain.monomers, chain.count, chain.links) == ("polypropylene", 30, 10, (("C2", "C1"),))
    assert (specification.reference.tacticity, specification.reference.stereocenter) == ("atactic", "C2")
    assert "atactic; --tacticity" in started.notes[0]
    assert started.commands[1] == (
        f"openmm-cgml init {tmp_path}/polypropylene --repeat '[*]CC(C)[*]' --chains 10x30 --seed 3"
    )
    pdb = app.PDBFile(str(tmp_path / "polypropylene" / "chain.pdb"))
    assert pdb.getNumFrames() == 40
    assert [residue.name for residue in pdb.topology.residues()] == ["POH", "POM", "POM", "POM", "POT"]


def test_the_box_is_grown_with_the_tacticity_of_the_system_file(tmp_path):
    """Whoever edits system.yaml gets other chains from the same files."""
    start(tmp_path / "polymer", "[*]CC(C)[*]", chains="8x20")
    text = (tmp_path / "polymer" / "system.yaml").read_text()
    boxes = []
    for kind in ("isotactic", "syndiotactic"):
        (tmp_path / "polymer" / "system.yaml").write_text(text.replace("tacticity: atactic", f"tacticity: {kind}"))
        box = make_plan(read_specification(tmp_path / "polymer"), ReferenceConfig()).box
        chain = box.polymer.grow(1, 20, 6.0, np.random.default_rng(1))
        starts = 10 + 9 * np.arange(18)
        volumes = [np.linalg.det(chain[[s, s + 2, s + 9]] - chain[s + 1]) for s in starts]
        boxes.append(np.sign(volumes))
    assert abs(boxes[0].sum()) == 18
    assert (boxes[1][1:] == -boxes[1][:-1]).all()


def test_from_installation_to_report_takes_at_most_seven_commands(tmp_path):
    start(tmp_path / "peo", "[*]CCO[*]", chains="12x25")
    lines = commands_of(tmp_path / "peo")
    assert [shlex.split(line)[1] for line in lines] == [
        "install", "init", "reference", "fit", "refine", "simulate", "validate",
    ]  # fmt: skip
    assert "--chains 12x25" in lines[5]


@pytest.mark.parametrize(
    ("repeat", "settings", "message"),
    [
        ("[*]CC(C)[*]", {"chains": "10"}, "write how many and of how many units each"),
        ("[*]CC(C)[*]", {"chains": "10x2"}, "at least 3"),
        ("[*]CC(C)[*]", {"chains": "1x10"}, "a box of one chain would be about"),
        ("[*]CC[*]", {"tacticity": "isotactic"}, "leaves no stereocenter open"),
        ("[*]C[C@H](C)[*]", {"tacticity": "syndiotactic"}, "take the @ out"),
        ("[*]CC(C)[*]", {"beads": 2, "bead": ("C1",)}, "beads and bead are both given"),
        ("[*]CC(C)[*]", {"bead": ("C1 H1 H2",)}, "is in no bead"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_written(tmp_path, repeat, settings, message):
    with pytest.raises(InputError, match=message):
        start(tmp_path / "polymer", repeat, **settings)
    assert not (tmp_path / "polymer").exists()


def test_what_is_there_is_kept_and_only_replaced_when_asked_to(tmp_path):
    start(tmp_path / "peo", "[*]CCO[*]")
    with pytest.raises(OutputExistsError):
        start(tmp_path / "peo", "[*]CCO[*]")
    start(tmp_path / "peo", "[*]CCO[*]", overwrite=True, beads=3)
    assert len(read_specification(tmp_path / "peo").residues[1].beads) == 3


def test_a_chain_that_curls_keeps_its_distance_from_itself(tmp_path):
    start(tmp_path / "polymer", "[*]CC(C)[*]", chains="8x20")
    polymer = make_plan(read_specification(tmp_path / "polymer"), ReferenceConfig()).box.polymer
    atoms = list(polymer.topology(1, 100).atoms())
    heavy = np.array([atom.element.symbol != "H" for atom in atoms])
    unit = np.array([atom.residue.index for atom in atoms])[heavy]
    for seed in (1, 2):
        chain = polymer.grow(1, 100, 12.0, np.random.default_rng(seed))
        distances = squareform(pdist(chain[heavy]))
        assert distances[np.abs(np.subtract.outer(unit, unit)) > 2].min() >= 0.32
