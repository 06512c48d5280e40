mock_provider "google" {}
mock_provider "time" {}

variables {
  audit_project            = "example-audit"
  crypto_keys              = ["projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico"]
  exporter_projects        = ["example-cluster", "example-audit"]
  function_project         = "example-workload"
  function_service_account = "csr-signer@example-workload.iam.gserviceaccount.com"
  key_project              = "example-keys"
  location                 = "europe-west1"
  service_location         = "europe-west1"
  service_name             = "csr-signer"
}

run "all_logs_are_collected" {
  command = plan

  assert {
    condition     = toset(keys(google_logging_project_sink.audit)) == toset(["function", "kms", "exporter-example-cluster", "exporter-example-audit"])
    error_message = "one sink for each project and purpose"
  }

  assert {
    condition     = toset(keys(google_project_iam_member.sink)) == toset(["function", "kms", "exporter-example-cluster"])
    error_message = "a sink in the bucket's own project gets no grant"
  }

  assert {
    condition     = alltrue([for member in google_project_iam_member.sink : member.role == "roles/logging.bucketWriter" && length(member.condition) == 1])
    error_message = "a sink may only write into this bucket"
  }

  assert {
    condition     = toset([for log in google_project_iam_audit_config.kms.audit_log_config : log.log_type]) == toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"]) && alltrue([for log in google_project_iam_audit_config.kms.audit_log_config : length(coalesce(log.exempted_members, [])) == 0])
    error_message = "KMS logs every use of keys, without exemptions"
  }

  assert {
    condition     = google_logging_project_bucket_config.audit.locked == false && google_logging_project_bucket_config.audit.retention_days == 400
    error_message = "records stay for 400 days, and by default the bucket is not locked"
  }

  assert {
    condition     = length(setsubtract(keys(google_logging_metric.audit), keys(local.filters))) == 0
    error_message = "every metric has its filter"
  }

  assert {
    condition     = length(setsubtract([for name in keys(local.filters) : name if !startswith(name, "sink_")], keys(google_logging_metric.audit))) == 0
    error_message = "every filter but those of the sinks has its metric"
  }

  assert {
    condition     = length(google_monitoring_alert_policy.silent) == 1
    error_message = "with exporter_projects, silent exporters cause an alert"
  }

  assert {
    condition     = length(google_monitoring_alert_policy.unrecorded_signatures.conditions) == 2
    error_message = "one of the two conditions checks each minute of an hour"
  }
}

run "an_open_incident_hides_no_other" {
  command = plan

  assert {
    condition     = toset(one(one(one(google_monitoring_alert_policy.found["refused_attack"].conditions).condition_threshold).aggregations).group_by_fields) == toset(["metric.label.cluster", "metric.label.reason"])
    error_message = "an attacker who keeps an incident open hides no other cluster and no other kind"
  }

  assert {
    condition     = contains(one(one(one(google_monitoring_alert_policy.silent[0].conditions).condition_absent).aggregations).group_by_fields, "metric.label.cluster")
    error_message = "silent exporters of one cluster cause an alert although other exporters send status"
  }

  assert {
    condition     = endswith(one(one(google_monitoring_alert_policy.failing.conditions).condition_threshold).denominator_filter, " AND metric.label.event=one_of(\"issued\", \"abandoned\", \"fault\")")
    error_message = "a flood of refusals does not hide failures"
  }
}

run "the_filters_are_filled_in" {
  command = plan

  assert {
    condition     = alltrue([for filter in values(local.filters) : !can(regex("[$][{]", filter)) && length(filter) <= 20000])
    error_message = "every placeholder has a value, and no filter exceeds Cloud Logging's limit"
  }

  assert {
    condition     = strcontains(google_logging_metric.audit["foreign_key_use"].filter, "NOT protoPayload.authenticationInfo.principalEmail=\"csr-signer@example-workload.iam.gserviceaccount.com\"")
    error_message = "every other principal than the function causes an alert when it uses a key"
  }

  assert {
    condition     = strcontains(google_logging_metric.audit["foreign_key_use"].filter, "^(projects/[^/]+/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico)/cryptoKeyVersions/")
    error_message = "the filter matches a key by its project's ID and by its number"
  }

  assert {
    condition     = google_logging_metric.audit["issued"].value_extractor == "EXTRACT(jsonPayload.age_seconds)" && google_logging_metric.audit["records"].value_extractor == null
    error_message = "only the metric of certificates has a value; the others count"
  }
}

run "without_exporter_projects_silence_is_no_alert" {
  command = plan

  variables {
    exporter_projects = []
  }

  assert {
    condition     = length(google_monitoring_alert_policy.silent) == 0
    error_message = "without exporter_projects there is no alert on silent exporters"
  }
}

run "a_key_of_another_project_is_refused" {
  command = plan

  variables {
    crypto_keys = ["projects/other/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico"]
  }

  expect_failures = [var.crypto_keys]
}

run "a_key_version_is_refused" {
  command = plan

  variables {
    crypto_keys = ["projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico/cryptoKeyVersions/1"]
  }

  expect_failures = [var.crypto_keys]
}

run "a_principal_with_a_prefix_is_refused" {
  command = plan

  variables {
    function_service_account = "serviceAccount:csr-signer@example-workload.iam.gserviceaccount.com"
  }

  expect_failures = [var.function_service_account]
}

run "a_zone_is_refused" {
  command = plan

  variables {
    location = "europe-west1-b"
  }

  expect_failures = [var.location]
}

run "numbers_out_of_range_are_refused" {
  command = plan

  variables {
    retention_days              = 0
    signatures_per_pod_and_hour = 0
    undelivered_seconds         = 0.5
  }

  expect_failures = [var.retention_days, var.signatures_per_pod_and_hour, var.undelivered_seconds]
}

run "malformed_names_are_refused" {
  command = plan

  variables {
    audit_project         = "123"
    exporter_namespace    = "CSR"
    exporter_projects     = ["x"]
    function_project      = "Example"
    notification_channels = ["somebody@example.com"]
  }

  expect_failures = [var.audit_project, var.exporter_namespace, var.exporter_projects, var.function_project, var.notification_channels]
}
