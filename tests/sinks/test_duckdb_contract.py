from materia_testing.contracts.sink import SinkContract


class TestDuckDBSink(SinkContract):
    module = "materia_duckdb"
    package = "materia_duckdb materia_store.folder"
    plugin = "duckdb"
