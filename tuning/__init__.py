"""Many runs: sweeps over settings, and the paper's whole protocol."""
