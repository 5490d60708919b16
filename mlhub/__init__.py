"""One lease ledger for every GPU, with JupyterHub as its face."""

__version__ = "0.1.0"
