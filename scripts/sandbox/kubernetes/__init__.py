"""A Kubernetes API server for tests and the demo: the real protocol over TLS, the state in memory.

It does only what the demo, the benchmarks and the tests of the product need, as kube-apiserver does it;
`tests/contract/kubernetes` shows that on both:

- client certificates, and service account tokens with the pod and node in `spec.extra`
- namespaces, nodes, pods, service accounts, Secrets, Events and CertificateSigningRequests: get, list (paging, field
  selectors), watch (bookmarks, 410), create, update, merge patch, delete, and the subresources approval, status and
  token
- optimistic concurrency by uid and resourceVersion, graceful deletion of pods, and a CertificateSigningRequest that
  records its requester and keeps its decision and its certificate
- SelfSubjectReview and SelfSubjectAccessReview

It leaves out authorization (every user may do everything), admission, controllers, discovery, most validation,
defaults, managedFields, finalizers, preconditions of deletions, generated names, label selectors, dry runs, protobuf
and the other patches. It refuses other query parameters, finalizers and managedFields, so that no test passes because
the double ignores them. A strategic merge patch is a merge patch here: no list of a CertificateSigningRequest's status
is merged. A namespace ends at once, and alone. A client certificate of another CA ends the TLS handshake, where the
real server answers 401. A token stays valid when its pod has gone, where the real server looks again after 10 seconds.
"""

from sandbox.kubernetes.server import KubernetesServer, LoggedRequest

__all__ = ["KubernetesServer", "LoggedRequest"]
