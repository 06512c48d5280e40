"""The folder of manifests for one cluster, from Terraform's outputs.

- `terraform_output` parses the outputs, and checks that they describe the cluster.
- `chosen_options` holds what the operator chooses, and reads it from the last run's kustomization.
- `rendering` makes the files from `templates`.
- `folder` compares them with the files of an operator's folder, and replaces only files that it wrote.
- `removal` names the objects that a change removes from the folder.
"""
