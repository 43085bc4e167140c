"""What Towpath costs: time, memory, processor and writes, measured on this machine. `python -m bench` runs all."""
