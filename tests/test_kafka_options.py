"""How clients connect: what would send a password as it is, or is issued to nobody, is no setting."""

import pytest
from pydantic import ValidationError

from weaklink.errors import ConfigurationError
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import load_settings

LOGIN = {"security_protocol": "SASL_SSL", "username": "party.my-lab", "password": "x"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_nobody_logs_in_by_another_mechanism_than_secrets_are_issued_for(mechanism: str) -> None:
    """Secrets are made for SCRAM-SHA-512 alone."""
    with pytest.raises(ValidationError, match="SCRAM-SHA-512"):
        KafkaConfig.model_validate(LOGIN | {"sasl_mechanism": mechanism})
    assert KafkaConfig.model_validate(LOGIN).client_options()["sasl_mechanism"] == "SCRAM-SHA-512"


@pytest.mark.parametrize(
    "servers", ["localhost:abc", "localhost:0", "localhost:70000", "a:1,b:", "a:1,,b:1", "", "a b:1", "::1"]
)
def test_what_is_no_address_of_a_broker_is_told_as_the_setting_that_it_is(
    servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients would raise what nobody expects, each at another place."""
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", servers)
    with pytest.raises(ConfigurationError, match=r"^WEAKLINK_KAFKA__BOOTSTRAP_SERVERS: .* is no address of a broker"):
        load_settings()


@pytest.mark.parametrize("servers", ["kafka", "kafka-1:9092, kafka-2:9092", "10.0.0.1:1", "[::1]:9092", "SASL_SSL://a.b:9093"])  # fmt: skip
def test_addresses_as_people_write_them_are_taken(servers: str) -> None:
    assert KafkaConfig(bootstrap_servers=servers).bootstrap_servers == servers
