from materia_testing.contracts.sink import SinkContract


class TestDuckDBSink(SinkContract):
    module = "materia_duckdb"
    plugin = "duckdb"
