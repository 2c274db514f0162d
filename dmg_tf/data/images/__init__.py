"""Images: decoding, resizing, augmentation."""
