"""What can go wrong with the real control plane."""


class NotAvailableError(Exception):
    """There are no programs to run: none were found, and they could not be built; the message says why."""


class StartError(Exception):
    """etcd or kube-apiserver ended or did not get ready in time; the message ends with its last log lines."""
