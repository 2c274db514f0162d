"""The baseline: one network on the pooled source images."""

import keras

from dmg_tf.methods.aggregate.spec import SPEC
from dmg_tf.methods.base import DomainModel


@keras.saving.register_keras_serializable("dmg_tf")
class Aggregate(DomainModel):
    """Trains the backbone on all source images, blind to their domains.

    Paper: Sec. 4.1 ("Aggregate"). Differs: nothing. It has one prediction,
    shown as `pred_ens`.
    """

    spec = SPEC
