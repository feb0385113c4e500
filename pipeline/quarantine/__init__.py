"""`prepare quarantine`: what could not be read, and another try after a fix."""
