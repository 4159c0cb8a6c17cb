"""MLflow's registry: read cheaply where it is a file, written through MLflow."""
