"""How clients connect: what would send a password as it is, or is issued to nobody, is no setting."""

import pytest
from pydantic import ValidationError

from weaklink.kafka_options import KafkaConfig

LOGIN = {"security_protocol": "SASL_SSL", "username": "party.my-lab", "password": "x"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_nobody_logs_in_by_another_mechanism_than_secrets_are_issued_for(mechanism: str) -> None:
    """Secrets are made for SCRAM-SHA-512 alone."""
    with pytest.raises(ValidationError, match="SCRAM-SHA-512"):
        KafkaConfig.model_validate(LOGIN | {"sasl_mechanism": mechanism})
    assert KafkaConfig.model_validate(LOGIN).client_options()["sasl_mechanism"] == "SCRAM-SHA-512"
