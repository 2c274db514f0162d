"""Searching settings with KerasTuner."""
