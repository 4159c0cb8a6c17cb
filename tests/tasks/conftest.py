import pytest


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store after its migrations, to copy: they take longer than all else."""
    from tasks.registry.tracking import open_store

    home = tmp_path_factory.mktemp("store")
    open_store(f"sqlite:///{home / 'mlflow.db'}")
    return home / "mlflow.db"
