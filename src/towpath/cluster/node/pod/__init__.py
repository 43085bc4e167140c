"""One pod: its environment, volumes, containers, probes, logs and status."""
