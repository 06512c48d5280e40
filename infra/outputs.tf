output "authentication_configurations" {
  description = "For clusters with access oidc: what kube-apiserver's --authentication-config must name, YAML by cluster."
  value       = { for name, content in local.authentication : name => yamlencode(content) }
}

output "documents" {
  description = "The function's bundle beside its code: configuration document and certificates, by file name. No secret is in it."
  value       = local.documents
}

output "exporter_configurations" {
  description = "configuration.json of each cluster's exporter; empty until its signers have CA certificates."
  value       = { for name, content in local.exporters : name => jsonencode(content) }
}

output "function" {
  description = "The function: URL and account; the URL is null until a CA certificate exists."
  value = {
    service_account = local.function_email
    url             = local.deployed ? local.uri : null
  }
}

output "manifests" {
  description = "What the overlay of each cluster (infra/cluster/overlays/example) must say: the user that the function is there, signerNames, whether it approves, name and token audience of the exporter's service account."
  value = { for name, cluster in var.clusters : name => {
    approve                  = anytrue([for signer in values(var.signers) : signer.approve if signer.cluster == name])
    approves                 = sort([for signer in values(var.signers) : signer.signer_name if signer.cluster == name && signer.approve])
    exporter_service_account = cluster.exporter_service_account
    function_user            = local.function_users[name]
    namespace                = var.exporter_namespace
    signs                    = sort([for signer in values(var.signers) : signer.signer_name if signer.cluster == name])
    token_audience           = module.identities[name].token_audience
  } }
}

output "next_steps" {
  description = "What to do now, in this order."
  value = concat(
    [for name, signer in var.signers :
      "${name}: scripts/python -m signerctl ca create --key-version ${local.key_versions[name]} --common-name '${name}' --out ${name}-ca.pem, then set signers.${name}.ca_certificate = file(\"${name}-ca.pem\") and apply again"
    if signer.ca_certificate == null],
    flatten([for name in keys(local.exporters) : concat(
      var.clusters[name].access == "oidc" ? ["${name}: terraform output -json authentication_configurations | jq -r '.[\"${name}\"]' is what its API server must be started with, --authentication-config (see infra/examples)"] : [],
      [
        "${name}: terraform output -json exporter_configurations | jq -r '.[\"${name}\"]' > configuration.json in a copy of infra/cluster/overlays/example",
        "${name}: put the values of terraform output -json manifests | jq '.[\"${name}\"]' into its kustomization.yaml, then kubectl apply -k it",
      ],
    )]),
    length(local.exporters) == 0 ? [] : ["last: certificateManagement in Calico's Installation, with the trust bundle as caCert"],
  )
}
