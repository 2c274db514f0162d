import pytest

from dmg_tf.errors import UserError
from dmg_tf.registry import BACKBONES, DATASETS, METHODS, Registry


def test_names_are_imported_when_asked_for():
    registry = Registry("thing")
    registry.register("join", "os.path:join")
    registry.register("broken", "no_such_module:x")
    assert registry.names() == ("join", "broken")
    assert registry["join"]("a", "b") == "a/b"
    with pytest.raises(ModuleNotFoundError):
        registry["broken"]


def test_duplicates_are_refused():
    registry = Registry("thing")
    registry.register("x", "os:sep")
    with pytest.raises(
        ValueError, match="'x' is registered already, at os:sep"
    ):
        registry.register("x", "os:sep")


def test_unknown_names_give_the_known_and_the_nearest():
    registry = Registry("thing")
    registry.register("alpha", "os:sep")
    with pytest.raises(
        UserError, match="unknown thing 'alhpa'; known: alpha. Did you mean"
    ):
        registry["alhpa"]


@pytest.mark.parametrize("registry", [METHODS, BACKBONES, DATASETS])
def test_every_registered_name_can_be_had(registry):
    assert registry.names()
    for name in registry.names():
        assert callable(registry[name])
