# Terraform refuses bad input at plan. Each run has one fault, and its comment holds text that the message must contain. A
# Python test runs some of them without expect_failures and checks the message.

mock_provider "archive" {}
mock_provider "time" {}

mock_provider "google-beta" {}

mock_provider "google" {
  override_during = plan

  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }

  mock_resource "google_service_account" {
    defaults = { name = "projects/p/serviceAccounts/x@p.iam.gserviceaccount.com" }
  }
}

variables {
  audit            = null # no test here needs it
  callers          = "internet"
  ca_administrator = "user:ca-administrator@example.com"
  key_project      = "example-keys"
  location         = "europe-west1"
  project          = "example-signer"

  clusters = {
    prod = {
      access = "gke-dns"
      gke    = { location = "europe-west1", name = "prod", project = "example-clusters" }
      server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog"
    }
  }

  signers = {
    prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
  }
}

run "signer_name_without_a_slash" {
  # says: signers[*].signer_name: Invalid value: {"prod-calico":"calico"}: must be DOMAIN/NAME with a dot in DOMAIN
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "calico" } }
  }

  expect_failures = [var.signers]
}

run "signer_name_without_a_domain" {
  # says: with a dot in DOMAIN
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "calico/calico" } }
  }

  expect_failures = [var.signers]
}

run "signer_name_of_kubernetes" {
  # says: Use your own domain
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "kubernetes.io/kube-apiserver-client" } }
  }

  expect_failures = [var.signers]
}

run "ca_certificate_that_expires_soon" {
  # says: should be valid for at least 183 more days: the function refuses CSRs once less than half
  command = plan

  override_module {
    target = module.function
  }

  # Only the validity of a certificate (RFC 5280 4.1), which ends in 182 days.
  variables {
    signers = { prod-calico = { ca_certificate = "-----BEGIN CERTIFICATE-----\n${base64encode("0\u001e\u0017\r${formatdate("YYMMDDhhmmss", timestamp())}Z\u0017\r${formatdate("YYMMDDhhmmss", timeadd(timestamp(), "4368h"))}Z")}\n-----END CERTIFICATE-----\n", cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [check.ca_certificates]
}

run "ca_certificate_that_is_unreadable" {
  # says: must start with a certificate that Terraform can read
  command = plan

  override_module {
    target = module.function
  }

  variables {
    signers = { prod-calico = { ca_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [terraform_data.certificate]
}

run "ca_certificate_by_its_file_name" {
  # says: such as file("ca.pem"), not a file name
  command = plan

  variables {
    signers = { prod-calico = { ca_certificate = "ca.pem", cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "private_key_beside_the_ca_certificate" {
  # says: never a private key
  command = plan

  variables {
    signers = { prod-calico = { ca_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n", cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "key_version_of_another_project" {
  # says: must be the full name, projects/example-keys/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", key_version = "projects/other-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/shared/cryptoKeyVersions/1", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "key_without_its_version" {
  # says: an asymmetric key has no primary version
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", key_version = "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/shared", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "raw_key_without_signature_hash" {
  # says: must be SHA256, SHA384 or SHA512 for a raw key
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", key_algorithm = "RSA_SIGN_RAW_PKCS1_4096", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "signature_hash_of_a_key_that_is_not_raw" {
  # says: and absent for every other key
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.31" }, signature_hash = "SHA256", signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "protection_level_unknown" {
  # says: supported values: "HSM", "HSM_SINGLE_TENANT", "SOFTWARE"
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.31" }, protection_level = "EXTERNAL", signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "lifetime_without_unit" {
  # says: such as 90d
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", lifetime = "90", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "signer_of_an_unknown_cluster" {
  # says: signers[*].cluster: Not found: {"prod-calico":"other"}: clusters has ["prod"]
  command = plan

  variables {
    signers = { prod-calico = { cluster = "other", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "one_ca_in_two_clusters" {
  # says: two clusters or two profiles share a CA certificate or key version
  command = plan

  variables {
    clusters = {
      prod  = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
      stage = { access = "gke-dns", exporter_service_account = "csr-exporter-stage", gke = { location = "europe-west1", name = "stage", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
    }
    signers = {
      prod-calico  = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
      stage-calico = { ca_certificate = file("tests/ca.pem"), cluster = "stage", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
    }
  }

  expect_failures = [var.signers]
}

run "one_key_version_in_two_clusters" {
  # says: set shared_trust_domain = true on both
  command = plan

  variables {
    clusters = {
      prod  = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
      stage = { access = "gke-dns", exporter_service_account = "csr-exporter-stage", gke = { location = "europe-west1", name = "stage", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
    }
    signers = {
      prod-calico  = { cluster = "prod", key_version = "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/shared/cryptoKeyVersions/1", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
      stage-calico = { cluster = "stage", key_version = "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/shared/cryptoKeyVersions/1", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
    }
  }

  expect_failures = [var.signers]
}

run "key_version_of_another_clusters_signer" {
  # says: two clusters or two profiles share a CA certificate or key version
  command = plan

  variables {
    clusters = {
      prod  = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
      stage = { access = "gke-dns", exporter_service_account = "csr-exporter-stage", gke = { location = "europe-west1", name = "stage", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
    }
    signers = {
      prod-calico  = { cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
      stage-calico = { cluster = "stage", key_version = "projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/prod-calico/cryptoKeyVersions/1", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
    }
  }

  expect_failures = [var.signers]
}

run "one_ca_for_two_profiles" {
  # says: two clusters or two profiles share a CA certificate or key version
  command = plan

  variables {
    signers = {
      prod-calico = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
      prod-other  = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "calico-enterprise", namespaces = ["calico-system"], release = "1.42" }, signer_name = "example.com/other" }
    }
  }

  expect_failures = [var.signers]
}

run "one_ca_for_two_releases" {
  # says: two clusters or two profiles share a CA certificate or key version
  command = plan

  variables {
    signers = {
      prod-calico = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
      prod-other  = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "calico", namespaces = ["calico-system"], release = "3.30" }, signer_name = "example.com/other" }
    }
  }

  expect_failures = [var.signers]
}

run "one_ca_in_two_clusters_with_text_around_it" {
  # says: two clusters or two profiles share a CA certificate or key version
  command = plan

  variables {
    clusters = {
      prod  = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
      stage = { access = "gke-dns", exporter_service_account = "csr-exporter-stage", gke = { location = "europe-west1", name = "stage", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
    }
    signers = {
      prod-calico  = { ca_certificate = file("tests/ca.pem"), cluster = "prod", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
      stage-calico = { ca_certificate = "Subject: the same\n${file("tests/ca.pem")}${file("tests/another-ca.pem")}", cluster = "stage", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" }
    }
  }

  expect_failures = [var.signers]
}

run "one_cluster_twice" {
  # says: clusters: Duplicate value: {"again":"example-clusters/europe-west1/prod","prod":"example-clusters/europe-west1/prod"}
  command = plan

  variables {
    clusters = {
      again = { access = "gke-dns", exporter_service_account = "csr-exporter-again", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
      prod  = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
    }
  }

  expect_failures = [var.clusters]
}

run "profile_that_does_not_exist" {
  # says: or a file name in profiles: ["postgresql.yaml"]
  command = plan

  variables {
    profiles = { "postgresql.yaml" = "name: postgresql\n" }
    signers  = { prod-postgresql = { cluster = "prod", profile = { name = "postgresql" }, signer_name = "example.com/postgresql" } }
  }

  expect_failures = [var.signers]
}

run "profile_beside_an_image" {
  # says: profiles: Forbidden: together with image
  command = plan

  variables {
    image    = "images.example.com/p/r/function@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    profiles = { "postgresql.yaml" = "name: postgresql\n" }
    signers  = { prod-postgresql = { cluster = "prod", profile = { name = "postgresql.yaml" }, signer_name = "example.com/postgresql" } }
  }

  expect_failures = [var.profiles]
}

run "profile_without_its_release" {
  # says: The profiles calico and calico-enterprise require it
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "profile_release_with_a_patch" {
  # says: signers[*].profile.release: Invalid value: {"prod-calico":"v3.31.2"}: must be MAJOR.MINOR, such as 3.31.
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico", release = "v3.31.2" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "namespaces_that_anyone_could_create" {
  # says: must list the namespaces that the cluster uses
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.30" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "namespaces_of_calico_enterprise_that_are_missing" {
  # says: for the profile calico-enterprise and for calico before 3.31
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico-enterprise", release = "1.44" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "address_range_with_host_bits" {
  # says: must be in CIDR notation without host bits
  command = plan

  variables {
    clusters = {
      prod = { access = "gke-dns", address_ranges = ["10.0.0.1/8"], gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
    }
  }

  expect_failures = [var.clusters]
}

run "single_tenant_key_that_would_be_made" {
  # says: must name an existing key version if protection_level is HSM_SINGLE_TENANT
  command = plan

  variables {
    signers = { prod-calico = { cluster = "prod", profile = { name = "calico", release = "3.31" }, protection_level = "HSM_SINGLE_TENANT", signer_name = "example.com/calico" } }
  }

  expect_failures = [var.signers]
}

run "one_identity_in_two_clusters" {
  # says: the project has one identity pool, and equal names in it are one identity
  command = plan

  variables {
    clusters = {
      prod  = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
      stage = { access = "gke-dns", gke = { location = "europe-west1", name = "stage", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" }
    }
  }

  expect_failures = [var.clusters]
}

run "group_as_ca_administrator" {
  # says: a group hides who can sign
  command = plan

  variables {
    ca_administrator = "group:security@example.com"
  }

  expect_failures = [var.ca_administrator]
}

run "ca_administrator_for_more_than_a_day" {
  # says: must be an RFC 3339 time in UTC within 24 hours from
  command = plan

  variables {
    ca_administrator_until = timeadd(timestamp(), "25h")
  }

  expect_failures = [var.ca_administrator_until]
}

run "ca_administrator_until_a_past_time" {
  # says: must be an RFC 3339 time in UTC within 24 hours from
  command = plan

  variables {
    ca_administrator_until = timeadd(timestamp(), "-1m")
  }

  expect_failures = [var.ca_administrator_until]
}

run "ca_administrator_until_a_word" {
  # says: ca_administrator_until: Invalid value: "tomorrow": must be an RFC 3339 time in UTC
  command = plan

  variables {
    ca_administrator_until = "tomorrow"
  }

  expect_failures = [var.ca_administrator_until]
}

run "ca_administrator_until_a_time_with_an_offset" {
  # says: must be an RFC 3339 time in UTC
  command = plan

  variables {
    ca_administrator_until = replace(timeadd(timestamp(), "1h"), "Z", "+00:00")
  }

  expect_failures = [var.ca_administrator_until]
}

run "callers_unknown" {
  # says: supported values: "same-vpc", "perimeter", "internet"
  command = plan

  variables {
    callers = "everywhere"
  }

  expect_failures = [var.callers]
}

run "image_by_tag" {
  # says: A tag can point to other code
  command = plan

  variables {
    image = "images.example.com/p/r/i:latest"
  }

  expect_failures = [var.image]
}

run "location_global" {
  # says: promises no HSM
  command = plan

  variables {
    location = "global"
  }

  expect_failures = [var.location]
}

run "project_by_number" {
  # says: must be a project ID
  command = plan

  variables {
    project = "123456789012"
  }

  expect_failures = [var.project]
}

run "too_many_instances" {
  # says: it limits what a flood of CSRs can cost
  command = plan

  variables {
    max_instances = 1000
  }

  expect_failures = [var.max_instances]
}

run "seventeen_clusters" {
  # says: clusters: Too many: 17: must have at most 16 items
  command = plan

  variables {
    clusters = { for number in range(17) : "c${number}" => { access = "gke-dns", exporter_service_account = "csr-exporter-${number}", gke = { location = "europe-west1", name = "c${number}", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" } }
    signers  = { prod-calico = { cluster = "c0", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.clusters]
}

run "cluster_name_too_long" {
  # says: each with at most 17 lower-case letters
  command = plan

  variables {
    clusters = { production-in-europe-west = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" } }
    signers  = { prod-calico = { cluster = "production-in-europe-west", profile = { name = "calico", release = "3.31" }, signer_name = "example.com/calico" } }
  }

  expect_failures = [var.clusters]
}

run "cluster_without_an_issuer" {
  # says: must have exactly one of gke and oidc
  command = plan

  variables {
    clusters = { prod = { access = "gke-dns", server = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog" } }
  }

  expect_failures = [var.clusters]
}

run "private_endpoint_without_network" {
  # says: network: Required value: must be set with access "gke-private"
  command = plan

  override_data {
    target = data.google_container_cluster.private
    values = {
      master_auth            = [{ client_key = "", cluster_ca_certificate = "LS0t" }]
      private_cluster_config = [{ private_endpoint = "10.0.0.2" }]
    }
  }

  variables {
    clusters = { prod = { access = "gke-private", gke = { location = "europe-west1", name = "prod", project = "example-clusters" } } }
  }

  expect_failures = [var.network]
}

run "private_endpoint_at_another_address" {
  # says: With "gke-private" it must be absent
  command = plan

  variables {
    clusters = { prod = { access = "gke-private", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://10.0.0.2" } }
    network  = { network = "main", subnetwork = "functions" }
  }

  expect_failures = [var.clusters]
}

run "private_endpoint_with_another_ca" {
  # says: Terraform reads the CA of gke-private from the cluster
  command = plan

  variables {
    clusters = { prod = { access = "gke-private", certificate_authority = file("tests/ca.pem"), gke = { location = "europe-west1", name = "prod", project = "example-clusters" } } }
    network  = { network = "main", subnetwork = "functions" }
  }

  expect_failures = [var.clusters]
}

run "private_endpoint_that_does_not_exist" {
  # says: the cluster prod must have a private endpoint at an IPv4 address of RFC 1918 or RFC 6598; otherwise use gke-dns.
  command = plan

  override_data {
    target = data.google_container_cluster.private
    values = { master_auth = [{ client_key = "", cluster_ca_certificate = "LS0t" }], private_cluster_config = [{ private_endpoint = "" }] }
  }

  variables {
    clusters = { prod = { access = "gke-private", gke = { location = "europe-west1", name = "prod", project = "example-clusters" } } }
    network  = { network = "main", subnetwork = "functions" }
  }

  expect_failures = [data.google_container_cluster.private]
}

run "private_endpoint_that_is_public" {
  # says: the cluster prod must have a private endpoint at an IPv4 address of RFC 1918 or RFC 6598; otherwise use gke-dns.
  command = plan

  override_data {
    target = data.google_container_cluster.private
    values = { master_auth = [{ client_key = "", cluster_ca_certificate = "LS0t" }], private_cluster_config = [{ private_endpoint = "34.1.2.3" }] }
  }

  variables {
    clusters = { prod = { access = "gke-private", gke = { location = "europe-west1", name = "prod", project = "example-clusters" } } }
    network  = { network = "main", subnetwork = "functions" }
  }

  expect_failures = [data.google_container_cluster.private]
}

run "private_endpoint_of_a_cluster_with_a_client_certificate" {
  # says: clusters["prod"].access: Forbidden: "gke-private" for the cluster prod, which has a client certificate
  command = plan

  override_data {
    target = data.google_container_cluster.private
    values = { master_auth = [{ client_key = "c2VjcmV0", cluster_ca_certificate = "LS0t" }], private_cluster_config = [{ private_endpoint = "10.0.0.2" }] }
  }

  variables {
    clusters = { prod = { access = "gke-private", gke = { location = "europe-west1", name = "prod", project = "example-clusters" } } }
    network  = { network = "main", subnetwork = "functions" }
  }

  expect_failures = [data.google_container_cluster.private]
}

run "server_that_is_missing" {
  # says: must be an https URL
  command = plan

  variables {
    clusters = { prod = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" } } }
  }

  expect_failures = [var.clusters]
}

run "ip_address_as_dns_endpoint" {
  # says: with access "gke-dns" the DNS-based endpoint
  command = plan

  variables {
    clusters = { prod = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "https://34.1.2.3" } }
  }

  expect_failures = [var.clusters]
}

run "api_server_without_its_ca" {
  # says: must be the API server's CA as PEM
  command = plan

  variables {
    clusters = { prod = { access = "oidc", audience = "https://csr-signer.example.com/0123", oidc = { issuer = "https://issuer.example.com" }, server = "https://api.example.com" } }
  }

  expect_failures = [var.clusters]
}

run "guessable_audience" {
  # says: be an audience of at least 16 characters that no other API server accepts
  command = plan

  variables {
    clusters = { prod = { access = "oidc", audience = "signer", certificate_authority = file("tests/ca.pem"), oidc = { issuer = "https://issuer.example.com" }, server = "https://api.example.com" } }
  }

  expect_failures = [var.clusters]
}

run "server_without_tls" {
  # says: must be an https URL
  command = plan

  variables {
    clusters = { prod = { access = "gke-dns", gke = { location = "europe-west1", name = "prod", project = "example-clusters" }, server = "http://gke-1.gke.goog" } }
  }

  expect_failures = [var.clusters]
}

# The code and its build

run "binary_authorization_of_a_built_function" {
  # says: binary_authorization_policy: Forbidden: without image: Google builds a function's image, and no attestor has signed it.
  command = plan

  variables {
    binary_authorization_policy = "default"
  }

  expect_failures = [var.binary_authorization_policy]
}

run "worker_pool_by_its_short_name" {
  # says: worker_pool: Invalid value: "private": must be the full name of a pool
  command = plan

  variables {
    worker_pool = "private"
  }

  expect_failures = [var.worker_pool]
}

run "build_settings_beside_an_image" {
  # says: together with image, because Terraform builds nothing then
  command = plan

  variables {
    build_environment = { PIP_INDEX_URL = "https://packages.example.com/simple/" }
    image             = "images.example.com/p/r/function@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    worker_pool       = "projects/example-signer/locations/europe-west1/workerPools/private"
  }

  expect_failures = [var.build_environment, var.worker_pool]
}

run "label_with_capitals" {
  # says: labels: Invalid value: {"Team":"Platform"}: must have keys and values
  command = plan

  variables {
    labels = { Team = "Platform" }
  }

  expect_failures = [var.labels]
}

# Keys

run "key_location_global" {
  # says: key_location: Invalid value: "global": must be a region such as europe-west1.
  command = plan

  variables {
    key_location = "global"
  }

  expect_failures = [var.key_location]
}

run "signer_that_is_retired_and_in_use" {
  # says: retired_signers: Invalid value: ["prod-calico"]: must not be in signers too: ["prod-calico"]. A new signer needs a new name
  command = plan

  variables {
    retired_signers = { prod-calico = {} }
  }

  expect_failures = [var.retired_signers]
}

run "exporter_in_a_namespace_of_the_cluster" {
  # says: exporter_namespace: Invalid value: "kube-system": must begin with a letter, and name a namespace for the exporter alone
  command = plan

  variables {
    exporter_namespace = "kube-system"
  }

  expect_failures = [var.exporter_namespace]
}

run "encryption_key_in_another_region" {
  # says: encryption_key: Invalid value: "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k": must be the full name of a key in the function's region
  command = plan

  variables {
    encryption_key = "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k"
  }

  expect_failures = [var.encryption_key]
}

# Networks

run "same_vpc_without_a_network" {
  # says: network: Invalid value: null: must be the Shared VPC of the clusters with full names
  command = plan

  variables {
    callers = "same-vpc"
  }

  expect_failures = [var.network]
}

run "same_vpc_with_a_network_by_its_short_name" {
  # says: projects/HOST/global/networks/NETWORK and projects/HOST/regions/REGION/subnetworks/SUBNETWORK, because callers is "same-vpc"
  command = plan

  variables {
    callers = "same-vpc"
    network = { network = "main", subnetwork = "functions" }
  }

  expect_failures = [var.network]
}

run "no_warm_instance_with_direct_vpc_egress" {
  # says: min_instances: Invalid value: 0: must be a whole number from 0 to max_instances; with network at least 1
  command = plan

  variables {
    min_instances = 0
    network       = { network = "main", subnetwork = "functions" }
  }

  expect_failures = [var.min_instances]
}

run "gke_membership_of_another_cluster" {
  # says: with "connect-gateway" https://connectgateway.googleapis.com/v1/projects/NUMBER/locations/LOCATION/memberships/NAME
  command = plan

  variables {
    clusters = {
      prod = {
        access = "connect-gateway"
        oidc   = { issuer = "https://kubernetes.default.svc.cluster.local", jwks = "{\"keys\":[{\"kid\":\"1\",\"kty\":\"RSA\"}]}" }
        server = "https://connectgateway.googleapis.com/v1/projects/210987654321/locations/global/gkeMemberships/edge"
      }
    }
  }

  expect_failures = [var.clusters]
}

# The clusters' manifests.

run "an_unknown_exporter_network" {
  # says: clusters[*].exporter_network: Unsupported value: {"prod":"bridge"}: supported values: "host"; for a cluster with gke also "pod"
  command = plan

  variables {
    clusters = {
      prod = {
        access           = "gke-dns"
        exporter_network = "bridge"
        gke              = { location = "europe-west1", name = "prod", project = "example-clusters" }
        server           = "https://gke-0123456789abcdef-210987654321.europe-west1.gke.goog"
      }
    }
  }

  expect_failures = [var.clusters]
}

run "the_pod_network_outside_gke" {
  # says: supported values: "host"; for a cluster with gke also "pod"
  command = plan

  variables {
    clusters = {
      prod = {
        access                = "oidc"
        audience              = "https://csr-signer.example.com/7d1f0a52-0f8e-4a4e-9c47-7c4a7a8b3c55"
        certificate_authority = file("tests/another-ca.pem")
        exporter_network      = "pod"
        oidc                  = { issuer = "https://kubernetes.default.svc.cluster.local", jwks = "{\"keys\":[{\"kid\":\"1\",\"kty\":\"RSA\"}]}" }
        server                = "https://kubernetes.site.example.com:6443"
      }
    }
  }

  expect_failures = [var.clusters]
}

# The audit trail.

run "encryption_key_in_another_region_than_the_log_bucket" {
  # says: audit.encryption_key: Invalid value: "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest": must be the full name of a key in the log bucket's location
  command = plan

  variables {
    audit = { encryption_key = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest", location = "europe-west4", project = "example-audit" }
  }

  expect_failures = [var.audit]
}

# A warning.

run "gke_cluster_in_the_functions_project" {
  # says: clusters[*].gke.project: Invalid value: "example-signer": should be another project than the function's
  command = plan

  variables {
    clusters = {
      prod = {
        access = "gke-dns"
        gke    = { location = "europe-west1", name = "prod", project = "example-signer" }
        server = "https://gke-0123456789abcdef-123456789012.europe-west1.gke.goog"
      }
    }
  }

  expect_failures = [check.clusters_apart]
}
