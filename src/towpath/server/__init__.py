"""The composition root: wires the parts, owns start, stop and signals. Nothing below it knows which adapter it got."""
