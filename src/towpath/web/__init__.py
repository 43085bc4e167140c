"""The JSON API over observe and promote; what the command line and the dashboard speak to."""
