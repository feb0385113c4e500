"""`prepare plan`: what a run will come to, from a sample of its inputs."""
