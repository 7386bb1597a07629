from materia.testing.sink import SinkContract


class TestDuckDBSink(SinkContract):
    module = "materia_duckdb"
    plugin = "duckdb"
