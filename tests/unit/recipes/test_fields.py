"""A file of fields is checked without torch just as its configuration checks it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from omnisila.config import first_fault
from omnisila.errors import InputError
from omnisila.recipes.fields import FILE, check_fields
from omnisila.recipes.rows.full import change_fields
from tools.recipe_fields import CONFIGURATIONS, recipe_fields

WHOLE = {
    each.__name__: each.model_validate({"name": "a"} if "name" in each.model_fields else {}) for each in CONFIGURATIONS
}


def test_the_fields_in_the_package_are_those_of_the_configurations() -> None:
    assert json.loads(FILE.read_bytes()) == recipe_fields(), "run: python tools/recipe_fields.py"


@pytest.mark.parametrize("configuration", WHOLE)
def test_what_a_configuration_says_of_itself_is_taken(configuration: str) -> None:
    check_fields(configuration, WHOLE[configuration].model_dump(mode="json"), Path("r.json"))


@pytest.mark.parametrize(
    ("configuration", "content"),
    [
        ("FullICM", {"sbmm": None}),
        ("FullICM", {"sbm": {"temprature": 1}}),
        ("FullICM", {"backbone": {"lora": {"rank": "many"}}}),
        ("FullICM", {"task_tuning": {"epochs": 0}}),
        ("FullICM", {"left_out": ["akction"]}),
        ("FullICM", {"left_out": "action"}),
        ("FullICM", {"expert": {"pooling": "max"}}),
        ("FullICM", {"loop": {"optim": {"betas": [0.9]}}}),
        ("FullHawkeye", {"pooled": "perhaps"}),
        ("FullHawkeye", {"width": None}),
        ("ReleasedHawkeye", {"release": {"widht": 3}}),
        ("BaselineTraining", {"iec": None}),
        ("ReactionFeatureConfig", {"visual": 3}),
        ("ReactionFeatureConfig", {"text": "words"}),
    ],
)
def test_a_fault_is_told_in_the_configuration_s_own_words(configuration: str, content: dict[str, Any]) -> None:
    whole = WHOLE[configuration]
    with pytest.raises(ValidationError) as late:
        change_fields(whole, content)
    with pytest.raises(InputError) as early:
        check_fields(configuration, content, Path("r.json"))
    assert str(early.value) == f"r.json: {first_fault(late.value, whole.model_dump(mode='json'))}"
