"""SagNet: a network that can't tell classes by their images' style."""
