// Looks at certificates with Node's crypto. Node validates paths in TLS alone: here each link is checked with the
// X509Certificate class (issuer, signature, dates), then the leaf's host and usage. The path's rules (path length, usages
// of CAs) are the other stacks' to check.
//
// The argument names a file with one query per line: file of the chain (leaf first), file of the trusted root, host (empty:
// no name is compared), and server or client, separated by tabs. The program prints a line for each query: why it refuses the
// chain, or nothing if it accepts it.
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";

const PURPOSES = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" };
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

const certificates = (file) => readFileSync(file, "latin1").match(BLOCK).map((text) => new X509Certificate(text));

function* refusals(chain, root, host, purpose) {
  const path = [...chain, root];
  for (const [index, certificate] of path.entries()) {
    const above = path[index + 1] ?? root;
    if (!certificate.checkIssued(above)) yield "not issued by the next";
    if (!certificate.verify(above.publicKey)) yield "wrong signature";
    if (Date.now() < Date.parse(certificate.validFrom)) yield "not valid yet";
    if (Date.now() > Date.parse(certificate.validTo)) yield "expired";
    if (index > 0 && !certificate.ca) yield "no CA";
  }
  const match = isIP(host) ? chain[0].checkIP(host) : chain[0].checkHost(host, { subject: "never" });
  if (host && !match) yield "other host";
  if (!chain[0].keyUsage.includes(PURPOSES[purpose])) yield "other usage";
}

for (const line of readFileSync(process.argv[2], "utf8").trimEnd().split("\n")) {
  const [chain, root, host, purpose] = line.split("\t");
  const reasons = [...refusals(certificates(chain), certificates(root)[0], host, purpose)];
  process.stdout.write(`${reasons.join(", ")}\n`);
}
