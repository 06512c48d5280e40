-- Requests for signatures under the function's name that its records do not explain: the CSR, hash and key version have no
-- record, or Cloud KMS logged more requests than the records count attempts (kms_attempts). The second finds a stolen
-- token that repeats a recorded reason. Requests that Cloud KMS refused count too, because each is a recorded attempt:
-- otherwise a rogue signature could take the place of a failed attempt.
--
-- Cloud Logging may deliver an entry twice. Time and insert_id make it one entry: a copy of a record must explain nothing.
--
-- The query sees what arrived since its last run. A signature close to an edge may have its records on the other side, so
-- each condition leaves out reasons that were signed only in some minutes of the hour, and the other condition, whose edges
-- are elsewhere, looks at them.
-- An intent without an outcome (the function was killed, or the outcome is on the other side of the edge) explains up to
-- ${attempts} requests: `signerctl reconcile` over a longer time sees the outcome.
SELECT
  used.key_version,
  used.reason,
  used.requests,
  recorded.attempts
FROM (
  SELECT key_version, reason, COUNT(*) AS requests
  FROM (
    SELECT DISTINCT
      timestamp,
      insert_id,
      JSON_VALUE(TO_JSON(proto_payload), '$.audit_log.resource_name') AS key_version,
      JSON_VALUE(TO_JSON(proto_payload), '$.audit_log.request_metadata.request_attributes.reason') AS reason
    FROM `${view}`
    WHERE JSON_VALUE(TO_JSON(proto_payload), '$.audit_log.method_name') = 'AsymmetricSign'
      AND JSON_VALUE(TO_JSON(proto_payload), '$.audit_log.authentication_info.principal_email') = '${function_service_account}'
  ) AS request
  GROUP BY key_version, reason
  HAVING COUNTIF(FORMAT_TIMESTAMP('%M', timestamp) ${minutes}) > 0
) AS used
LEFT JOIN (
  SELECT
    key_version,
    reason,
    COUNTIF(event = 'intent') - COUNT(attempts) AS open_intents,
    IFNULL(SUM(attempts), 0) AS attempts
  FROM (
    SELECT DISTINCT
      timestamp,
      insert_id,
      JSON_VALUE(json_payload, '$.key_version') AS key_version,
      CONCAT('csr-uid=', JSON_VALUE(json_payload, '$.csr_uid'), ';tbs-sha256=', JSON_VALUE(json_payload, '$.tbs_sha256')) AS reason,
      JSON_VALUE(json_payload, '$.event') AS event,
      CAST(JSON_VALUE(json_payload, '$.kms_attempts') AS INT64) AS attempts
    FROM `${view}`
    WHERE JSON_VALUE(TO_JSON(resource), '$.type') = 'cloud_run_revision'
      AND JSON_VALUE(json_payload, '$.event') IN ('intent', 'issued', 'abandoned')
  ) AS record
  GROUP BY key_version, reason
) AS recorded
  ON recorded.key_version = used.key_version
  AND recorded.reason = used.reason
WHERE recorded.reason IS NULL
  OR used.requests > recorded.attempts + ${attempts} * GREATEST(recorded.open_intents, 0)
