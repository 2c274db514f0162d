import numpy as np
import pytest

from dmg_tf.errors import UserError
from dmg_tf.runs.predictions import (
    Predictions,
    ScoredSplit,
    read_predictions,
    write_predictions,
)

CLASSES = ['a "b", c', "<i>\n", "日本"]
# The second name is no text: Linux allows any bytes.
PATHS = ("/x/a,b.png", "/x/\udcff.png", "/x/ü.png", "/x/2.png")


@pytest.fixture
def splits():
    inside = Predictions(
        {"pred_ens": np.array([0, 2]), "known_domain": np.array([0, 1])},
        np.array([0, 1]),
        np.array([0, 1]),
        {"pred_ens": np.array([0.5, 0.75]), "known_domain": np.ones(2)},
    )
    target = Predictions(
        {"pred_ens": np.array([1, 1, 0, 2])},
        np.array([1, 2, 0, 2]),
        np.full(4, -1),
        {"pred_ens": np.array([0.25, 0.125, 1.0, 1e-7])},
    )
    return [
        ScoredSplit("validation", PATHS[:2], ("a", "b"), inside),
        ScoredSplit("out_of_domain", PATHS, ("t",), target),
    ]


@pytest.mark.parametrize("index", [0, 1])
def test_what_is_written_is_read(splits, tmp_path, index):
    path = tmp_path / "predictions.csv"
    write_predictions(path, splits, CLASSES)
    expected = splits[index]
    found = read_predictions(path, CLASSES, expected.name)
    assert found.paths == expected.paths and found.domains == expected.domains
    ours, theirs = found.predictions, expected.predictions
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(ours.domain_ids, theirs.domain_ids)
    assert list(ours.predicted) == list(theirs.predicted)
    for rule, predicted in theirs.predicted.items():
        np.testing.assert_array_equal(ours.predicted[rule], predicted)
        np.testing.assert_allclose(
            ours.probabilities[rule], theirs.probabilities[rule], atol=1e-6
        )
    assert ours.accuracy(found.domains) == theirs.accuracy(expected.domains)


def test_columns_are_named_as_in_the_table_of_predict(splits, tmp_path):
    write_predictions(tmp_path / "p.csv", splits, CLASSES)
    header = (tmp_path / "p.csv").read_bytes().split(b"\n")[0].decode()
    assert header == (
        "path,split,domain,true_class,pred_ens/class,pred_ens/probability,"
        "known_domain/class,known_domain/probability"
    )


def test_confusion_counts_every_image(splits):
    counts = splits[1].predictions.confusion("pred_ens", 3)
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,split\n",
        "path,split,domain,true_class,pred_ens/class,pred_ens/probability\n"
        "a,out_of_domain,t,nobody,nobody,1\n",
        "path,split,domain,true_class,pred_ens/class,pred_ens/probability\n"
        "a,out_of_domain\n",
        "path\na\n",
    ],
)
def test_what_is_no_such_table(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(UserError, match="p.csv"):
        read_predictions(tmp_path / "p.csv", CLASSES)
