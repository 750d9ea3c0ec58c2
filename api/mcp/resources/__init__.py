"""The files and manifests of datasets as resources."""
