"""A real node for the tests: kubelet, containerd and runc, shut into namespaces of their own."""
