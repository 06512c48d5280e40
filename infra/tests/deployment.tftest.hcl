# Plans of a whole deployment with two clusters, one of them outside Google Cloud. The Python tests read the plan of the run
# `deployed`: they compare its grants with infra/inventory.yaml, and load its documents.

mock_provider "archive" {}
mock_provider "google-beta" {}
mock_provider "time" {}

mock_provider "google" {
  override_during = plan

  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }

  mock_resource "google_service_account" {
    defaults = { unique_id = "104567890123456789012", name = "projects/p/serviceAccounts/x@p.iam.gserviceaccount.com" }
  }

  mock_resource "google_cloudfunctions2_function" {
    defaults = { service_config = { uri = "https://csr-signer-mocked-ew.a.run.app" }, state = "ACTIVE" }
  }

  mock_resource "google_cloud_run_v2_service" {
    defaults = { uri = "https://csr-signer-mocked-ew.a.run.app" }
  }

  mock_resource "google_storage_bucket_object" {
    defaults = { generation = 1 }
  }
}

override_data {
  target = data.google_project.this["example-clusters"]
  values = { number = "210987654321" }
}

variables {
  callers          = "internet"
  ca_administrator = "user:ca-administrator@example.com"
  key_project      = "example-keys"
  location         = "europe-west1"
  project          = "example-signer"

  audit = { project = "example-audit", notification_channels = ["projects/example-audit/notificationChannels/1"] }

  clusters = {
    prod = {
      access = "gke-dns"
      gke    = { location = "europe-west1", name = "prod", project = "example-clusters" }
      server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog"
    }
    site = {
      access                = "oidc"
      address_ranges        = ["10.0.0.0/8"]
      audience              = "https://csr-signer.example.com/7d1f0a52-0f8e-4a4e-9c47-7c4a7a8b3c55"
      certificate_authority = file("tests/another-ca.pem")
      oidc                  = { issuer = "https://kubernetes.default.svc.cluster.local", jwks = "{\"keys\":[{\"kid\":\"1\",\"kty\":\"RSA\"}]}" }
      server                = "https://kubernetes.site.example.com:6443"
    }
  }

  signers = {
    prod-calico = {
      ca_certificate = file("tests/ca.pem")
      cluster        = "prod"
      profile        = { name = "calico", release = "3.31" }
      signer_name    = "example.com/calico"
    }
    site-calico = {
      approve        = false
      ca_certificate = file("tests/another-ca.pem")
      cluster        = "site"
      lifetime       = "90d"
      profile        = { name = "calico", release = "3.31" }
      signer_name    = "site.example.com/calico"
    }
  }
}

run "before_the_ca_certificates_exist" {
  command = plan

  variables {
    signers = {
      prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
    }
  }

  assert {
    condition     = length(module.function) == 0 && length(module.service) == 0
    error_message = "without a CA certificate there is no function"
  }

  assert {
    condition     = module.key.keys == { prod-calico = "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/prod-calico" }
    error_message = "the key exists, so that signerctl can make the CA certificate with it"
  }

  assert {
    condition     = length(module.identities) == 2 && length(module.audit) == 1
    error_message = "identities and audit trail exist before the first signature"
  }

  assert {
    condition     = anytrue([for step in output.next_steps : startswith(step, "signerctl ca create --key-version projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/prod-calico/cryptoKeyVersions/1 ")])
    error_message = "next_steps has the next command"
  }

  assert {
    condition     = contains(output.next_steps, "terraform apply -var ca_administrator_until=$(date -u -d '+1 hour' +%FT%TZ)")
    error_message = "the administrator has no right, and next_steps says how it gets one"
  }
}

run "deployed" {
  command = plan

  assert {
    condition     = output.function.url == "https://csr-signer-mocked-ew.a.run.app"
    error_message = "the function exists"
  }

  assert {
    condition     = output.manifests["site"].function_user == "gcp:csr-signer@example-signer.iam.gserviceaccount.com" && output.manifests["prod"].function_user == "csr-access-prod@example-signer.iam.gserviceaccount.com"
    error_message = "outside GKE the function's username has the prefix of the AuthenticationConfiguration; on GKE it is an account without rights on keys"
  }

  assert {
    condition     = alltrue([for api in ["example-signer iam", "example-signer sts", "example-signer cloudkms", "example-keys cloudkms", "example-clusters iamcredentials", "example-clusters sts", "example-signer logging", "example-keys logging", "example-clusters logging"] : contains(keys(google_project_service.this), api)])
    error_message = "all APIs are enabled; otherwise the first apply or request fails"
  }

  assert {
    condition     = !can(regex("ca create", join("", output.next_steps)))
    error_message = "no CA certificate is missing"
  }
}

run "while_a_ca_certificate_is_made" {
  command = plan

  variables {
    ca_administrator_until = timeadd(timestamp(), "1h")
  }
}

run "from_an_image" {
  command = plan

  variables {
    binary_authorization_policy = "default"
    image                       = "images.example.com/example-signer/csr-signer/function@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }

  assert {
    condition     = length(module.function) == 0 && length(module.service) == 1
    error_message = "Terraform builds nothing with an image"
  }
}

run "hardened" {
  command = plan

  variables {
    audit          = { encryption_key = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest", project = "example-audit" }
    callers        = "perimeter"
    deployer       = "serviceAccount:terraform@example-signer.iam.gserviceaccount.com"
    encryption_key = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest"
    labels         = { team = "platform" }
    network        = { network = "main", subnetwork = "functions" }
    worker_pool    = "projects/example-signer/locations/europe-west1/workerPools/private"
  }
}

run "one_project_for_everything" {
  command = plan

  variables {
    key_project = "example-signer"
  }

  assert {
    condition     = length([for api in google_project_service.this : api if api.service == "cloudkms.googleapis.com" || api.service == "run.googleapis.com"]) == 2
    error_message = "keys and function may share a project in trials"
  }
}

run "own_profile_and_address_ranges" {
  command = plan

  variables {
    clusters = {
      prod = {
        access         = "gke-dns"
        address_ranges = ["10.0.0.0/8", "fd00::/8"]
        gke            = { location = "europe-west1", name = "prod", project = "example-clusters" }
        server         = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog"
      }
    }
    profiles = { "postgresql.yaml" = file("examples/profiles/postgresql.yaml") }
    signers = {
      prod-postgresql = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "postgresql.yaml" }, signer_name = "example.com/postgresql" }
    }
  }

  assert {
    condition     = output.documents["postgresql.yaml"] == file("examples/profiles/postgresql.yaml") && yamldecode(output.documents["configuration.yaml"]).signers[0].profile.name == "postgresql.yaml"
    error_message = "the profile is in the folder of the configuration"
  }
}

run "two_signers_with_one_key" {
  command = plan

  variables {
    signers = {
      prod-calico = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
      prod-others = {
        ca_certificate = file("tests/ca.pem")
        cluster        = "prod"
        key_version    = "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/prod-calico/cryptoKeyVersions/1"
        profile        = { name = "calico", release = "3.31" }
        signer_name    = "example.com/others"
      }
    }
  }

  assert {
    condition     = keys(module.key.keys) == ["prod-calico"] && length(local.crypto_keys) == 1
    error_message = "the first signer owns the key, and the second names its version"
  }
}

run "ca_certificate_of_a_trial_key" {
  command = plan

  variables {
    signers = {
      prod-calico = { cluster = "prod", key_algorithm = "RSA_SIGN_RAW_PKCS1_2048", profile = { name = "calico", release = "3.31" }, protection_level = "SOFTWARE", signature_hash = "SHA256", signer_name = "example.com/calico" }
    }
  }

  assert {
    condition     = strcontains(join(" ", output.next_steps), "--protection-level SOFTWARE --signature-hash SHA256")
    error_message = "next_steps has a command that works"
  }
}

run "next_steps_can_be_pasted" {
  command = plan

  assert {
    condition     = !strcontains(join("", output.next_steps), "\"")
    error_message = "next_steps has no quotation marks, because Terraform would print them with a backslash"
  }
}

run "every_access_to_google" {
  command = plan

  override_data {
    target = data.google_container_cluster.private
    values = {
      # tests/another-ca.pem; Terraform 1.11 allows no function here.
      master_auth            = [{ client_key = "", cluster_ca_certificate = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJrakNDQVRpZ0F3SUJBZ0lDWHUwd0NnWUlLb1pJemowRUF3SXdIVEViTUJrR0ExVUVBd3dTUlhoaGJYQnMKWlNCaGJtOTBhR1Z5TFdOaE1DQVhEVEkyTURFd01UQXdNREF3TUZvWUR6SXhNRFl3TVRBeE1EQXdNREF3V2pBZApNUnN3R1FZRFZRUUREQkpGZUdGdGNHeGxJR0Z1YjNSb1pYSXRZMkV3V1RBVEJnY3Foa2pPUFFJQkJnZ3Foa2pPClBRTUJCd05DQUFUM05rZjdBYU1xRFI1a3VLUFEvbml3M3k2bnNWaDdJZGlGSFN5Qnl1dVhkUXFsNThPYldoSjEKcFJiblBDdDdVT2NWUklTVlhRM1Zic3pyQ3hxd3JLd2xvMll3WkRBU0JnTlZIUk1CQWY4RUNEQUdBUUgvQWdFQQpNQTRHQTFVZER3RUIvd1FFQXdJQkJqQWRCZ05WSFE0RUZnUVVSaHZKaW5hVmErdEJ1bDc4VUhkUGpJazJxTDR3Ckh3WURWUjBqQkJnd0ZvQVVSaHZKaW5hVmErdEJ1bDc4VUhkUGpJazJxTDR3Q2dZSUtvWkl6ajBFQXdJRFNBQXcKUlFJZ0tyNXBNMDRwaUx3NnVmWTdUVlZkQ0VmSHl5eW5rMENmcGhHYkcvVjY0T2dDSVFDeHJVRHA0YndRYTdxWApQOXlVS3Nnd25zdnVqOUhZeFNUNC80ek5BQm4yeVE9PQotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==" }]
      private_cluster_config = [{ private_endpoint = "10.0.0.2" }]
    }
  }

  variables {
    clusters = {
      dns = {
        access              = "gke-dns"
        gke                 = { location = "europe-west1", name = "dns", project = "example-clusters" }
        server              = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog"
        shared_trust_domain = true
      }
      edge = {
        access              = "connect-gateway"
        fleet_project       = "example-fleet"
        shared_trust_domain = true
        oidc                = { issuer = "https://kubernetes.default.svc.cluster.local", jwks = "{\"keys\":[{\"kid\":\"1\",\"kty\":\"RSA\"}]}" }
        server              = "https://connectgateway.googleapis.com/v1/projects/210987654321/locations/global/memberships/edge"
      }
      private = {
        access                   = "gke-private"
        exporter_service_account = "csr-exporter-private"
        gke                      = { location = "europe-west1", name = "private", project = "example-clusters" }
      }
    }
    network = { network = "main", subnetwork = "functions" }
    signers = {
      dns-calico     = { ca_certificate = file("tests/ca.pem"), cluster = "dns", profile = { name = "calico", namespaces = ["calico-apiserver", "calico-system"], release = "3.30" }, signer_name = "example.com/calico" }
      edge-calico    = { ca_certificate = file("tests/ca.pem"), cluster = "edge", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
      private-calico = { ca_certificate = file("tests/another-ca.pem"), cluster = "private", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
    }
  }

  assert {
    condition     = output.documents["private-api-server.pem"] == file("tests/another-ca.pem") && yamldecode(output.documents["configuration.yaml"]).clusters.private.server == "https://10.0.0.2"
    error_message = "the configuration has the cluster's own address and CA"
  }

  assert {
    condition     = length(distinct([for manifest in output.manifests : manifest.function_user])) == 3
    error_message = "the function uses another account for each cluster, so that a token works in one cluster only"
  }
}

run "authentication_of_kubernetes_1_30" {
  command = plan

  assert {
    condition     = yamldecode(output.authentication_configurations["site"]).apiVersion == "apiserver.config.k8s.io/v1beta1"
    error_message = "Kubernetes 1.30 to 1.33 know no v1, and 1.34 to 1.37 still serve v1beta1"
  }
}

run "retired_signer" {
  command = plan

  variables {
    retired_signers = {
      foreign-calico = { cluster = "gone", key_version = "projects/example-keys/locations/europe-west1/keyRings/old/cryptoKeys/legacy/cryptoKeyVersions/3" }
      old-calico     = { cluster = "gone", key_algorithm = "RSA_SIGN_PKCS1_3072_SHA256" }
    }
  }

  assert {
    condition     = contains(local.audited_keys, "projects/example-keys/locations/europe-west1/keyRings/old/cryptoKeys/legacy") && !contains(keys(local.retired_keys), "foreign-calico")
    error_message = "a key that Terraform did not create raises an alert too, and Terraform creates none in its place"
  }

  assert {
    condition     = join(" ", sort(keys(output.adoptable.keys))) == "old-calico prod-calico site-calico"
    error_message = "Terraform imports only keys that it manages"
  }

  assert {
    condition     = contains(local.audited_keys, "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/old-calico")
    error_message = "a use of the retired key raises an alert"
  }

  assert {
    condition     = !strcontains(join(" ", keys(output.documents)), "old-calico")
    error_message = "the function does not know the signer"
  }
}

run "keys_in_another_region" {
  command = plan

  variables {
    key_location = "europe-west4"
  }

  assert {
    condition     = module.key.keys["prod-calico"] == "projects/example-keys/locations/europe-west4/keyRings/csr-signer/cryptoKeys/prod-calico" && yamldecode(output.documents["configuration.yaml"]).signers[0].issuer.key_version == "${module.key.keys["prod-calico"]}/cryptoKeyVersions/1"
    error_message = "the function uses the keys of the other region"
  }
}

run "direct_vpc_egress" {
  command = plan

  variables {
    network = { network = "main", subnetwork = "functions" }
  }

  assert {
    condition     = local.min_instances == 1
    error_message = "one instance is always connected to the network"
  }
}

# The clusters' manifests.

run "two_clusters_of_one_project" {
  command = plan

  variables {
    clusters = {
      databases = {
        access                   = "gke-dns"
        exporter_network         = "pod"
        exporter_service_account = "csr-exporter-databases"
        gke                      = { location = "europe-west1", name = "databases", project = "example-clusters" }
        server                   = "https://gke-fedcba9876543210-210987654321.europe-west1.gke.goog"
      }
      prod = {
        access = "gke-dns"
        gke    = { location = "europe-west1", name = "prod", project = "example-clusters" }
        server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog"
      }
    }
    profiles = { "postgresql.yaml" = file("examples/profiles/postgresql.yaml") }
    signers = {
      databases-postgresql = { ca_certificate = file("tests/another-ca.pem"), cluster = "databases", profile = { name = "postgresql.yaml" }, signer_name = "example.com/postgresql" }
      prod-calico          = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
    }
  }

  assert {
    condition     = module.identities["databases"].principal == "serviceAccount:example-clusters.svc.id.goog[kms-csr-signer/csr-exporter-databases]"
    error_message = "on the pod network, the metadata server acts for the exporter's service account"
  }

  assert {
    condition     = jsondecode(output.exporter_configurations["databases"]).identity == { kind = "metadata_server" } && jsondecode(output.exporter_configurations["databases"]).health.address == "0.0.0.0"
    error_message = "the exporter asks the metadata server, and the kubelet can probe the pod's address"
  }
}

run "next_steps_render_each_cluster" {
  command = plan

  assert {
    condition     = contains(output.next_steps, "terraform output -json | signerctl cluster manifests --terraform-output - --cluster prod --image REPOSITORY@sha256:DIGEST --out clusters/prod --function-user csr-access-prod@PROJECT.iam.gserviceaccount.com")
    error_message = "next_steps has the one command for a cluster"
  }

  assert {
    condition     = anytrue([for step in output.next_steps : strcontains(step, "--cluster site ") && strcontains(step, "--function-user gcp:csr-signer@PROJECT.iam.gserviceaccount.com --approver USERNAME")])
    error_message = "if another approver decides, the guards need the approver's username"
  }
}

# The audit trail.

run "second_deployment_with_its_log_bucket_elsewhere" {
  command = plan

  variables {
    audit          = { encryption_key = "projects/example-keys/locations/europe-west4/keyRings/storage/cryptoKeys/records", link_key_project = false, location = "europe-west4", project = "example-audit" }
    encryption_key = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest"
    name           = "edge-signer"
  }

  assert {
    condition     = module.audit[0].view == "example-audit.europe-west4.edge-signer-audit._AllLogs"
    error_message = "the log bucket has its own location, and the name of the deployment"
  }
}
