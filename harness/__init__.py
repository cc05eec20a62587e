"""What tests, benchmarks and tools share: bakes, brokers, servers, a browser and a terminal."""
