import importlib
import subprocess
import sys

import pytest

import openmm_cgml

HEAVY = ("torch", "warp", "numba", "openmm", "lightning", "mdtraj", "matplotlib", "h5py", "numpy", "pydantic")


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


@pytest.mark.slow
@pytest.mark.backend
def test_running_a_model_loads_no_training_library():
    code = (
        "import sys, openmm_cgml; openmm_cgml.ForceField, openmm_cgml.simulate, openmm_cgml.build_box\n"
        "print([m for m in ('lightning', 'pytorch_lightning', 'tensorboard', 'matplotlib', 'openmm_cgml.training') if m in sys.modules])"
    )
    assert python(code).strip() == "[]"
