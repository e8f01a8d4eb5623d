import inspect

import pytest

from docs.write_settings_page import PAGE, configurations, kind_of, settings_page, unit_of
from openmm_cgml.cli.options import describe_fields
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.specification import ReferenceSpecification, ResidueSpecification


def test_the_page_is_what_the_classes_say():
    assert PAGE.read_text(encoding="utf8") == settings_page(), "run docs/write_settings_page.py"


@pytest.mark.parametrize(("place", "cls"), configurations().items())
def test_every_key_has_a_meaning(place, cls):
    assert inspect.getdoc(cls)
    assert set(cls.model_fields) <= set(describe_fields(cls)), place


def test_every_configuration_of_the_package_is_on_the_page():
    """A configuration that can be reached from a file, and that a new section could bring, is not forgotten."""
    known = set(configurations().values())
    from openmm_cgml.config import _models_in

    for cls in list(known):
        for field in cls.model_fields.values():
            for inner in _models_in(field.annotation):
                assert inner in known or inspect.isabstract(inner) or any(issubclass(k, inner) for k in known), inner


def test_types_and_units_are_those_of_the_fields():
    fields = SimulationConfig.model_fields
    assert (kind_of(fields["time_step"]), unit_of(fields["time_step"])) == ("quantity", "ps")
    assert (kind_of(fields["pressure"]), unit_of(fields["pressure"])) == ("quantity", "bar")
    assert kind_of(fields["ensemble"]) == "`NVT`, `NVE`"
    assert kind_of(fields["threads"]) == "whole number" and unit_of(fields["threads"]) == ""
    assert kind_of(ReferenceSpecification.model_fields["molecule"]) == "path or names with path"
    assert kind_of(ResidueSpecification.model_fields["atoms"]) == "list of sections"
