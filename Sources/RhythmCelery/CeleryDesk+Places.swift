import Logging
import RhythmCore

// MARK: Where workers store results and send events

extension CeleryDesk {
    /// The configuration with what the workers have said.
    var learnedConfiguration: CeleryConfiguration {
        var learned = configuration
        learned.resultsCollection = places.used[.resultsCollection] ?? learned.resultsCollection
        learned.eventExchange = places.used[.eventExchange] ?? learned.eventExchange
        return learned
    }

    /// As many names are enough to tell which workers are ours.
    private static let tasksSeenMax = 1_000

    /// A step came.
    func see(task: String) {
        guard tasksSeen.count < Self.tasksSeenMax, tasksSeen.insert(task).inserted else { return }
        judgePlaces()
    }

    /// Takes a worker's answer to `conf`.
    func learn(settings: JSONValue, of node: String) {
        guard let settings = WorkerSettings(settings) else { return }
        places.learn(settings, of: node)
        judgePlaces()
    }

    /// Follows the workers where they agree, and says so where they do not.
    func judgePlaces() {
        let verdicts = places.judge { node in
            if configuration.ignoredWorkers.contains(node) { return false }
            // As long as no step has come, only a worker that takes from our own queue is known to be ours.
            return tasksSeen.isEmpty
                ? takers.takes(node, from: configuration.defaultQueue) == true : kinds.knows(node, anyOf: tasksSeen)
        }
        for verdict in verdicts {
            switch verdict {
            case .use(.resultsCollection, let name):
                logger.notice("the workers store results in the collection '\(name)': it is read from now on")
                results.move(to: name)
                polls.wakeAll(now: now)
            case .use(.eventExchange, let name):
                guard configuration.usesEvents else { continue }
                logger.notice("the workers send events to the exchange '\(name)': they are heard there from now on")
                links.hearEvents(of: name)
            case .differ(let place, let used, let others):
                let said = others.sorted { $0.key < $1.key }.map { "\($0.key) says '\($0.value)'" }
                logger.warning(
                    """
                    \(place.setting) is '\(used)' here, but \(said.joined(separator: ", ")): give \(place.option), or let all \
                    workers name the same
                    """)
            }
        }
    }
}
