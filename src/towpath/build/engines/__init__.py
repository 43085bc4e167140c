"""Programs that build Dockerfiles: buildah, podman, docker and BuildKit behind one port.

`engine` has the port and what goes over it; `buildah` (podman is the same), `docker` and `buildkit` plan the commands
of each, without I/O; `running` runs them; `choice` finds what is installed. Each ends in an OCI layout or an archive of
one, which `build.dockerfile` turns into an ordinary image. What an engine prints is shown and never read for results.
"""
