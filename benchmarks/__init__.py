"""Figures for the README: each module prints one JSON object on its last line."""
