"""Many runs: sweeps, the paper's tables, searches."""
