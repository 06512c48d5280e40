# tflint's own rules on every folder of Terraform files: tests/linters/test_tflint.py. The ruleset for Google's resources is not
# here: tflint downloads it as a plugin from GitHub, and no Go module has it. A test double checks the resources' arguments
# instead (infra/README.md, "What is tested").
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Our files are named for their content, such as keys.tf. An example is one file that a deployer reads from top to bottom.
rule "terraform_standard_module_structure" {
  enabled = false
}

# The root module and the examples repeat their modules' providers, so that one file shows every provider and its versions.
# The test enables this rule in infra/modules.
rule "terraform_unused_required_providers" {
  enabled = false
}
