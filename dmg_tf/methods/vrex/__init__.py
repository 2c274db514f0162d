"""VREx: a loss that is the same in all domains."""
