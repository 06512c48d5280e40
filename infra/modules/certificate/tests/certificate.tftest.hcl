run "generalized_time" {
  command = plan

  variables {
    pem = file("../../tests/ca.pem")
  }

  assert {
    condition     = output.not_after == "2106-01-01T00:00:00Z"
    error_message = "the module reads a four-digit year from 2050 on"
  }
}

run "utc_time_and_a_chain" {
  command = plan

  variables {
    pem = "Subject: some text before it\n${file("../../tests/ended-ca.pem")}${file("../../tests/ca.pem")}"
  }

  assert {
    condition     = output.not_after == "2026-02-01T12:30:05Z"
    error_message = "the module reads the first certificate"
  }
}

run "no_certificate" {
  command = plan

  variables {
    pem = "ca.pem"
  }

  assert {
    condition     = output.not_after == null
    error_message = "without a certificate, not_after is null"
  }
}
