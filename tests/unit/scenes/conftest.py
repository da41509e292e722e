"""The real extractors, built once."""

import pytest

from omnisila.scenes.sem import SceneEnrichedModeling, SEMConfig


@pytest.fixture(scope="package")
def sem() -> SceneEnrichedModeling:
    return SEMConfig().build()
