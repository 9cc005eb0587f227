import RhythmCore
import RhythmEngine
public import Testing

/// What every ``Store`` has to do, as tests that run against any of them:
///
/// ```swift
/// @Test(arguments: StoreContract.allCases) func contract(_ check: StoreContract) throws {
///     try check.run(on: try MyFixture())
/// }
/// ```
///
/// Each case wants a fixture of its own, blocks, and prints its seed with every failure; `run(on:seed:)` repeats one.
public enum StoreContract: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case roundTrip, changesWithoutEvents, emptyBatch
    case refusesStoredID, refusesStoredRequest, refusesUnknown, refusesOldVersion
    case deletions, unsettled, requests, events, prefixes
    case lists, listsByUpdate, listEdges, counts
    case readersSeeCommits, closing, crash

    public var testDescription: String { rawValue }

    /// Runs this case on an empty database.
    public func run(on fixture: any StoreFixture, seed: UInt64? = nil) throws {
        let random = seed.map { SeededGenerator(seed: $0) } ?? .unseeded()
        let run = StoreContractRun(
            fixture: fixture, store: try fixture.open(), samples: WorkflowSamples(random), seed: random.seed)
        switch self {
        case .roundTrip: try run.roundTrip()
        case .changesWithoutEvents: try run.changesWithoutEvents()
        case .emptyBatch: try run.emptyBatch()
        case .refusesStoredID: try run.refusesStoredID()
        case .refusesStoredRequest: try run.refusesStoredRequest()
        case .refusesUnknown: try run.refusesUnknown()
        case .refusesOldVersion: try run.refusesOldVersion()
        case .deletions: try run.deletions()
        case .unsettled: try run.unsettled()
        case .requests: try run.requests()
        case .events: try run.events()
        case .prefixes: try run.prefixes()
        case .lists: try run.lists(sort: .createdAt)
        case .listsByUpdate: try run.lists(sort: .updatedAt)
        case .listEdges: try run.listEdges()
        case .counts: try run.counts()
        case .readersSeeCommits: try run.readersSeeCommits()
        case .closing: try run.closing()
        case .crash: try run.crash()
        }
    }
}

/// One run of one case: the store, what it must hold, and where its workflows come from.
final class StoreContractRun {
    let fixture: any StoreFixture
    var store: any Store
    var samples: WorkflowSamples
    var model = StoreModel()
    let seed: UInt64

    init(fixture: any StoreFixture, store: any Store, samples: WorkflowSamples, seed: UInt64) {
        self.fixture = fixture
        self.store = store
        self.samples = samples
        self.seed = seed
    }

    /// The comment of every expectation.
    var seeded: Comment { "seed \(seed)" }

    func commit(_ changes: [WorkflowChange], deletions: [WorkflowID] = []) throws {
        let batch = CommitBatch(changes: changes, deletions: deletions)
        let refused = try store.commit(batch)
        #expect(refused == [], seeded)
        model.apply(batch)
    }

    /// Stores a few dozen workflows with random histories, in random batches that mix them.
    func fill(workflows count: Int, length: ClosedRange<Int> = 1...25) throws {
        var histories = (0..<count).map { _ in
            let length = Int.random(in: length, using: &samples.random)
            return samples.history(length: length)[...]
        }
        while !histories.isEmpty {
            var changes: [WorkflowChange] = []
            let most = Int.random(in: 1...max(1, count / 2), using: &samples.random)
            for index in histories.indices.shuffled(using: &samples.random).prefix(most) {
                if let change = histories[index].popFirst() { changes.append(change) }
            }
            try commit(changes)
            histories.removeAll { $0.isEmpty }
        }
    }

    /// The store holds what the model holds, all of it and no more.
    func expectAll(sourceLocation: SourceLocation = #_sourceLocation) throws {
        for (id, workflow) in model.workflows {
            let loaded = try store.load(id)
            #expect(loaded == workflow, seeded, sourceLocation: sourceLocation)
            #expect(try store.reader.load(id) == workflow, seeded, sourceLocation: sourceLocation)
            let events = try store.reader.events(of: id, after: 0, limit: .max)
            #expect(events == model.events[id], seeded, sourceLocation: sourceLocation)
        }
        let ids = try store.reader.ids(withPrefix: "", limit: .max)
        #expect(ids == model.workflows.keys.sorted(), seeded, sourceLocation: sourceLocation)
        let unsettled = model.workflows.values.filter { !$0.isSettled }
        let loaded = try store.loadUnsettled()
        #expect(loaded.count == unsettled.count, seeded, sourceLocation: sourceLocation)
        #expect(Set(loaded) == Set(unsettled), seeded, sourceLocation: sourceLocation)
        #expect(
            try store.reader.counts(WorkflowFilter()) == model.counts(WorkflowFilter()), seeded,
            sourceLocation: sourceLocation)
    }

    /// A part of a batch that contradicts what is stored is refused and leaves nothing, and the store goes on. Whether
    /// the others share its fate is told by the fixture.
    func expectConflict(
        _ contradiction: WorkflowChange, between others: [WorkflowChange],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let middle = others.count / 2
        let changes = Array(others[..<middle]) + [contradiction] + Array(others[middle...])
        if fixture.storesBatchesWhole {
            let error = #expect(throws: StoreError.self, seeded, sourceLocation: sourceLocation) {
                try self.store.commit(CommitBatch(changes: changes))
            }
            #expect(error?.code == .conflict, seeded, sourceLocation: sourceLocation)
            #expect(error?.outcomeUnknown == false, seeded, sourceLocation: sourceLocation)
        } else {
            let refused = try store.commit(CommitBatch(changes: changes))
            #expect(refused == [contradiction.workflow.id], seeded, sourceLocation: sourceLocation)
            model.apply(CommitBatch(changes: others))
        }
        try expectAll(sourceLocation: sourceLocation)
        try commit([samples.start()])
        try expectAll(sourceLocation: sourceLocation)
    }
}
