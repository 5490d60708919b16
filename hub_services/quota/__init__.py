"""The quota service: sole owner of the ledger, with a REST API, pages and metrics."""
