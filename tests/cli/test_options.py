import inspect
import subprocess
import sys
from typing import Annotated, Literal

import pydantic
import pytest
import typer
from typer.testing import CliRunner

from openmm_cgml.cli.options import describe_fields, with_options_of
from openmm_cgml.config import Config, Pressure, Time
from openmm_cgml.simulation import SimulationConfig


class Base(Config):
    """Settings.

    Attributes:
        duration: Simulated time [ps].
        steps: Steps of what
            takes two lines.
    """

    duration: Time
    steps: int = 3


class Settings(Base):
    """More settings.

    Attributes:
        kind: Which one.
        pressure: Of a barostat [bar]; None keeps the volume.
        fast: Whether it is fast.
        seed: Of it.

    Raises:
        InputError: Never.
    """

    kind: Literal["one", "two"] = "one"
    pressure: Pressure | None = None
    interval: Time = pydantic.Field(default=2.0, gt=0, description="Between frames [ps].")
    fast: bool = True
    seed: int = 0


def verb():
    app, calls = typer.Typer(), []

    @app.command()
    @with_options_of(Settings, panel="Run", defaults={"duration": "the model's"}, without=["steps"])
    def run(name: str, loud: Annotated[bool, typer.Option("--loud")] = False, **settings):
        """Run."""
        calls.append((name, loud, settings))

    return app, calls


def test_help_comes_from_the_class_and_its_base_and_from_descriptions():
    assert describe_fields(Settings) == {
        "duration": "Simulated time [ps].",
        "steps": "Steps of what takes two lines.",
        "kind": "Which one.",
        "pressure": "Of a barostat [bar]; None keeps the volume.",
        "fast": "Whether it is fast.",
        "seed": "Of it.",
        "interval": "Between frames [ps].",
    }


def test_a_verb_gets_the_settings_that_were_given_and_no_others():
    app, calls = verb()
    assert CliRunner().invoke(app, ["x"]).exit_code == 0
    options = ["--loud", "--duration", "2 ps", "--kind", "two", "--no-fast", "--pressure", "1 bar"]
    assert CliRunner().invoke(app, ["x", *options]).exit_code == 0
    given = {"duration": "2 ps", "kind": "two", "fast": False, "pressure": "1 bar"}
    assert calls == [("x", False, {}), ("x", True, given)]
    assert Settings(**given).pressure == 1.0


def test_a_choice_that_is_none_and_a_setting_that_is_no_option_are_refused():
    app, calls = verb()
    assert "'one', 'two'" in CliRunner().invoke(app, ["x", "--kind", "three"]).output
    assert CliRunner().invoke(app, ["x", "--steps", "3"]).exit_code == 2
    assert calls == []


def test_the_help_has_units_and_defaults():
    text = " ".join(CliRunner().invoke(verb()[0], ["--help"], env={"COLUMNS": "200"}).output.split())
    assert '--duration "N ps" Simulated time; default the model\'s.' in text
    assert '--interval "N ps" Between frames; default 2 ps.' in text
    assert "Whether it is fast; default yes." in text
    assert "Which one; default one." in text
    assert "Of it; default 0." in text
    assert '--pressure "N bar" Of a barostat; None keeps the volume.' in text


def test_every_setting_of_a_simulation_has_help_and_is_an_option():
    from openmm_cgml.cli.simulate import simulate

    assert set(describe_fields(SimulationConfig)) == set(SimulationConfig.model_fields)
    assert set(SimulationConfig.model_fields) <= set(inspect.signature(simulate).parameters)


@pytest.mark.parametrize("name", ["simulate", "refine"])
def test_the_module_of_a_verb_with_a_configuration_loads_without_torch(name):
    code = f"import openmm_cgml.cli.{name}, sys; print([m for m in ('torch', 'openmm', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "[]"
