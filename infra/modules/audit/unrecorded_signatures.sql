-- Finds signature requests with the function's identity that have no record. Either no record has the CSR, hash and key
-- version, or Cloud KMS logged more requests than the records' kms_attempts. The second rule finds a thief of a token who
-- repeats a recorded reason. Refused requests count too, because the records count them as attempts: otherwise a rogue
-- signature could take the place of a refused attempt.
--
-- Cloud Logging may deliver an entry twice. Time, insert_id and content identify an entry, so that a copy of a record explains
-- nothing, and no entry of another log hides one of Cloud KMS.
--
-- A principal that may write logs in the function's project can forge records (docs/evidence.md). A kms_attempts that is not a
-- number from 0 to 999 counts like a missing one: it explains no request. With a failed cast or an overflow of the sum, the
-- query would fail, and the alert would be blind.
--
-- The query sees the entries of the hour before its run. The records of a signature near the start or end of this hour may
-- be outside it. So this policy checks only signatures of the minutes ${minutes}, at least ten minutes
-- from both ends. The other policy checks the rest.
-- An intent without an outcome explains up to ${attempts} requests: the function was killed, or the outcome is outside the
-- period. `signerctl reconcile` over a longer period sees the outcome.
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
      CAST(REGEXP_EXTRACT(JSON_VALUE(json_payload, '$.kms_attempts'), '^([0-9]{1,3})(?:[.]0+)?$') AS INT64) AS attempts
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
