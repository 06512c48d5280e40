-- Signatures under the function's name of which there is no record with the same CSR, hash and key version.
--
-- The query sees what arrived since its last run. Records are written before and after a signature, so that one of them
-- is there, unless the signature is so close to an edge that its records arrived on the other side: signatures of some
-- minutes of the hour are left to the other condition, whose edges are elsewhere.
SELECT
  kms.timestamp AS signed,
  JSON_VALUE(TO_JSON(kms.proto_payload), '$.audit_log.resource_name') AS key_version,
  JSON_VALUE(TO_JSON(kms.proto_payload), '$.audit_log.request_metadata.request_attributes.reason') AS reason
FROM `${view}` AS kms
LEFT JOIN (
  SELECT DISTINCT
    JSON_VALUE(json_payload, '$.key_version') AS key_version,
    CONCAT('csr-uid=', JSON_VALUE(json_payload, '$.csr_uid'), ';tbs-sha256=', JSON_VALUE(json_payload, '$.tbs_sha256')) AS reason
  FROM `${view}`
  WHERE JSON_VALUE(TO_JSON(resource), '$.type') = 'cloud_run_revision'
    AND JSON_VALUE(json_payload, '$.event') IN ('intent', 'issued', 'abandoned')
) AS record
  ON record.key_version = JSON_VALUE(TO_JSON(kms.proto_payload), '$.audit_log.resource_name')
  AND record.reason = JSON_VALUE(TO_JSON(kms.proto_payload), '$.audit_log.request_metadata.request_attributes.reason')
WHERE JSON_VALUE(TO_JSON(kms.proto_payload), '$.audit_log.method_name') = 'AsymmetricSign'
  AND JSON_VALUE(TO_JSON(kms.proto_payload), '$.audit_log.authentication_info.principal_email') = '${function_service_account}'
  AND FORMAT_TIMESTAMP('%M', kms.timestamp) ${minutes}
  AND record.reason IS NULL
