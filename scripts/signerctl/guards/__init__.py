"""The guards: admission policies that protect the signer's CSRs, its Events and the exporter's pods.

`guarded` reads what they protect from the configuration, `manifest` writes them as YAML. docs/guards.md explains them.
"""
