"""The one fixture of the exporter's tests."""

import pytest

from shop import Shop


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)
