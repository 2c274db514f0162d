"""Methods by name, in the order of tables. Importing it loads no TensorFlow."""

from dmg_tf.registry import METHODS

METHODS.register("aggregate", "dmg_tf.methods.aggregate.spec:SPEC")
METHODS.register("multi_headed", "dmg_tf.methods.multi_headed.spec:SPEC")
METHODS.register("metareg", "dmg_tf.methods.metareg.spec:SPEC")
METHODS.register("mldg", "dmg_tf.methods.mldg.spec:SPEC")
METHODS.register("maml", "dmg_tf.methods.maml.spec:SPEC")
METHODS.register("masf", "dmg_tf.methods.masf.spec:SPEC")
METHODS.register("epi_fcr", "dmg_tf.methods.epi_fcr.spec:SPEC")
METHODS.register("dann", "dmg_tf.methods.dann.spec:SPEC")
METHODS.register("crossgrad", "dmg_tf.methods.crossgrad.spec:SPEC")
METHODS.register("dsn", "dmg_tf.methods.dsn.spec:SPEC")
METHODS.register("fusion", "dmg_tf.methods.fusion.spec:SPEC")
METHODS.register("tf_cnn", "dmg_tf.methods.tf_cnn.spec:SPEC")
METHODS.register("d_mtae", "dmg_tf.methods.d_mtae.spec:SPEC")
METHODS.register("dica", "dmg_tf.methods.dica.spec:SPEC")
METHODS.register("mixstyle", "dmg_tf.methods.mixstyle.spec:SPEC")
METHODS.register("rsc", "dmg_tf.methods.rsc.spec:SPEC")
METHODS.register("sagnet", "dmg_tf.methods.sagnet.spec:SPEC")
METHODS.register("dmg", "dmg_tf.methods.dmg.spec:SPEC")
