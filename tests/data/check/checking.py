"""What a check must say of damage."""

from dmg_tf.data.check.problems import KINDS
from dmg_tf.data.check.text import report_text


def problems_of(report):
    return {problem["kind"]: problem for problem in report["problems"]}


def expect(report, kind, count, example, also=()):
    """Checks that a report has one kind of problem, in all its words.

    Args:
        report: What was found.
        kind: The kind.
        count: How many of it.
        example: How the first example begins.
        also: Kinds that may come along.
    """
    found = problems_of(report)
    severity = KINDS[kind].severity
    assert kind in found and set(found) - set(also) <= {kind}
    problem = found[kind]
    assert problem["severity"] == severity and problem["count"] == count
    assert problem["examples"][0].startswith(example)
    assert report[f"{severity}s"] >= 1
    text = report_text(report)
    title = f"{severity}: {problem['title']}"
    assert (f"{title}: {count}" if problem["counted"] else title) in text
    assert problem["advice"] in text
    text.encode("utf-8")
