"""A Kubernetes API server for tests and the demo: the real protocol over TLS, the state in memory.

What it does as kube-apiserver 1.37 does, shown by tests/contract/kubernetes on both:

- client certificates and service account tokens bound to pods, with the identity in ``spec.extra``; SelfSubjectReview
  and SelfSubjectAccessReview
- namespaces, nodes, pods, service accounts, events and CertificateSigningRequests: get, list (paging, field selectors),
  watch (bookmarks, 410), create, update, merge-patch, strategic-merge-patch as far as lists are replaced (of a CSR all
  but finalizers and ownerReferences), delete, and the subresources approval, status and token
- managedFields, of any depth that it takes, as clients write them (it keeps no record of its own)
- versions, preconditions, finalizers, graceful deletion of pods, and the validation of CertificateSigningRequests

What it leaves out: authorisation (whoever is authenticated may do everything), discovery and OpenAPI, admission except
for namespaces and the pods' service accounts, controllers, label selectors, initial events of watches, metadata without
the objects, JSON patches and directives of strategic-merge patches, dry runs, impersonation, collection deletes, YAML
and protobuf, defaults and most validation of core objects, of labels, annotations, finalizers and signerNames, and of
what is inside a request that its own key signed. A client certificate of a strange CA ends the TLS handshake, where the
real server answers 401. Tokens end with their pod at once, where the real server remembers an answer for about 10
seconds.
"""

from sandbox.kubernetes.server import KubernetesServer, LoggedRequest

__all__ = ["KubernetesServer", "LoggedRequest"]
