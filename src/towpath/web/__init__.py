"""The JSON API over observe and promote: what the command line speaks to.

Every answer is JSON, every refusal `{"message", "hint", "exit_code"}` with the exit code the command line ends with.
Everything but `/healthz` and `/metrics` wants the platform's token.
"""
