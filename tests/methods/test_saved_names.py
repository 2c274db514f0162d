import io
import zipfile

import h5py
import pytest

from dmg_tf.methods.build import build_model

# Where version 0.1 files the weights: Keras names folders after classes.
COMMON = {"feature_extractor", "layers/task_network"}
FOLDERS = {
    "aggregate": COMMON,
    "dmg": {*COMMON, "domain_masks"},
    "multi_headed": COMMON,
    "metareg": {*COMMON, "vars"},
}


@pytest.mark.parametrize("method", FOLDERS)
def test_weights_are_where_older_files_have_them(with_stub, tmp_path, method):
    path = tmp_path / "model.keras"
    build_model(method, "stub", 3, ("a", "b"), image_size=32).save(path)
    names = set()

    def note(name, value):
        if isinstance(value, h5py.Dataset):
            names.add(name)

    with zipfile.ZipFile(path) as archive:
        weights = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(note)
    for folder in FOLDERS[method]:
        assert any(name.startswith(f"{folder}/") for name in names), names
    for name in names:
        assert any(name.startswith(f"{f}/") for f in FOLDERS[method]), name
