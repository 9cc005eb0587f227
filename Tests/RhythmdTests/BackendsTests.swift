import RhythmMongo
import Testing

@testable import rhythmd

@Suite struct BackendsTests {
    @Test(
        "one address without a database means another one for workflows than for results",
        arguments: [
            ("mongodb://db", "mongodb://db", "celery"), ("mongodb://db/", "mongodb://db/", "celery"),
            ("mongodb://db/flows", "mongodb://db/flows", nil), ("mongodb://db/celery", "mongodb://db", "celery"),
            ("mongodb://db/flows", "mongodb://other/flows", "flows"),
        ])
    func results(_ store: String, _ results: String, _ database: String?) throws {
        let pool = try Backends.pool(store, "store")
        #expect(try Backends.results(at: results, beside: pool, at: store)?.database == database)
    }
}
