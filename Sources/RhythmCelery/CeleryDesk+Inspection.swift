import RhythmCore
import RhythmEngine

// MARK: What workers hold, for whoever wants to know

extension CeleryDesk {
    /// How long an inspection may take: to get acquainted with the workers, and to get their answers.
    private static let inspectionPatience: Duration = .seconds(8)
    /// How long to wait for workers that nobody knows.
    private static let inspectionStrangers: Duration = .seconds(1)

    /// Looks around as soon as it is known who is there.
    func inspect(
        _ subjects: [WorkflowID: Inspection.Subject], _ answer: @escaping @Sendable (Inspection) -> Void
    ) {
        lastInspection += 1
        inspections.append(
            LookAround(
                number: lastInspection,
                deadline: now + configuration.times.acquaintance + Self.inspectionPatience, subjects: subjects,
                defaultQueue: configuration.defaultQueue, answer: answer))
    }

    /// Carries on with all of them.
    func advanceInspections() {
        for index in inspections.indices where !inspections[index].isAsked && isAcquainted {
            let number = inspections[index].number
            let queues = Set(inspections[index].queues.values)
            let expected = roster.expected(at: now)
            inspections[index].asked(
                expected, awaited: awaited(expected, for: inspections[index]),
                strangersUntil: now + Self.inspectionStrangers)
            ask(.active, .inspection(.active, number: number))
            ask(.reserved, .inspection(.reserved, number: number))
            ask(.scheduled, .inspection(.scheduled, number: number))
            ask(.queues, .inspection(.queues, number: number))
            // Whoever has told its queues by then is counted among those that take from them.
            for queue in queues { links.look(at: queue) }
        }
        let isOver = { [now] (one: LookAround) in one.deadline <= now || one.isComplete(now: now) }
        let over = inspections.filter(isOver)
        guard !over.isEmpty else { return }
        inspections.removeAll(where: isOver)
        for one in over {
            one.answer(one.inspection { relevance(answering: $0, consumers: $1, asked: $2) })
        }
    }

    /// The workers whose answers an inspection waits for: those that may have something of what it is about, and can be
    /// expected to answer at all.
    private func awaited(_ expected: Set<String>, for one: LookAround) -> Set<String> {
        var all = RelevanceRule.Subject(queues: Set(one.queues.values))
        for subject in one.subjects.values {
            all.seenBy.formUnion(subject.workers)
            if case .by(let worker) = subject.begun { all.seenBy.insert(worker) }
        }
        let rule = relevance()
        return expected.filter { !isMute($0) && !roster.isCutOff($0) && rule.counts($0, for: all) }
    }

    /// When something is to be done about an inspection.
    var nextInspectionDue: Duration? {
        inspections.map { one in
            if !one.isAsked {
                guard let listeningSince else { return one.deadline }
                return min(one.deadline, listeningSince + configuration.times.acquaintance)
            }
            return one.strangersUntil > now ? min(one.strangersUntil, one.deadline) : one.deadline
        }.min()
    }

    func take(_ part: LookAround.Part, number: Int, from node: String, _ value: JSONValue) {
        guard let index = inspections.firstIndex(where: { $0.number == number }) else { return }
        if part == .queues { takers.learn(value, of: node) }
        inspections[index].take(part, from: node, value)
    }

    func note(queue name: String, _ state: Evidence.Queue, consumers: Int?) {
        let seen: Inspection.Queue =
            switch state {
            case .missing: .missing
            case .holds(let count): .waiting(count)
            case .unknown(let reason): .unknown(reason)
            }
        for index in inspections.indices where inspections[index].isAsked {
            inspections[index].saw(queue: name, seen, consumers: consumers)
        }
    }

    /// Nobody will answer any more.
    func endInspections() {
        for one in inspections { one.answer(Inspection(trouble: "the server is shutting down")) }
        inspections = []
    }
}
