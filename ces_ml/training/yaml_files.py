"""Reading a configuration from YAML: a mapping, each key once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ces_ml.errors import ConfigError, show

__all__ = ["mapping_of", "text_of"]


def text_of(file: Path) -> str:
    """Return the text of a configuration file.

    Raises
    ------
    ConfigError
        If it can't be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the configuration can't be read",
            got=f"{show(str(file))}: {getattr(error, 'strerror', None) or error}",
            allowed="a YAML file",
            hint="check the path",
        ) from error


def mapping_of(text: str, source: str) -> dict[Any, Any]:
    """Read YAML text that is a mapping with every key once.

    Raises
    ------
    ConfigError
        If it is not; `source` says what it is called in the message.
    """
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{source} is not YAML",
            got=" ".join(str(error).replace('in "<unicode string>", ', "at ").split())[:200],
            allowed="a YAML mapping",
            hint="check indentation, quotes and brackets",
        ) from error
    if not isinstance(data, dict):
        raise ConfigError(
            f"{source} is not a mapping",
            got=show(data),
            allowed="keys such as name, events, outcome, as_of, counts",
            hint="start from an example in the README",
        )
    return data


class _UniqueKeyLoader(yaml.SafeLoader):
    """A SafeLoader that refuses a key written twice."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise ConfigError(
                "a key is written twice",
                got=f"{show(key)} at line {key_node.start_mark.line + 1}",
                allowed="each key once",
                hint="remove one of them",
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
