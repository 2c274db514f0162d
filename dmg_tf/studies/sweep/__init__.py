"""Every target, method, backbone and seed, a process a run."""
