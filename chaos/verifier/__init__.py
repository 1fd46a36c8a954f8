"""What came of every event, told by none of the services' own code: fastavro, Arrow, SQL and sums."""
