"""docs/rotation.md followed in a deployment: the function is exchanged in the middle of work, and pods are real."""

import json
from dataclasses import dataclass, field
from threading import Thread

from sandbox.calico.fleet import Fleet
from tests.end_to_end.conftest import PATIENCE
from tests.end_to_end.issuing import Issuing, issuer_of, with_issuer
from tests.unit.signerctl.runbook import Operator
from tests.unit.signerctl.stage import verified


@dataclass(kw_only=True)
class ClusterOperator(Operator):
    """Somebody who follows docs/rotation.md with a function and clients that run.

    Attributes:
        issuing: the deployment; the files are in its folder.
        issuers: of each exchange of the function: who issued what was under way, first those CSRs that the old one had.
    """

    issuing: Issuing
    issuers: list[list[str]] = field(default_factory=list)

    def documents(self) -> tuple[str, ...]:
        """Returns also the files of the other signer, in the deployment's folder."""
        return tuple(each.name for each in self.folder.iterdir() if each.suffix in {".pem", ".yaml"})

    def configure(self, issuer: dict[str, str]) -> None:
        """Deploys the function with this issuer, in the middle of work; what is asked then is issued all the same."""
        document = with_issuer(self.issuing.document, issuer)
        (self.folder / "configuration.yaml").write_text(json.dumps(document), encoding="utf-8")
        if not self.installation:
            self.issuing.redeploy(document)
            return
        early, late = (self.issuing.fleet(2, published=self.published()) for _ in range(2))
        self._end_function(early, gently=issuer["key_version"] != self.key_version)
        late.submit()
        self.issuing.redeploy(document)
        certificates = self.issuing.issued(early.submissions + late.submissions)
        assert [self.refusals(each, self.published()) for each in certificates] == [[]] * 4
        self.issuers.append([issuer_of(certificate) for certificate in certificates])

    @property
    def key_version(self) -> str:
        """With which the function that runs signs."""
        return str(self.issuing.document["signers"][0]["issuer"]["key_version"])

    def _end_function(self, waiting: Fleet, *, gently: bool) -> None:
        """While KMS lets these CSRs wait: gently the function may still finish them, else they are left over."""
        function = self.issuing.deployment.function
        stopping = Thread(target=function.stop)
        with self.issuing.key_hangs() as until:
            waiting.submit()
            until(len(waiting.members))
            if gently:
                stopping.start()
            else:
                function.kill()
        if gently:
            stopping.join()

    def issue(self) -> bytes:
        """What a pod of Calico that starts now gets: its client's files, the certificate verified with the caCert."""
        (ran,) = self.issuing.fleet(1, published=self.published()).run_clients(self.folder / "pods", budget=PATIENCE)
        assert ran.wrote_files, ran.error
        (certificate,) = ran.directory.glob("tls.crt")
        (authority,) = ran.directory.glob("ca.crt")
        assert authority.read_bytes() == self.published()
        assert verified(certificate, authority, certificate) == []
        return certificate.read_bytes()
