/// Where the workers say that they store results and send events.
///
/// What all of them agree on is used, unless somebody has said otherwise: an application that renames one of these in its
/// settings need not say so twice. Workers of other applications may share the broker, so only those count that know a
/// task of ours.
struct WorkerPlaces {
    /// What is looked for and asked for, one of each kind.
    enum Place: CaseIterable, Hashable, Sendable {
        case resultsCollection, eventExchange

        /// As it is called in Celery's settings.
        var setting: String {
            switch self {
            case .resultsCollection: "taskmeta_collection"
            case .eventExchange: "event_exchange"
            }
        }

        /// The option of the server that says it.
        var option: String {
            switch self {
            case .resultsCollection: "--results-collection"
            case .eventExchange: "--event-exchange"
            }
        }
    }

    /// What is to be done about what the workers say.
    enum Verdict: Hashable, Sendable {
        /// All agree on another name, and nobody has said that it is wrong.
        case use(Place, String)
        /// Some name another one than is used; by worker.
        case differ(Place, used: String, [String: String])
    }

    private var said: [String: [Place: String]] = [:]
    private(set) var used: [Place: String]
    private let learns: Set<Place>
    /// What was told already is not told again.
    private var told: [Place: Set<Set<String>>] = [:]

    init(_ configuration: CeleryConfiguration) {
        used = [
            .resultsCollection: configuration.resultsCollection, .eventExchange: configuration.eventExchange,
        ]
        var learns: Set<Place> = []
        if configuration.learnsResultsCollection { learns.insert(.resultsCollection) }
        if configuration.learnsEventExchange { learns.insert(.eventExchange) }
        self.learns = learns
    }

    /// Takes a worker's answer to `conf`.
    mutating func learn(_ settings: WorkerSettings, of worker: String) {
        var places: [Place: String] = [:]
        places[.resultsCollection] = settings.resultPlace?.collection
        places[.eventExchange] = settings.eventExchange
        said[worker] = places
    }

    /// Forgets a worker that is gone, or starts anew.
    mutating func forget(_ worker: String) { said[worker] = nil }

    /// Whether a worker has told its settings.
    func knows(_ worker: String) -> Bool { said[worker] != nil }

    /// What is new about the workers that count.
    mutating func judge(_ counts: (_ worker: String) -> Bool) -> [Verdict] {
        let counting = said.filter { counts($0.key) }
        return Place.allCases.compactMap { place in
            let names = counting.compactMapValues { $0[place] }
            guard let used = used[place], names.values.contains(where: { $0 != used }) else { return nil }
            let verdict: Verdict
            if learns.contains(place), Set(names.values).count == 1, let name = names.values.first {
                self.used[place] = name
                verdict = .use(place, name)
            } else {
                verdict = .differ(place, used: used, names.filter { $0.value != used })
            }
            let isNew = told[place, default: []].insert(Set(names.values)).inserted
            return isNew || self.used[place] != used ? verdict : nil
        }
    }
}
