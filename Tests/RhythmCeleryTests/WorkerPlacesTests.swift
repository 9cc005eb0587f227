import RhythmCore
import Testing

@testable import RhythmCelery

/// What is made of the names that workers say.
@Suite struct WorkerPlacesTests {
    private func settings(_ collection: String?, _ exchange: String = "celeryev") throws -> WorkerSettings {
        let own = collection.map { #""mongodb_backend_settings": {"taskmeta_collection": "\#($0)"},"# } ?? ""
        let backend = collection == nil ? "rpc://" : "mongodb://h/celery"
        let answer = try JSON(parsing: #"{\#(own) "result_backend": "\#(backend)", "event_exchange": "\#(exchange)"}"#)
        return try #require(WorkerSettings(answer.value))
    }

    private func places(_ change: (inout CeleryConfiguration) -> Void = { _ in }) -> WorkerPlaces {
        var configuration = CeleryConfiguration(broker: "", results: "", serverID: "s")
        change(&configuration)
        return WorkerPlaces(configuration)
    }

    @Test func whatAllSayIsUsed() throws {
        var places = places()
        #expect(places.judge { _ in true } == [])
        places.learn(try settings("celery_taskmeta"), of: "w0")
        #expect(places.judge { _ in true } == [])
        places.learn(try settings("mine", "ours"), of: "w0")
        places.learn(try settings("mine", "ours"), of: "w1")
        places.learn(try settings(nil, "ours"), of: "w2")
        #expect(places.judge { _ in true } == [.use(.resultsCollection, "mine"), .use(.eventExchange, "ours")])
        #expect(places.used == [.resultsCollection: "mine", .eventExchange: "ours"])
        #expect(places.judge { _ in true } == [], "once")
        // And back, when all of them have changed.
        for worker in ["w0", "w1", "w2"] { places.learn(try settings("other", "ours"), of: worker) }
        #expect(places.judge { _ in true } == [.use(.resultsCollection, "other")])
    }

    @Test func whereTheyDifferNothingChanges() throws {
        var places = places()
        places.learn(try settings("mine"), of: "w0")
        places.learn(try settings("yours"), of: "w1")
        let differ = WorkerPlaces.Verdict.differ(
            .resultsCollection, used: "celery_taskmeta", ["w0": "mine", "w1": "yours"])
        #expect(places.judge { _ in true } == [differ])
        #expect(places.judge { _ in true } == [] && places.used[.resultsCollection] == "celery_taskmeta")
        // One of them turns out to be of another application, or is gone.
        #expect(places.judge { $0 == "w0" } == [.use(.resultsCollection, "mine")])
        places.forget("w0")
        #expect(!places.knows("w0") && places.knows("w1"))
    }

    @Test func whatIsGivenStays() throws {
        var places = places {
            $0.resultsCollection = "given"
            $0.learnsResultsCollection = false
        }
        places.learn(try settings("mine"), of: "w0")
        #expect(places.judge { _ in true } == [.differ(.resultsCollection, used: "given", ["w0": "mine"])])
        #expect(places.used[.resultsCollection] == "given")
        #expect(places.judge { _ in false } == [])
    }
}
