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

run "everything_is_collected" {
  command = plan

  assert {
    condition     = toset(keys(google_logging_project_sink.audit)) == toset(["function", "kms", "exporter-example-cluster", "exporter-example-audit"])
    error_message = "one sink for each project and purpose"
  }

  assert {
    condition     = toset(keys(google_project_iam_member.sink)) == toset(["function", "kms", "exporter-example-cluster"])
    error_message = "a sink within the bucket's own project has no identity to be granted anything"
  }

  assert {
    condition     = alltrue([for member in google_project_iam_member.sink : member.role == "roles/logging.bucketWriter" && length(member.condition) == 1])
    error_message = "a sink may write into this bucket and do nothing else"
  }

  assert {
    condition     = toset([for log in google_project_iam_audit_config.kms.audit_log_config : log.log_type]) == toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"]) && alltrue([for log in google_project_iam_audit_config.kms.audit_log_config : length(coalesce(log.exempted_members, [])) == 0])
    error_message = "all use of keys is logged, and nobody is exempt"
  }

  assert {
    condition     = google_logging_project_bucket_config.audit.locked == false && google_logging_project_bucket_config.audit.retention_days == 400
    error_message = "records are kept for 400 days, and the bucket is locked only where somebody says so"
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
    error_message = "where exporters are heard, their silence is an alarm"
  }

  assert {
    condition     = length(google_monitoring_alert_policy.unrecorded_signatures.conditions) == 2
    error_message = "each minute of an hour is looked at by one of two conditions"
  }
}

run "an_alarm_hides_behind_no_other" {
  command = plan

  assert {
    condition     = toset(one(one(one(google_monitoring_alert_policy.found["refused_attack"].conditions).condition_threshold).aggregations).group_by_fields) == toset(["metric.label.cluster", "metric.label.reason"])
    error_message = "an incident that an attacker opened and keeps open is no other cluster's and no other kind's"
  }

  assert {
    condition     = contains(one(one(one(google_monitoring_alert_policy.silent[0].conditions).condition_absent).aggregations).group_by_fields, "metric.label.cluster")
    error_message = "one cluster's exporters fall silent by themselves, whatever others say"
  }

  assert {
    condition     = endswith(one(one(google_monitoring_alert_policy.failing.conditions).condition_threshold).denominator_filter, " AND metric.label.event=one_of(\"issued\", \"abandoned\", \"fault\")")
    error_message = "a flood of refusals hides no failures"
  }
}

run "the_filters_are_filled_in" {
  command = plan

  assert {
    condition     = alltrue([for filter in values(local.filters) : !can(regex("[$][{]", filter)) && length(filter) <= 20000])
    error_message = "no name is left over, and none is longer than Cloud Logging takes"
  }

  assert {
    condition     = strcontains(google_logging_metric.audit["foreign_key_use"].filter, "NOT protoPayload.authenticationInfo.principalEmail=\"csr-signer@example-workload.iam.gserviceaccount.com\"")
    error_message = "only the function uses a key without an alert"
  }

  assert {
    condition     = strcontains(google_logging_metric.audit["foreign_key_use"].filter, "^(projects/[^/]+/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico)/cryptoKeyVersions/")
    error_message = "a key is the same by whichever name of its project"
  }

  assert {
    condition     = google_logging_metric.audit["issued"].value_extractor == "EXTRACT(jsonPayload.age_seconds)" && google_logging_metric.audit["records"].value_extractor == null
    error_message = "certificates have an age, other metrics count"
  }
}

run "a_deaf_deployment_is_not_alarmed_by_silence" {
  command = plan

  variables {
    exporter_projects = []
  }

  assert {
    condition     = length(google_monitoring_alert_policy.silent) == 0
    error_message = "what is never heard cannot fall silent"
  }
}

run "a_key_of_another_project_is_refused" {
  command = plan

  variables {
    crypto_keys = ["projects/other/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico"]
  }

  expect_failures = [var.crypto_keys]
}

run "a_key_version_is_no_key" {
  command = plan

  variables {
    crypto_keys = ["projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico/cryptoKeyVersions/1"]
  }

  expect_failures = [var.crypto_keys]
}

run "a_prefixed_principal_would_match_nothing" {
  command = plan

  variables {
    function_service_account = "serviceAccount:csr-signer@example-workload.iam.gserviceaccount.com"
  }

  expect_failures = [var.function_service_account]
}

run "a_zone_is_no_location" {
  command = plan

  variables {
    location = "europe-west1-b"
  }

  expect_failures = [var.location]
}

run "numbers_have_bounds" {
  command = plan

  variables {
    retention_days              = 0
    signatures_per_pod_and_hour = 0
    undelivered_seconds         = 0.5
  }

  expect_failures = [var.retention_days, var.signatures_per_pod_and_hour, var.undelivered_seconds]
}

run "other_names_have_forms" {
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
