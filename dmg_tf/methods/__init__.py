"""Methods by name. Importing this package loads no TensorFlow."""

from dmg_tf.registry import METHODS

METHODS.register("dmg", "dmg_tf.methods.dmg.model:DMG")
METHODS.register("aggregate", "dmg_tf.methods.aggregate.model:Aggregate")
METHODS.register(
    "multi_headed", "dmg_tf.methods.multi_headed.model:MultiHeaded"
)
METHODS.register("metareg", "dmg_tf.methods.metareg.model:MetaReg")
