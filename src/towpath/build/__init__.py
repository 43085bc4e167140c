"""From a service's directory to an OCI image, without a daemon: context, layers, base, image."""
