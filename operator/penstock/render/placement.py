"""Where pods run and how their images are pulled."""

from collections.abc import Mapping

from penstock.api.runtime import Placement, Resources
from penstock.world import Manifest


def placed(placement: Placement) -> Manifest:
    """The fields of a pod's spec; what is left out is left to the cluster."""
    written = placement.model_dump(mode="json", exclude_defaults=True)
    return {field: value for field, value in written.items() if value}


def spread(labels: Mapping[str, str]) -> Manifest:
    """Keep pods with these labels on different nodes where that is possible."""
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(labels)},
            }
        ]
    }


def resources_of(resources: Resources) -> Manifest:
    """`resources` of a container."""
    return resources.model_dump(mode="json", exclude_defaults=True)
