"""The team's MLflow: one server as a hub service, behind a proxy that knows who is asking."""
