"""The baseline: one network on the pooled source images."""
