mock_provider "google" {}
mock_provider "time" {}

mock_provider "google-beta" {
  override_during = plan

  mock_resource "google_project_service_identity" {
    defaults = { member = "serviceAccount:service-1@gcp-sa-monitoring-notification.iam.gserviceaccount.com" }
  }
}

variables {
  audit_project            = "example-audit"
  crypto_keys              = ["projects/example-keys/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico"]
  exporter_projects        = ["example-cluster", "example-audit"]
  function_project         = "example-workload"
  function_service_account = "csr-signer@example-workload.iam.gserviceaccount.com"
  key_project              = "example-keys"
  location                 = "europe-west1"
  service_name             = "csr-signer"
}

run "all_logs_are_collected" {
  command = plan

  assert {
    condition     = toset(keys(google_logging_project_sink.audit)) == toset(["function", "kms", "exporter-example-cluster", "exporter-example-audit"])
    error_message = "one sink for each project and purpose"
  }

  assert {
    condition     = toset(keys(google_project_iam_member.sink)) == toset(["example-workload", "example-keys", "example-cluster"])
    error_message = "the bucket's own project gets no grant"
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
}

run "every_run_of_a_cron_job_is_checked_once_a_day" {
  command = plan

  assert {
    condition     = toset([for policy in google_monitoring_alert_policy.unfinished_runs : one(one(one(one(policy.conditions).condition_sql).daily).execution_time).hours]) == toset([5, 17])
    error_message = "two policies, half a day apart"
  }

  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.unfinished_runs : one(one(one(policy.conditions).condition_sql).daily).periodicity == 1 && strcontains(one(one(policy.conditions).condition_sql).query, "FROM `example-audit.europe-west1.csr-signer-audit._AllLogs`")])
    error_message = "the SQL reads a day of this bucket"
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
    condition     = strcontains(google_monitoring_alert_policy.found["foreign_key_use"].documentation[0].content, "The entries, also those of other keys:") && !strcontains(jsonencode([for policy in google_monitoring_alert_policy.found : policy.documentation]), "/cryptoKeys/calico")
    error_message = "no text grows with the number of keys"
  }

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

run "without_exporter_projects_no_alert_reads_the_clusters_logs" {
  command = plan

  variables {
    exporter_projects = []
  }

  assert {
    condition     = length(google_monitoring_alert_policy.silent) == 0 && length(google_monitoring_alert_policy.unfinished_runs) == 0
    error_message = "without exporter_projects there is no alert on silent exporters and unfinished runs"
  }
}

run "google_allows_one_sql_condition_in_a_policy" {
  command = plan

  assert {
    condition     = length(google_monitoring_alert_policy.unrecorded_signatures) == 2 && alltrue([for policy in google_monitoring_alert_policy.unrecorded_signatures : length(policy.conditions) == 1])
    error_message = "each of the two runs of an hour is a policy with one condition"
  }

  assert {
    condition     = toset([for policy in google_monitoring_alert_policy.unrecorded_signatures : one(one(one(policy.conditions).condition_sql).hourly).minute_offset]) == toset([5, 35])
    error_message = "the provider sends no offset of 0"
  }

  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.unrecorded_signatures : strcontains(one(one(policy.conditions).condition_sql).query, "FROM `example-audit.europe-west1.csr-signer-audit._AllLogs`")])
    error_message = "the SQL reads this bucket"
  }
}

run "the_agent_that_runs_sql_exists_and_may_read" {
  command = plan

  assert {
    condition     = google_project_service_identity.monitoring.project == "example-audit" && google_project_service_identity.monitoring.service == "monitoring.googleapis.com"
    error_message = "a new project has no service agent of Cloud Monitoring before Terraform asks for it"
  }

  assert {
    condition     = google_project_iam_member.monitoring.role == "roles/monitoring.notificationServiceAgent" && google_project_iam_member.monitoring.project == "example-audit"
    error_message = "the agent may use the project"
  }

  assert {
    condition     = google_bigquery_dataset_iam_member.monitoring.role == "roles/bigquery.dataViewer" && google_bigquery_dataset_iam_member.monitoring.dataset_id == "csr_signer_audit" && google_bigquery_dataset_iam_member.monitoring.project == "example-audit"
    error_message = "the agent may read the linked dataset, and no other"
  }

  assert {
    condition     = toset([google_project_iam_member.monitoring.member, google_bigquery_dataset_iam_member.monitoring.member]) == toset(["serviceAccount:service-1@gcp-sa-monitoring-notification.iam.gserviceaccount.com"])
    error_message = "both grants are for the agent"
  }

  assert {
    condition     = time_sleep.monitoring.create_duration == "120s" && time_sleep.metrics.create_duration == "600s"
    error_message = "policies wait for the grants, and until Cloud Monitoring knows the metrics"
  }
}

run "a_grant_belongs_to_a_project_and_not_to_a_sink" {
  command = plan

  variables {
    exporter_projects = ["example-cluster", "example-workload"]
    key_project       = "example-workload"
    crypto_keys       = ["projects/example-workload/locations/europe-west1/keyRings/csr-signer/cryptoKeys/calico"]
  }

  assert {
    condition     = length(google_logging_project_sink.audit) == 4 && toset(keys(google_project_iam_member.sink)) == toset(["example-cluster", "example-workload"])
    error_message = "three sinks of one project share one grant"
  }

  assert {
    condition     = local.writers["example-workload"] == ["exporter-example-workload", "function", "kms"]
    error_message = "a later exporter's sink comes first in the list, and the grant uses the last"
  }
}

run "without_a_key_of_your_own_google_encrypts" {
  command = plan

  assert {
    condition     = length(google_logging_project_bucket_config.audit.cmek_settings) == 0 && length(google_kms_crypto_key_iam_member.encrypt) == 0
    error_message = "no key, no grant"
  }
}

run "the_bucket_is_encrypted_with_your_key" {
  command = plan

  variables {
    encryption_key = "projects/example-keys/locations/europe-west1/keyRings/storage/cryptoKeys/at-rest"
  }

  assert {
    condition     = one(google_logging_project_bucket_config.audit.cmek_settings).kms_key_name == var.encryption_key
    error_message = "the bucket has the key"
  }

  assert {
    condition     = google_kms_crypto_key_iam_member.encrypt[0].crypto_key_id == var.encryption_key && google_kms_crypto_key_iam_member.encrypt[0].role == "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    error_message = "Cloud Logging's service agent, which is known after apply, may use the key"
  }

  assert {
    condition     = time_sleep.encryption[0].create_duration == "60s"
    error_message = "the bucket waits for the grant"
  }
}

run "a_key_in_another_location_is_refused" {
  command = plan

  variables {
    encryption_key = "projects/example-keys/locations/us-central1/keyRings/storage/cryptoKeys/at-rest"
  }

  expect_failures = [var.encryption_key]
}

run "a_second_deployment_fits_into_the_same_projects" {
  command = plan

  variables {
    link_key_project = false
    name             = "edge-signer"
  }

  assert {
    condition     = google_logging_project_bucket_config.audit.bucket_id == "edge-signer-audit" && google_logging_linked_dataset.audit.link_id == "edge_signer_audit"
    error_message = "bucket and dataset have the name"
  }

  assert {
    condition     = alltrue([for sink in google_logging_project_sink.audit : startswith(sink.name, "edge-signer-")]) && alltrue([for metric in google_logging_metric.audit : startswith(metric.name, "edge_signer/")])
    error_message = "sinks and metrics have the name"
  }

  assert {
    condition     = google_monitoring_custom_service.signer.service_id == "edge-signer" && google_monitoring_custom_service.signer.display_name == "edge-signer" && startswith(google_monitoring_slo.issued_in_time.display_name, "edge-signer: ")
    error_message = "service and objective have the name"
  }

  assert {
    condition = alltrue([for policy in concat(
      values(google_monitoring_alert_policy.found),
      values(google_monitoring_alert_policy.objective),
      values(google_monitoring_alert_policy.unfinished_runs),
      values(google_monitoring_alert_policy.unrecorded_signatures),
      google_monitoring_alert_policy.silent,
      [google_monitoring_alert_policy.failing, google_monitoring_alert_policy.quota, google_monitoring_alert_policy.signatures_per_pod],
    ) : startswith(policy.display_name, "edge-signer: ")])
    error_message = "an alert says which deployment it is about"
  }

  assert {
    condition     = alltrue([for name, filter in local.metric_filters : strcontains(filter, "/user/edge_signer/${name}\"")])
    error_message = "alerts and objective read this deployment's metrics"
  }

  assert {
    condition     = jsondecode(google_monitoring_dashboard.signer.dashboard_json).displayName == "edge-signer" && strcontains(google_monitoring_dashboard.signer.dashboard_json, "/user/edge_signer/issued") && !strcontains(google_monitoring_dashboard.signer.dashboard_json, "csr_signer")
    error_message = "the dashboard has the name, and reads this deployment's metrics"
  }

  assert {
    condition     = strcontains(google_project_iam_member.sink["example-keys"].condition[0].expression, "/buckets/edge-signer-audit") && strcontains(output.view, ".edge-signer-audit.")
    error_message = "grants and outputs name this deployment's bucket"
  }

  assert {
    condition     = length(google_monitoring_monitored_project.key) == 0
    error_message = "the first deployment linked the key's project"
  }
}

run "the_default_names_stay" {
  command = plan

  assert {
    condition     = google_logging_project_bucket_config.audit.bucket_id == "csr-signer-audit" && google_logging_linked_dataset.audit.link_id == "csr_signer_audit" && google_logging_project_sink.audit["kms"].name == "csr-signer-kms" && google_logging_metric.audit["issued"].name == "csr_signer/issued" && google_monitoring_custom_service.signer.service_id == "csr-signer"
    error_message = "Terraform would replace resources with other names"
  }
}

run "the_quota_of_the_keys_project_is_watched" {
  command = plan

  assert {
    condition     = google_monitoring_monitored_project.key[0].metrics_scope == "example-audit" && google_monitoring_monitored_project.key[0].name == "example-keys"
    error_message = "the audit project sees the metrics of the keys' project"
  }

  assert {
    condition = alltrue([for text in ["quota_rate_net_usage{monitored_resource=\"consumer_quota\", service=\"cloudkms.googleapis.com\", project_id=\"example-keys\"}", "quota_limit{monitored_resource=\"consumer_quota\", service=\"cloudkms.googleapis.com\", project_id=\"example-keys\"}", " > 0.8"] :
      strcontains(one(one(google_monitoring_alert_policy.quota.conditions).condition_prometheus_query_language).query, text)
    ])
    error_message = "the alert compares use with limit, of Cloud KMS in the keys' project"
  }
}

run "the_keys_in_the_audit_project_need_no_link" {
  command = plan

  variables {
    audit_project = "example-keys"
  }

  assert {
    condition     = length(google_monitoring_monitored_project.key) == 0
    error_message = "a project is in its own metrics scope"
  }
}

run "labels_are_on_everything_that_takes_them" {
  command = plan

  variables {
    labels = { team = "platform" }
  }

  assert {
    condition = alltrue([for resource in concat(
      values(google_monitoring_alert_policy.found),
      values(google_monitoring_alert_policy.objective),
      values(google_monitoring_alert_policy.unfinished_runs),
      values(google_monitoring_alert_policy.unrecorded_signatures),
      google_monitoring_alert_policy.silent,
      [google_monitoring_alert_policy.failing, google_monitoring_alert_policy.quota, google_monitoring_alert_policy.signatures_per_pod, google_monitoring_custom_service.signer, google_monitoring_slo.issued_in_time],
    ) : resource.user_labels == tomap({ team = "platform" })])
    error_message = "policies, service and objective have the labels"
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
    labels                = { Team = "platform" }
    name                  = "CSR"
    notification_channels = ["somebody@example.com"]
  }

  expect_failures = [var.audit_project, var.exporter_namespace, var.exporter_projects, var.function_project, var.labels, var.name, var.notification_channels]
}
