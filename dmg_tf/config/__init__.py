"""What a run is made of: its settings, their presets and recipes."""

from dmg_tf.config.run import DEFAULTS, GENERAL, PARTS, RunConfig

__all__ = ["DEFAULTS", "GENERAL", "PARTS", "RunConfig"]
