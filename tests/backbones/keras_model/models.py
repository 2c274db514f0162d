"""Small models of a user, as `from_keras` takes them."""

import keras

from dmg_tf.backbones import from_keras


def residual(width=8, side=None):
    """Three resolutions, a block with a shortcut and an inner model."""
    layers = keras.layers
    inputs = keras.Input((side, side, 3))
    x = layers.Normalization()(inputs)
    x = layers.Normalization(mean=[0.1] * 3, variance=[2.0] * 3)(x)
    for number in (1, 2, 3):
        x = layers.Conv2D(width * number, 3, strides=2, padding="same")(x)
        x = layers.BatchNormalization(scale=number != 2)(x)
        x = layers.Activation("gelu")(x)
        block = keras.Sequential(
            [
                layers.Conv2D(width * number, 3, padding="same"),
                layers.BatchNormalization(),
            ]
        )
        x = layers.Add()([x, layers.Dropout(0.5)(block(x))])
    return keras.Model(inputs, x)


def tokens(width=6):
    """Patches, then layers on tokens: one resolution from there on."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(width, 8, strides=8)(inputs)
    x = keras.layers.Reshape((16, width))(x)
    for _ in range(4):
        x = x + keras.layers.Dense(width, activation="gelu")(x)
    return keras.Model(inputs, x)


def branches():
    """Two ways from beginning to end, and nothing that both pass through."""
    inputs = keras.Input((None, None, 3))
    ways = [
        keras.layers.Conv2D(4, size, strides=2, padding="same")(inputs)
        for size in (1, 3)
    ]
    return keras.Model(inputs, keras.layers.Concatenate()(ways))


HERE = __name__
RESIDUAL = from_keras(f"{HERE}:residual", title="residual")
TOKENS = from_keras(f"{HERE}:tokens", title="tokens", width=5)
