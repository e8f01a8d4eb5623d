"""The folder as a whole, with made-up parameters; tests/starting/test_force_field_xml.py has the real ones."""

import re
import shlex

import pytest
from openmm import app

from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.reference import ReferenceConfig
from openmm_cgml.reference.mixture import mixture_of
from openmm_cgml.reference.plan import make_plan
from openmm_cgml.refinement.config import read_refinement_config
from openmm_cgml.specification import read_specification
from openmm_cgml.starting import StartConfig, folder, start_system
from openmm_cgml.training.config import read_fit_config
from tests.starting.liquids import fake_parameters

FILES = {"atomistic.xml", "system.yaml", "fit.yaml", "refine.yaml", "README.md", "mapping.png"}


@pytest.fixture(autouse=True)
def parameters(monkeypatch):
    monkeypatch.setattr(folder, "parametrize", fake_parameters)


def start(path, *smiles, overwrite=False, **settings):
    return start_system(path, StartConfig(smiles=smiles, **settings), overwrite=overwrite)


def commands_of(path):
    block = re.search(r"```bash\n(.*?)```", (path / "README.md").read_text(), re.DOTALL)[1]
    return block.strip().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("smiles", "settings"),
    [
        (["CO"], {"molecules": 500}),
        (["CO"], {"molecules": 500, "bead": ("C1 H1 H2 H3", "O1 H4")}),
        (["CO=400", "O=100"], {}),
        (["CCCCCC=100", "CCO=100", "O=300"], {"beads": (3, 2, 1)}),
        (["c1ccccc1"], {"molecules": 300, "beads": (3,)}),
        (["CCCCCCCCO"], {"molecules": 200, "beads": (4,), "temperature": 350.0, "pressure": 10.0}),
    ],
)
def test_a_started_folder_is_read_by_every_stage(tmp_path, smiles, settings):
    path = tmp_path / "liquid"
    start(path, *smiles, **settings)
    specification = read_specification(path)
    plan = make_plan(specification, ReferenceConfig())
    system = plan.box.create_system(plan.settings, 6.0)
    assert system.getNumParticles() == plan.box.sizes.sum()
    assert plan.settings.equilibration[-1].pressure == specification.pressure
    fit = read_fit_config(path / "fit.yaml")
    refine = read_refinement_config(path / "refine.yaml")
    assert fit.network is None and fit.priors.pairs is not None
    assert 2 * fit.priors.pairs.cutoff < (plan.box.total_mass / specification.reference.density / 602.2) ** (1 / 3)
    n_beads = max(len(residue.beads) for residue in specification.residues)
    assert refine.target == ("pair" if n_beads == 1 else "priors")
    assert (path / "mapping.png").read_bytes().startswith(b"\x89PNG")
    assert {entry.name for entry in path.iterdir()} == FILES | {f"{r.name}.pdb" for r in specification.residues}


def test_methanol_is_what_was_asked_for(tmp_path):
    started = start(tmp_path / "methanol", "CO", molecules=500)
    specification = read_specification(tmp_path / "methanol")
    (residue,) = specification.residues
    assert (specification.name, residue.name, residue.count) == ("methanol", "MTH", 500)
    assert [bead.type for bead in residue.beads] == ["CH4O"]
    assert (specification.temperature, specification.pressure) == (300.0, 1.01325)
    pdb = app.PDBFile(str(tmp_path / "methanol" / "MTH.pdb"))
    assert len(list(pdb.topology.bonds())) == 5
    assert started.commands[1] == f"openmm-cgml init {tmp_path}/methanol --smiles CO --molecules 500"


def test_from_installation_to_report_takes_at_most_seven_commands(tmp_path):
    start(tmp_path / "methanol", "CO", molecules=500)
    lines = commands_of(tmp_path / "methanol")
    assert len(lines) <= 7
    assert [shlex.split(line)[1] for line in lines] == [
        "install", "init", "reference", "fit", "refine", "simulate", "validate",
    ]  # fmt: skip


@pytest.mark.slow
def test_terms_follow_from_the_beads(tmp_path):
    def priors(name, smiles, n_beads):
        start(tmp_path / name, smiles, molecules=300, beads=(n_beads,))
        return read_fit_config(tmp_path / name / "fit.yaml").priors

    ring, three, four = priors("r", "c1ccccc1", 3), priors("t", "CCCCCC", 3), priors("f", "CCCCCCCC", 4)
    assert (ring.angles, ring.torsions, ring.exclude_bonds) == (None, None, 2)
    assert three.angles is not None and (three.torsions, three.exclude_bonds) == (None, 2)
    assert four.angles is not None and four.torsions is not None and four.exclude_bonds == 3


@pytest.mark.parametrize(
    ("smiles", "settings", "message"),
    [
        (["CO"], {}, "--smiles CO --molecules 500"),
        (["CO=400"], {"molecules": 500}, "has a number, and --molecules 500 another"),
        (["CO=400", "O"], {}, "--smiles CO=400 --smiles O=100"),
        (["CO=400", "O=100"], {"molecules": 500}, "a mixture needs the number of each kind"),
        (["CO=0", "O=100"], {}, "a kind of molecule that is not there"),
        (["CO"], {"molecules": 10}, "a box of 10 molecules would be"),
        (["CO"], {"molecules": 500, "beads": (3,)}, "2 heavy atoms and cannot be 3 beads"),
        (["C(", "O=100"], {}, "cannot be read"),
        (["CCO=100", "OCC=100"], {}, "--smiles CCO and --smiles OCC are the same molecule"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_written(tmp_path, smiles, settings, message):
    with pytest.raises(InputError, match=message):
        start(tmp_path / "liquid", *smiles, **settings)
    assert not (tmp_path / "liquid").exists()


def test_isomers_of_one_graph_are_told_apart_by_their_residues(tmp_path):
    start(tmp_path / "racemate", "C[C@H](O)F=100", "C[C@@H](O)F=100")
    mixture = mixture_of(read_specification(tmp_path / "racemate"))
    assert mixture.create_system(mixture.topology()).getNumParticles() == 200 * 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smiles": ("CO",), "beads": (1,), "bead": ("C1",)}, "beads and bead are both given"),
        ({"smiles": ("CO=1", "O=1"), "bead": ("C1",)}, "bead names atoms of one kind of molecule"),
        ({"smiles": ("CO=1", "O=1", "C=1"), "beads": (1, 2)}, "2 numbers of beads for 3 kinds"),
        ({"smiles": ()}, "at least 1 item"),
    ],
)
def test_settings_that_contradict_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        StartConfig(**settings)


@pytest.mark.parametrize(
    ("text", "smiles", "count"),
    [
        ("CO=400", "CO", 400),
        ("C=C=400", "C=C", 400),
        ("C=1CCCCC=1", "C=1CCCCC=1", None),
        ("C=1CCCCC=1=20", "C=1CCCCC=1", 20),
        ("C1CCCCC=1", "C1CCCCC=1", None),
    ],
)
def test_counts_are_told_from_ring_bonds(text, smiles, count):
    assert folder._split_count(text) == (smiles, count)


def test_command_starts_the_same_system_again(tmp_path):
    config = StartConfig(
        smiles=("C=C=300", "CC#N=200"), beads=(1, 2), charges="gasteiger", temperature=320.0, pressure=5.0, seed=3
    )
    words = shlex.split(folder.command_line(tmp_path / "a", config, StartConfig(smiles=config.smiles)))[3:]
    given = list(zip(words[::2], words[1::2], strict=True))
    again = StartConfig(
        smiles=tuple(v for k, v in given if k == "--smiles"),
        beads=tuple(int(v) for k, v in given if k == "--beads"),
        **{k[2:]: v for k, v in given if k in ("--charges", "--temperature", "--pressure")},
        seed=int(dict(given)["--seed"]),
    )
    assert again == config


def test_overwriting_replaces_what_init_wrote_and_nothing_else(tmp_path):
    path = tmp_path / "methanol"
    start(path, "CO", molecules=500)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        start(path, "CO", molecules=400)
    start(path, "CO", molecules=400, overwrite=True)
    assert read_specification(path).residues[0].count == 400
    (path / "runs").mkdir()
    with pytest.raises(OutputExistsError, match="'runs', which 'init' did not write"):
        start(path, "CO", molecules=300, overwrite=True)
    (path / "runs").rmdir()
    (path / "atomistic.xml").write_text("<ForceField/>")  # somebody's own
    with pytest.raises(OutputExistsError, match="was not written by 'init'"):
        start(path, "CO", molecules=300, overwrite=True)
    assert read_specification(path).residues[0].count == 400


def test_a_folder_that_is_taken_is_told_before_charges_are_calculated(tmp_path, monkeypatch):
    (tmp_path / "methanol").mkdir()
    (tmp_path / "methanol" / "thesis.txt").touch()
    monkeypatch.setattr(folder, "parametrize", lambda molecule, charges: pytest.fail("calculated for nothing"))
    with pytest.raises(OutputExistsError):
        start(tmp_path / "methanol", "CO", molecules=500)


def test_a_refused_overwrite_keeps_what_is_there(tmp_path):
    path = tmp_path / "methanol"
    start(path, "CO", molecules=500)
    with pytest.raises(InputError):
        start(path, "CO", molecules=10, overwrite=True)
    assert read_specification(path).residues[0].count == 500


def test_folders_with_blanks_and_quotes_are_quoted(tmp_path):
    path = tmp_path / "it's here" / "methanol"
    start(path, "CO", molecules=500)
    assert read_fit_config(path / "fit.yaml").data.datasets == (path / "runs" / "data",)
    assert shlex.split(commands_of(path)[2])[2] == str(path)


def test_notes_say_what_was_decided(tmp_path):
    started = start(tmp_path / "mix", "CC(O)F=100", "O=200")
    assert any(note.startswith("M01: the SMILES leaves the stereo center C2 open") for note in started.notes)
    assert any(note == "HOH: water is TIP3P, rigid: GAFF has no water" for note in started.notes)
    readme = (tmp_path / "mix" / "README.md").read_text()
    assert all(note in readme for note in started.notes)


def test_parameters_that_lose_their_energy_are_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "force_field_xml", lambda each: REAL(each).replace('lj14scale="0.5"', 'lj14scale="0"'))
    with pytest.raises(InputError, match="differs from tleap's"):
        start(tmp_path / "ethanol", "CCO", molecules=300)
    assert not (tmp_path / "ethanol").exists()


REAL = folder.force_field_xml
