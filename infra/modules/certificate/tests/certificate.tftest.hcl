run "generalized_time" {
  command = plan

  variables {
    pem = file("../../tests/ca.pem")
  }

  assert {
    condition     = output.not_after == "2106-01-01T00:00:00Z"
    error_message = "years from 2050 are written with four digits"
  }
}

run "utc_time_and_a_chain" {
  command = plan

  variables {
    pem = "Subject: some text before it\n${file("../../tests/ended-ca.pem")}${file("../../tests/ca.pem")}"
  }

  assert {
    condition     = output.not_after == "2026-02-01T12:30:05Z"
    error_message = "the first certificate counts"
  }
}

run "nothing" {
  command = plan

  variables {
    pem = "ca.pem"
  }

  assert {
    condition     = output.not_after == null
    error_message = "what is no certificate has no end"
  }
}
