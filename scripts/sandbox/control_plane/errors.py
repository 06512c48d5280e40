"""Errors of the real control plane."""


class NotAvailableError(Exception):
    """The programs are missing, and building them failed; the message says why."""


class StartError(Exception):
    """etcd or kube-apiserver ended or did not get ready in time; the message ends with its last log lines."""
