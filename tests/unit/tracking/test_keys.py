from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.tracking import metric_keys
from ces_ml.tracking.keys import legal_key, model_label
from ces_ml.tracking.quiet import mlflow_part

#: Any text, and text from the few characters that decide.
names = st.one_of(st.text(max_size=300), st.text(alphabet="aA-0f/._: \n\\é😀", max_size=12))


def mlflow_accepts(key: str) -> bool:
    validation = mlflow_part("mlflow.utils.validation")
    validation._validate_metric_name(key)
    validation._validate_param_name(key)
    validation._validate_tag_name(key)
    return len(key) <= validation.MAX_ENTITY_KEY_LENGTH


@given(st.lists(names, unique=True, max_size=20))
def test_keys_are_legal_and_unique_and_do_not_depend_on_the_order(texts: list[str]) -> None:
    keys = metric_keys(texts)
    assert all(mlflow_accepts(key) for key in keys.values())
    assert len(set(keys.values())) == len(texts)
    assert metric_keys(reversed(texts)) == keys
    assert all(metric_keys([text]) == {text: keys[text]} for text in texts)
    assert all(key.startswith("weight/") and key.count("/") == 1 for key in keys.values())


@given(st.lists(names, unique=True, max_size=20))
def test_the_keys_of_parameters_are_legal_and_unique(texts: list[str]) -> None:
    keys = [legal_key(text) for text in texts]
    assert all(mlflow_accepts(key) for key in keys)
    assert len(set(keys)) == len(texts)


@given(names)
def test_the_name_of_a_logged_model_is_legal(text: str) -> None:
    label = model_label(text, "0123456789abcdef")
    mlflow_part("mlflow.utils.validation")._validate_logged_model_name(label)
    assert label.endswith("-012345")


@pytest.mark.parametrize("name", ["login", "Add to cart", "page_view", "v1.2-beta", "注册", "_x"])
def test_names_that_mlflow_accepts_are_kept(name: str) -> None:
    assert metric_keys([name]) == {name: f"weight/{name}"}


def test_a_name_that_looks_like_a_made_key_gets_another_key() -> None:
    made = metric_keys(["a?b"])["a?b"].removeprefix("weight/")
    assert metric_keys([made])[made] != f"weight/{made}"


@pytest.mark.parametrize("name", ["config/counts", "a:b", "x.y-z 1"])
def test_legal_keys_of_parameters_are_kept(name: str) -> None:
    assert legal_key(name) == name
