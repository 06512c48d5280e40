output "adoptable" {
  description = "Import IDs of what outlives an uninstall and a lost state: the key ring, the keys, and the clusters' identity pools."
  value = {
    identity_pools = { for name, cluster in var.clusters : name => "projects/${var.project}/locations/global/workloadIdentityPools/csr-exporter-${name}" if cluster.oidc != null }
    key_rings      = { (var.key_ring) = local.ring }
    keys           = { for name in concat(keys(local.own_keys), keys(local.retired_keys)) : name => "${local.ring}/cryptoKeys/${name}" }
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
  description = "What `signerctl cluster manifests` needs beside documents and exporter_configurations, by cluster: the signerNames, the function's username, and the exporter's namespace, network, accounts and token audience."
  value = { for name, cluster in var.clusters : name => {
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
  description = "The next steps, in order: comments and commands, to print with terraform output -json next_steps | jq -r '.[]'. `pipx install .` in the repository installs `signerctl`."
  value = concat(
    flatten([for name, signer in var.signers : concat(
      ["# ${name}: make its CA certificate. The examples find the file by its name; otherwise set signers.${name}.ca_certificate to it."],
      var.ca_administrator_until == null ? ["# Until an hour from now, ca_administrator may sign with all signers' keys. On macOS: date -u -v+1H +%FT%TZ", "terraform apply -var ca_administrator_until=$(date -u -d '+1 hour' +%FT%TZ)"] : [],
      [join(" ", concat(
        ["signerctl ca create --key-version ${local.key_versions[name]} --common-name ${name} --out ${name}-ca.pem --audit-log ca-audit.log"],
        signer.protection_level == "HSM" ? [] : ["--protection-level ${signer.protection_level}"],
        [for hash in signer.signature_hash[*] : "--signature-hash ${hash}"],
      ))],
      ["terraform apply"],
    ) if signer.ca_certificate == null]),
    flatten([for name in keys(local.exporters) : concat(
      var.clusters[name].access == "oidc" ? [
        "# ${name}: the API server must trust the function's tokens. On EKS, run the command in the output associate. Otherwise the next command writes the file for --authentication-config, as the top of infra/examples/self-managed/main.tf says.",
        "terraform output -json authentication_configurations | jq -r --arg name ${name} '.[$name]' > ${name}-authentication.yaml",
      ] : [],
      [
        "# ${name}: its manifests. Replace PROJECT yourself by `project` of main.tf: the folder lets this user approve and sign.",
        "terraform output -json | signerctl cluster manifests --terraform-output - --cluster ${name} --image REPOSITORY@sha256:DIGEST --out clusters/${name} --function-user ${var.clusters[name].access == "oidc" ? "gcp:${var.name}" : "csr-access-${name}"}@PROJECT.iam.gserviceaccount.com${alltrue([for signer in values(local.ready) : signer.approve if signer.cluster == name]) ? "" : " --approver USERNAME"}",
        "kubectl apply -k clusters/${name}",
      ],
      ["# ${name}: last, turn on certificateManagement: write the patch, then kubectl patch installation default --type merge --patch-file installation.yaml"],
      [for signer, settings in local.ready : "signerctl ca bundle --certificate ${signer}-ca.pem --signer-name ${settings.signer_name} > installation.yaml" if settings.cluster == name && settings.profile.name == "calico"],
    )]),
  )
}
