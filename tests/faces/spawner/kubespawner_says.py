"""Runs where KubeSpawner is installed: what it makes of profile lists and user options (JSON)."""

import asyncio
import json
import sys

from kubespawner import KubeSpawner

BASE = {
    "environment": {"Z": "0"},
    "node_selector": {},
    "extra_resource_limits": {},
    "image": "base",
}


async def settings_of(case):
    spawner = KubeSpawner(_mock=True, profile_list=case["profiles"], **json.loads(json.dumps(BASE)))
    spawner.user_options = case["options"]
    try:
        await spawner.load_user_options()
    except (ValueError, KeyError, TypeError):
        return None
    return {key: getattr(spawner, key) for key in BASE}


async def main():
    print(json.dumps([await settings_of(case) for case in json.load(sys.stdin)]))


asyncio.run(main())
