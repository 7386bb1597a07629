"""Run pipelines, plan them, and show past runs."""
