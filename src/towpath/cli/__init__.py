"""The command line, one file a command: parse, call, print. The only place that prints or exits."""
