import pytest

from dmg_tf.backbones.weights.torch_file import read_torch_file
from dmg_tf.errors import UserError


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "net.pth"
        path.write_bytes(content)
        return read_torch_file(path)

    return read


@pytest.fixture
def refused(read):
    """Checks that a file is refused, in one line, for the reason given."""

    def refused(content, reason):
        with pytest.raises(UserError, match=reason) as caught:
            read(content)
        message = str(caught.value)
        assert "net.pth: not usable as weights: " in message
        assert message.isprintable()
        assert len(message) < 500

    return refused
