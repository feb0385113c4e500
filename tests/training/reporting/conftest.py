"""One run that tests may read but not change."""

from pathlib import Path

import pytest

from tests.training.reporting.finished import finished


@pytest.fixture(scope="session")
def finished_run(
    model_dir: Path, spoken_shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return finished(model_dir, spoken_shards, tmp_path_factory.mktemp("finished"))
