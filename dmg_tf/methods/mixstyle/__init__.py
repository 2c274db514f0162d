"""MixStyle: images that borrow the style of others on their way through."""
