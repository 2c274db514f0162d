"""Computing on given values in place of variables."""

import keras


class ValuesInPlace(keras.StatelessScope):
    """Puts tensors in place of variables; updates of any variable are dropped.

    Within another such scope, what this one does not name is as it is there.

    Args:
        variables: Keras variables.
        values: A tensor for each.
    """

    def __init__(self, variables, values):
        mapping = zip(variables, values, strict=True)
        super().__init__(state_mapping=list(mapping))

    def __enter__(self):
        super().__enter__()
        if self.original_scope is not None:
            outer = self.original_scope.state_mapping
            self.state_mapping = {**outer, **self.state_mapping}
        return self
