# The configuration documents of function and exporter. function/csr_signer/configuration and
# infra/exporter/csr_exporter/configuration.py define them; tests load these documents with both.
locals {
  # A signer without a CA certificate has only its key: signerctl makes the certificate with the key.
  ready = { for name, signer in var.signers : name => signer if signer.ca_certificate != null }
  # The function knows only clusters with such a signer, so that a new cluster changes nothing until then.
  ready_clusters = { for name, cluster in var.clusters : name => cluster if contains([for signer in values(local.ready) : signer.cluster], name) }

  # The zip file has one folder. Cloud Run mounts each document in its own folder.
  path = { for name in keys(local.certificates) : name => local.mounted ? "../${replace(name, ".", "-")}/${name}" : name }

  certificates = merge(
    { for name, signer in local.ready : "${name}-ca.pem" => signer.ca_certificate },
    { for name, signer in local.ready : "${name}-trust.pem" => coalesce(signer.trust_bundle, signer.ca_certificate) },
    { for name, authority in local.server_authorities : "${name}-api-server.pem" => authority if contains(keys(local.ready_clusters), name) },
    var.profiles,
  )

  ways = merge(
    { for name, cluster in var.clusters : name => { google_id_token = { audience = cluster.audience } } if cluster.access == "oidc" },
    { for name, cluster in local.google_clusters : name => {
      google_access_token = { service_account = local.access_emails[name], private_endpoint = cluster.access == "gke-private" }
    } },
  )

  configuration = {
    clusters = { for name, cluster in local.ready_clusters : name => merge(
      {
        source              = local.sources[name]
        server              = local.servers[name]
        authentication      = local.ways[name]
        cluster_domain      = cluster.cluster_domain
        invokers            = [module.identities[name].email]
        address_ranges      = cluster.address_ranges
        credential_id       = cluster.credential_id
        shared_trust_domain = cluster.shared_trust_domain
      },
      contains(keys(local.server_authorities), name) ? { certificate_authority = local.path["${name}-api-server.pem"] } : {},
    ) }
    signers = [for name, signer in local.ready : merge(
      {
        cluster     = signer.cluster
        signer_name = signer.signer_name
        approve     = signer.approve
        profile = merge(
          { name = signer.profile.name, namespaces = signer.profile.namespaces },
          signer.profile.release == null ? {} : { release = signer.profile.release },
        )
        issuer = merge(
          {
            key_version      = local.key_versions[name]
            certificate      = local.path["${name}-ca.pem"]
            trust_bundle     = local.path["${name}-trust.pem"]
            protection_level = signer.protection_level
          },
          signer.signature_hash == null ? {} : { signature_hash = signer.signature_hash },
        )
      },
      signer.lifetime == null ? {} : { lifetime = signer.lifetime },
      signer.deferral_limit == null ? {} : { deferral_limit = signer.deferral_limit },
    )]
  }

  documents = merge(local.certificates, { "configuration.yaml" = yamlencode(local.configuration) })

  exporters = { for name, cluster in local.ready_clusters : name => {
    source = local.sources[name]
    signers = [for signer in values(local.ready) : {
      signer_name = signer.signer_name
      # If another approver decides, the function acts only after the approval.
      stages = signer.approve ? ["pending", "approved"] : ["approved"]
    } if signer.cluster == name]
    function = { url = "${local.uri}/", audience = local.uri }
    # On the pod network, GKE's metadata server gives the exporter its identity, and the kubelet probes the pod's address.
    identity = { for key, value in {
      kind            = cluster.exporter_network == "pod" ? "metadata_server" : "workload_identity_federation"
      token_file      = cluster.exporter_network == "pod" ? null : "/var/run/secrets/csr-exporter/token"
      sts_audience    = cluster.exporter_network == "pod" ? null : module.identities[name].sts_audience
      service_account = cluster.exporter_network == "pod" ? null : module.identities[name].email
    } : key => value if value != null }
    health   = { address = cluster.exporter_network == "pod" ? "0.0.0.0" : "127.0.0.1", port = 9876 }
    replicas = { count = 2, delay_seconds = 15 }
  } }

  # Structured authentication for API servers outside GKE, so that they accept the function's tokens.
  authentication = { for name, cluster in var.clusters : name => {
    # Kubernetes 1.30 to 1.37 know this version; v1 exists only from 1.34.
    apiVersion = "apiserver.config.k8s.io/v1beta1"
    kind       = "AuthenticationConfiguration"
    jwt = [{
      issuer = { url = "https://accounts.google.com", audiences = [cluster.audience] }
      # Google signs tokens for all its customers with this issuer, and each may request any audience. Only the account's
      # number identifies the function: after an account is deleted, another account can get its email, but never its
      # number.
      claimValidationRules = [
        { claim = "sub", requiredValue = google_service_account.function.unique_id },
        { expression = "claims.email_verified == true", message = "the email must be verified" },
      ]
      claimMappings = { username = { claim = "email", prefix = "gcp:" } }
    }]
  } if cluster.access == "oidc" }
}

module "certificate" {
  source   = "./modules/certificate"
  for_each = local.ready

  pem = each.value.ca_certificate
}

locals {
  # The function refuses a CSR once the CA has less than half of the certificate's lifetime left: of 365 days by default.
  ending = {
    for name, certificate in module.certificate : name => certificate.not_after
    if certificate.not_after != null && timecmp(coalesce(certificate.not_after, plantimestamp()), timeadd(plantimestamp(), "${24 * 183}h")) < 0
  }
}

# A warning, because an error would block the apply that lets ca_administrator make the next CA certificate.
check "ca_certificates" {
  assert {
    condition     = length(local.ending) == 0
    error_message = "signers[*].ca_certificate: Invalid value: ${jsonencode(local.ending)}: should be valid for at least 183 more days: the function refuses CSRs once less than half of a certificate's lifetime is left, 365 days by default. Make a new CA certificate as docs/rotation.md says."
  }
}

# This precondition fails at plan, before Terraform changes anything.
resource "terraform_data" "certificate" {
  for_each = module.certificate

  lifecycle {
    precondition {
      condition     = each.value.not_after != null
      error_message = "signers[\"${each.key}\"].ca_certificate: Invalid value: must start with a certificate that Terraform can read: give the PEM that scripts/python -m signerctl ca create wrote, as file(\"ca.pem\")."
    }
  }
}
