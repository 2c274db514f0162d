import sys
import types

import keras
import pytest

from dmg_tf.errors import UserError
from dmg_tf.training.callbacks import load_callbacks


class Mine(keras.callbacks.Callback):
    """A user's."""


@pytest.fixture(autouse=True)
def module(monkeypatch):
    module = types.ModuleType("my_callbacks")
    module.make, module.count = Mine, lambda: 3
    monkeypatch.setitem(sys.modules, "my_callbacks", module)


def test_they_are_made_in_order():
    first, second = load_callbacks(["my_callbacks:make", "my_callbacks:make"])
    assert isinstance(first, Mine) and first is not second
    assert load_callbacks([]) == []


@pytest.mark.parametrize(
    "name, message",
    [
        ("my_callbacks", "must be module:factory, .* got 'my_callbacks'"),
        (":make", "must be module:factory"),
        ("no_such_module:make", "No module named 'no_such_module'"),
        ("my_callbacks:mak", "has no attribute 'mak'"),
        ("my_callbacks:count", "must return a keras.*Callback, got int"),
        ("my_callbacks:__name__", "must be a function, got str"),
    ],
)
def test_a_wrong_name_is_told_in_one_line(name, message):
    with pytest.raises(UserError, match=message) as found:
        load_callbacks([name])
    assert "\n" not in str(found.value)
