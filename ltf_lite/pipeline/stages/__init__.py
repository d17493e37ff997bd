"""One module a stage: `main(run)` does the work and returns facts for the manifest."""
