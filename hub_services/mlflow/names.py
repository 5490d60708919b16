"""Setting a user's name in the shapes that MLflow's messages have: fields, lists, maps. Pure."""

from typing import Any

USER_TAG = "mlflow.user"
SERVER_TAGS = {USER_TAG, "mlflow.artifactLocation", "mlflow.auth.username", "mlflow.auth.userId"}
"""Tags that only this proxy or MLflow itself sets."""

Json = dict[str, Any]


def renamed(body: Json, name: str, alias: str, value: object) -> Json:
    """A copy with a field set under its proper name and its other spelling gone."""
    return {key: item for key, item in body.items() if key != alias} | {name: value}


def signed(tags: object, user: str) -> list[Any]:
    """A list of tags with the user's name on it, whatever name was there."""
    return [*without_names(tags), {"key": USER_TAG, "value": user}]


def signed_if_named(tags: object, user: str) -> list[Any]:
    """A list of tags where a name, if any, is the user's."""
    named = any(key_of(tag) == USER_TAG for tag in listed(tags))
    return signed(tags, user) if named else without_names(tags)


def without_names(tags: object) -> list[Any]:
    """A list of tags without those that only this server sets."""
    return [tag for tag in listed(tags) if not is_server_tag(key_of(tag))]


def map_without_names(tags: Json) -> Json:
    """A map of tags without those that only this server sets."""
    return {key: value for key, value in tags.items() if not is_server_tag(key)}


def map_signed_if_named(tags: Json, user: str) -> Json:
    """A map of tags where a name, if any, is the user's."""
    return map_without_names(tags) | ({USER_TAG: user} if USER_TAG in tags else {})


def is_server_tag(key: object) -> bool:
    """Whether a tag is not the client's to set."""
    return isinstance(key, str) and key in SERVER_TAGS


def key_of(tag: object) -> object:
    """The key of one tag of a list."""
    return tag.get("key") if isinstance(tag, dict) else None


def listed(value: object) -> list[Any]:
    """A list, or a ValueError for what MLflow would not read as one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError("a list is expected")
    return value


def object_at(body: Json, *names: str) -> Json:
    """The object under the first of several spellings that is there; a copy, empty if none is."""
    given = (body[name] for name in names if body.get(name) is not None)
    value: object = next(given, {})
    if not isinstance(value, dict):
        raise ValueError(f"{names[0]} is not an object")
    return dict(value)
