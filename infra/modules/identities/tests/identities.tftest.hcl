mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = { name = "projects/p/serviceAccounts/x@p.iam.gserviceaccount.com" }
  }
}

variables {
  cluster        = "prod"
  gke            = { location = "europe-west1", name = "prod", project = "example-clusters", project_number = "210987654321" }
  project        = "example-signer"
  project_number = "123456789012"
}

run "gke" {
  command = plan

  assert {
    condition     = output.principal == "principal://iam.googleapis.com/projects/210987654321/locations/global/workloadIdentityPools/example-clusters.svc.id.goog/subject/ns/kms-csr-signer/sa/csr-exporter"
    error_message = "only one service account of one namespace may get tokens"
  }

  assert {
    condition     = length(google_iam_workload_identity_pool.this) == 0
    error_message = "GKE uses the project's pool"
  }
}

run "gke_pod_network" {
  command = plan

  variables {
    network = "pod"
  }

  assert {
    condition     = google_service_account_iam_member.mint.member == "serviceAccount:example-clusters.svc.id.goog[kms-csr-signer/csr-exporter]"
    error_message = "only one service account of one namespace may get tokens from the metadata server"
  }

  assert {
    condition     = google_service_account_iam_member.mint.role == "roles/iam.workloadIdentityUser"
    error_message = "the metadata server needs this role"
  }
}

run "outside_gke" {
  command = plan

  variables {
    gke  = null
    oidc = { issuer = "https://kubernetes.default.svc" }
  }

  assert {
    condition     = google_service_account_iam_member.mint.member == "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/csr-exporter-prod/subject/system:serviceaccount:kms-csr-signer:csr-exporter"
    error_message = "only one service account of one namespace may get tokens"
  }

  assert {
    condition     = google_service_account_iam_member.mint.role == "roles/iam.serviceAccountOpenIdTokenCreator"
    error_message = "the role creates only ID tokens"
  }
}

run "gke_and_oidc" {
  command = plan

  variables {
    oidc = { issuer = "https://kubernetes.default.svc" }
  }

  expect_failures = [var.gke]
}

run "neither_gke_nor_oidc" {
  command = plan

  variables {
    gke = null
  }

  expect_failures = [var.gke]
}

run "an_issuer_without_tls" {
  command = plan

  variables {
    gke  = null
    oidc = { issuer = "http://kubernetes.default.svc" }
  }

  expect_failures = [var.oidc]
}

run "an_invalid_jwks" {
  command = plan

  variables {
    gke  = null
    oidc = { issuer = "https://kubernetes.default.svc", jwks = "{\"keys\": []}" }
  }

  expect_failures = [var.oidc]
}

run "a_subject_that_google_refuses" {
  command = plan

  variables {
    namespace       = "a-namespace-whose-name-is-as-long-as-kubernetes-allows-it-to-be"
    service_account = "a-service-account-with-quite-a-long-name-as-well"
  }

  expect_failures = [var.service_account]
}

run "the_pod_network_outside_gke" {
  command = plan

  variables {
    gke     = null
    network = "pod"
    oidc    = { issuer = "https://kubernetes.default.svc" }
  }

  expect_failures = [var.network]
}

run "an_unknown_network" {
  command = plan

  variables {
    network = "bridge"
  }

  expect_failures = [var.network]
}
