# Terraform cannot parse certificates, and a provider for it would be one more program to trust. We need only the end of
# the first certificate, so this module searches the DER for its Validity.
locals {
  alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  sextets  = merge({ "=" = 0 }, zipmap(split("", local.alphabet), range(64)))

  armoured = try(regex("(?s)-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", var.pem)[0], "")
  base64   = replace(local.armoured, "/\\s/", "")

  # Two characters are twelve bits: three hexadecimal digits.
  hexadecimal = try(join("", [
    for pair in chunklist(split("", local.base64), 2) : format("%03x", 64 * local.sextets[pair[0]] + local.sextets[pair[1]])
  ]), "")

  # RFC 5280 4.1.2.5: SEQUENCE of two times, each UTCTime (YYMMDDhhmmssZ) or GeneralizedTime (YYYYMMDDhhmmssZ).
  # The names around it can contain any bytes, but a certificate that imitates a Validity fools only its owner.
  end = try(regex(
    "30(?:1e|20|22)(?:170d(?:3[0-9]){12}|180f(?:3[0-9]){14})5a(?:170d((?:3[0-9]){12})|180f((?:3[0-9]){14}))5a",
    local.hexadecimal
  ), [null, null])
  utc_time         = local.end[0] == null ? null : replace(local.end[0], "/3([0-9])/", "$1")
  generalized_time = local.end[1] == null ? null : replace(local.end[1], "/3([0-9])/", "$1")

  # RFC 5280 4.1.2.5.1: two-digit years below 50 are 20xx.
  digits = try(coalesce(
    local.generalized_time,
    local.utc_time == null ? null : "${tonumber(substr(local.utc_time, 0, 2)) < 50 ? "20" : "19"}${local.utc_time}",
  ), "")
  not_after = try(join("", [
    regex("^(....)(..)(..)", local.digits)[0], "-", substr(local.digits, 4, 2), "-", substr(local.digits, 6, 2), "T",
    substr(local.digits, 8, 2), ":", substr(local.digits, 10, 2), ":", substr(local.digits, 12, 2), "Z",
  ]), null)
}
