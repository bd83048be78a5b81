"""Where a session's media may be sent: one rule for RTMP servers and WebSockets."""

from config.load import ConfigurationError
from config.settings import Settings
from sfu.target_policy import TargetPolicy, networks


def egress_policy(settings: Settings) -> TargetPolicy:
    """Errors: `ConfigurationError`."""
    try:
        return TargetPolicy(networks(settings.egress.allowed_networks))
    except ValueError as cause:
        raise ConfigurationError(
            "egress.allowed_networks must be space-separated networks such as 10.0.0.0/8"
        ) from cause
