"""Many numbers or accounts at once: files in, files out, at the speed of COPY."""
