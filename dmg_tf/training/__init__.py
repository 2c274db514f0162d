"""Running a training: files, callbacks, optimisers, the run itself."""
