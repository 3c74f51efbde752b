"""Networks that no tenant may name, whatever a cluster allows."""

from __future__ import annotations

METADATA = (
    # Link-local: Amazon's, Google's, Azure's, Hetzner's, DigitalOcean's and OpenStack's instance metadata
    # (169.254.169.254), Amazon's container credentials (169.254.170.2) and EKS Pod Identity (169.254.170.23).
    "169.254.0.0/16",
    # Azure's WireServer: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    "168.63.129.16/32",
    # Alibaba Cloud's metadata address.
    "100.100.100.200/32",
    # Oracle Cloud's older metadata address.
    "192.0.0.192/32",
    # Amazon's over IPv6, and EKS Pod Identity's.
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
    # Google's over IPv6: https://cloud.google.com/compute/docs/metadata/querying-metadata
    "fd20:ce::254/128",
    "fe80::/10",
)
"""Where clouds hand out credentials to whoever asks from a node."""
