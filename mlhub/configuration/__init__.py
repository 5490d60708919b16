"""mlhub.yaml: its settings, what may stand in it, and what is wrong with one."""

from mlhub.configuration.defaults import default_yaml
from mlhub.configuration.loading import (
    FILE_NAME,
    Checked,
    check,
    check_text,
    configured_path,
    load,
)
from mlhub.configuration.problems import ConfigurationError, Problem, Severity
from mlhub.configuration.profiles import slug_of
from mlhub.configuration.schema import json_schema, schema_text
from mlhub.configuration.settings import Settings

__all__ = [
    "FILE_NAME",
    "Checked",
    "ConfigurationError",
    "Problem",
    "Settings",
    "Severity",
    "check",
    "check_text",
    "configured_path",
    "default_yaml",
    "json_schema",
    "load",
    "schema_text",
    "slug_of",
]
