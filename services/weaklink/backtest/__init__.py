"""The stages without Kafka: events from files replayed in event time, causally, through the stages' own functions."""
