-- Finds runs of the CronJobs csr-renewal and csr-key-pairs that started, and logged neither their end nor an error. Such a
-- run was killed, for example because it exceeded its memory limit or its node failed. Each run has a pod of its own.
--
-- The query sees the entries of the day before its run. Kubernetes stops a CronJob's run after six hours, so its end may
-- be outside. So this policy checks only runs that started in the hours ${hours} (UTC). They are at least eleven
-- hours old. The other policy checks the rest.
SELECT
  project,
  location,
  cluster,
  namespace,
  pod
FROM (
  SELECT
    timestamp,
    JSON_VALUE(json_payload, '$.event') AS event,
    JSON_VALUE(TO_JSON(resource), '$.labels.project_id') AS project,
    JSON_VALUE(TO_JSON(resource), '$.labels.location') AS location,
    JSON_VALUE(TO_JSON(resource), '$.labels.cluster_name') AS cluster,
    JSON_VALUE(TO_JSON(resource), '$.labels.namespace_name') AS namespace,
    JSON_VALUE(TO_JSON(resource), '$.labels.pod_name') AS pod
  FROM `${view}`
  WHERE JSON_VALUE(TO_JSON(resource), '$.type') = 'k8s_container'
    AND JSON_VALUE(TO_JSON(resource), '$.labels.container_name') = 'signerctl'
) AS line
GROUP BY project, location, cluster, namespace, pod
HAVING COUNTIF(event = 'run_started' AND FORMAT_TIMESTAMP('%H', timestamp) ${hours}) > 0
  AND COUNTIF(event IN ('run_ended', 'renewal_stopped', 'key_pair_failed')) = 0
