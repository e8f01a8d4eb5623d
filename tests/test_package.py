import importlib
import pkgutil
import subprocess
import sys

import pytest

import openmm_cgml

HEAVY = ("torch", "warp", "numba", "openmm", "lightning", "mdtraj", "matplotlib", "h5py", "numpy", "pydantic")

NOT_TO_RUN = ("torchmdnet", "warp", "lightning", "matplotlib", "tensorboard", "scipy.signal", "openmm_cgml.training")
CONFIGURATION = ("torch", "torchmdnet", "warp", "lightning", "matplotlib", "numba", "mdtraj", "h5py")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600).stdout


def test_importing_the_package_imports_nothing_heavy():
    assert python(f"import sys, openmm_cgml; print([m for m in {HEAVY} if m in sys.modules])").strip() == "[]"


def test_importing_the_package_takes_less_than_half_a_second():
    times = []
    for _ in range(
        3
    ):  # time on the processor, the best of a few: the machine may be shared and byte code not yet compiled
        times.append(float(python("import time, openmm_cgml; print(time.process_time())")))
    assert min(times) < 0.5


@pytest.mark.parametrize("name", openmm_cgml.__all__)
def test_every_public_name_resolves(name):
    assert getattr(openmm_cgml, name) is not None
    assert name in dir(openmm_cgml)


def test_lazy_names_and_public_names_agree():
    assert sorted([*openmm_cgml._MODULE_OF, "__version__"]) == sorted(openmm_cgml.__all__)


def test_public_names_are_those_of_their_modules():
    for name, module in openmm_cgml._MODULE_OF.items():
        assert getattr(importlib.import_module(f"openmm_cgml.{module}"), name) is getattr(openmm_cgml, name)


def test_an_unknown_name_is_an_attribute_error_that_lists_the_public_ones():
    with pytest.raises(AttributeError, match="ForceField"):
        openmm_cgml.ForceFeild  # noqa: B018


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("from openmm_cgml import ForceField", (*NOT_TO_RUN, "scipy.stats", "numba", "mdtraj", "h5py")),
        ("from openmm_cgml import ForceField, build_box, simulate", NOT_TO_RUN),
        ("import openmm_cgml; openmm_cgml.ForceField.load('benzene-1bead')", NOT_TO_RUN),
        ("import openmm_cgml.training.config, openmm_cgml.priors.config, openmm_cgml.networks.config", CONFIGURATION),
        ("from openmm_cgml.simulation import SimulationConfig", (*CONFIGURATION, "openmm", "scipy", "numpy")),
        ("from openmm_cgml.refinement import read_refinement_config", (*CONFIGURATION, "openmm", "scipy", "numpy")),
        ("from openmm_cgml.force_field.artifact import find_force_field", (*CONFIGURATION, "openmm", "scipy")),
        ("from openmm_cgml import read_specification", (*CONFIGURATION, "openmm", "scipy")),
    ],
)
def test_what_is_not_needed_is_not_imported(code, absent):
    assert python(f"{code}\nimport sys; print([m for m in {absent} if m in sys.modules])").strip() == "[]"


def test_a_public_name_stays_a_function_after_everything_was_imported():
    code = (
        "import openmm_cgml.training.fitting, openmm_cgml.refinement.rounds, openmm_cgml.simulation.force_field_run, openmm_cgml\n"
        "print(callable(openmm_cgml.training.fit), callable(openmm_cgml.fit), callable(openmm_cgml.refine), callable(openmm_cgml.simulate))"
    )
    assert python(code).split() == ["True"] * 4


@pytest.mark.parametrize(
    "package", ["builder", "engine", "force_field", "networks", "priors", "refinement", "simulation", "training"]
)
def test_every_name_of_a_lazy_package_resolves_and_is_not_that_of_a_submodule(package):
    module = importlib.import_module(f"openmm_cgml.{package}")
    submodules = {entry.name for entry in pkgutil.iter_modules(module.__path__)}
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
        assert name not in submodules
    with pytest.raises(AttributeError, match="public names"):
        module.nothing_of_this_name  # noqa: B018


@pytest.mark.slow
@pytest.mark.backend
def test_running_a_model_loads_no_training_library():
    code = (
        "import sys, openmm_cgml; openmm_cgml.ForceField, openmm_cgml.simulate, openmm_cgml.build_box\n"
        "print([m for m in ('lightning', 'pytorch_lightning', 'tensorboard', 'matplotlib', 'openmm_cgml.training') if m in sys.modules])"
    )
    assert python(code).strip() == "[]"


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("refine", "refine"),
        ("RefineConfig", "NetworkRefinementConfig"),
        ("PriorRefineConfig", "BondedRefinementConfig"),
    ],
)
def test_a_name_of_an_earlier_release_says_where_it_is_now(name, now):
    training, refinement = (importlib.import_module(f"openmm_cgml.{room}") for room in ("training", "refinement"))
    with pytest.warns(DeprecationWarning, match=f"openmm_cgml.refinement.{now} now"):
        assert getattr(training, name) is getattr(refinement, now)
    with pytest.raises(AttributeError, match="no attribute 'refined'"):
        training.refined  # noqa: B018
