"""The schema's history: one module in `versions` for each change, run by Alembic."""
