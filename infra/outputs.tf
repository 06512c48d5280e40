output "adoptable" {
  description = "Import IDs of what outlives an uninstall and a lost state: the key ring, the keys, and the clusters' identity pools."
  value = {
    identity_pools = { for name, cluster in var.clusters : name => "projects/${var.project}/locations/global/workloadIdentityPools/csr-exporter-${name}" if cluster.oidc != null }
    key_rings      = { (var.key_ring) = local.ring }
    keys           = { for name in concat(keys(local.own_keys), keys(var.retired_signers)) : name => "${local.ring}/cryptoKeys/${name}" }
  }
}

output "authentication_configurations" {
  description = "For clusters with access oidc: the file for kube-apiserver's --authentication-config, YAML by cluster."
  value       = { for name, content in local.authentication : name => yamlencode(content) }
}

output "documents" {
  description = "The files that the function gets with its code, by file name: configuration document, certificates and profiles. They hold no secrets. `signerctl cluster manifests` derives the function's rights and the guards from them."
  value       = local.documents
}

output "exporter_configurations" {
  description = "configuration.json of each cluster's exporter, for `signerctl cluster manifests`; a cluster is absent until one of its signers has a CA certificate."
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
  description = "What `signerctl cluster manifests` needs beside documents and exporter_configurations, by cluster: the signerNames that the function signs and approves for, the function's username, and the exporter's namespace, network, accounts and token audience."
  value = { for name, cluster in var.clusters : name => {
    approves                 = sort([for signer in values(var.signers) : signer.signer_name if signer.cluster == name && signer.approve])
    exporter_network         = cluster.exporter_network
    exporter_service_account = cluster.exporter_service_account
    function_user            = local.function_users[name]
    google_service_account   = module.identities[name].email
    namespace                = var.exporter_namespace
    signs                    = sort([for signer in values(var.signers) : signer.signer_name if signer.cluster == name])
    token_audience           = module.identities[name].token_audience
  } }
}

output "next_steps" {
  description = "The next steps, in order; `signerctl` is the shell function of README.md. As text: terraform output -json next_steps | jq -r '.[]'."
  value = concat(
    [for name, signer in var.signers :
      join(" ", concat(
        var.ca_administrator_until == null ? ["${name}: apply with -var ca_administrator_until=TIME, within 24 hours, so that ca_administrator may sign; then"] : [],
        ["${name}: make its CA certificate, set signers.${name}.ca_certificate to it (the examples find it by its name), and apply again:"],
        ["signerctl ca create --key-version ${local.key_versions[name]} --common-name ${name} --out ${name}-ca.pem --audit-log ca-audit.log"],
        signer.protection_level == "HSM" ? [] : ["--protection-level ${signer.protection_level}"],
        [for hash in signer.signature_hash[*] : "--signature-hash ${hash}"],
      ))
    if signer.ca_certificate == null],
    flatten([for name in keys(local.exporters) : concat(
      var.clusters[name].access == "oidc" ? ["${name}: terraform output -json authentication_configurations | jq -r --arg name ${name} '.[$name]' prints the file for its API server's --authentication-config; for EKS, use the output associate instead (see infra/examples)"] : [],
      ["${name}: terraform output -json | signerctl cluster manifests --terraform-output - --cluster ${name} --image REPOSITORY@sha256:DIGEST --out FOLDER${alltrue([for signer in values(local.ready) : signer.approve if signer.cluster == name]) ? "" : " --approver USERNAME"}, then kubectl apply -k FOLDER"],
    )]),
    length(local.exporters) == 0 ? [] : ["last: certificateManagement in Calico's Installation, with the trust bundle as caCert"],
  )
}
