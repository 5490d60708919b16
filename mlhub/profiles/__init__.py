"""KubeSpawner's profile_list, read and resolved: a choice in, spawner settings and an ask out.

Pure: what is configured and what was chosen come as values. Everything wrong is a BadInput.
"""

from mlhub.profiles.asking import GpuAsk, gpu_ask
from mlhub.profiles.choosing import Chosen, Pick, resolve
from mlhub.profiles.merging import merged
from mlhub.profiles.reading import read_profiles
from mlhub.profiles.shapes import Choice, Option, Profile, Unlisted
from mlhub.profiles.switching import instead

__all__ = [
    "Choice",
    "Chosen",
    "GpuAsk",
    "Option",
    "Pick",
    "Profile",
    "Unlisted",
    "gpu_ask",
    "instead",
    "merged",
    "read_profiles",
    "resolve",
]
