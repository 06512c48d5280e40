output "files" {
  description = "By file name: the secret, its version, and the folder in which to mount it. Each document has its own folder, because Cloud Run cannot mount two secrets in one folder. Known only after the service account may read the secrets."
  value = { for name in keys(var.documents) : name => {
    folder  = "/etc/csr-signer/${replace(name, ".", "-")}"
    secret  = google_secret_manager_secret.this[name].secret_id
    version = google_secret_manager_secret_version.this[name].version # and not `latest`, so that a new document causes a new revision
  } }
  depends_on = [time_sleep.grants]
}
