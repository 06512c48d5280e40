# tests/linters/test_tflint.py runs tflint with this file in every folder of Terraform files. The ruleset for Google's
# resources is missing: tflint downloads it from GitHub as a plugin, and it is not available as a Go module. A stand-in
# for the provider checks the resources' arguments instead (README.md, "What is tested").
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Our files are named for their content, such as keys.tf. An example has few files that a deployer reads from top to
# bottom.
rule "terraform_standard_module_structure" {
  enabled = false
}

# The root module and the examples repeat their modules' providers, so that one file shows every provider with its
# versions. The test enables this rule in infra/modules.
rule "terraform_unused_required_providers" {
  enabled = false
}
