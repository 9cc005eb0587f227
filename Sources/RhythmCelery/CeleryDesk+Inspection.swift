import RhythmCore
import RhythmEngine

// MARK: What workers hold, for whoever wants to know

extension CeleryDesk {
    /// How long an inspection may take: to get acquainted with the workers, and to get their answers.
    private static let inspectionPatience: Duration = .seconds(8)
    /// How long to wait for workers that nobody knows.
    private static let inspectionStrangers: Duration = .seconds(1)

    /// Looks around as soon as it is known who is there.
    func inspect(_ names: Set<String?>, _ answer: @escaping @Sendable (Inspection) -> Void) {
        lastInspection += 1
        var queues: [String?: String] = [:]
        for name in names { queues[name] = name ?? configuration.defaultQueue }
        inspections.append(
            LookAround(
                number: lastInspection,
                deadline: now + configuration.times.acquaintance + Self.inspectionPatience, queues: queues,
                answer: answer))
    }

    /// Carries on with all of them.
    func advanceInspections() {
        for index in inspections.indices where inspections[index].expected == nil && isAcquainted {
            let number = inspections[index].number
            let queues = Set(inspections[index].queues.values)
            let expected = roster.expected(at: now).filter { mayTake($0, from: queues) }
            inspections[index].asked(expected, strangersUntil: now + Self.inspectionStrangers)
            ask(.active, .inspection(.active, number: number))
            ask(.reserved, .inspection(.reserved, number: number))
            ask(.scheduled, .inspection(.scheduled, number: number))
            for queue in Set(inspections[index].queues.values) { links.look(at: queue) }
        }
        let isOver = { [now] (one: LookAround) in one.deadline <= now || one.isComplete(now: now) }
        let over = inspections.filter(isOver)
        guard !over.isEmpty else { return }
        inspections.removeAll(where: isOver)
        for one in over { one.answer(one.inspection()) }
    }

    /// When something is to be done about an inspection.
    var nextInspectionDue: Duration? {
        inspections.map { one in
            if one.expected == nil {
                guard let listeningSince else { return one.deadline }
                return min(one.deadline, listeningSince + configuration.times.acquaintance)
            }
            return one.strangersUntil > now ? min(one.strangersUntil, one.deadline) : one.deadline
        }.min()
    }

    func take(_ part: LookAround.Part, number: Int, from node: String, _ value: JSONValue) {
        guard let index = inspections.firstIndex(where: { $0.number == number }) else { return }
        inspections[index].take(part, from: node, value)
    }

    func note(queue name: String, _ state: Evidence.Queue) {
        let seen: Inspection.Queue =
            switch state {
            case .missing: .missing
            case .holds(let count): .waiting(count)
            case .unknown(let reason): .unknown(reason)
            }
        for index in inspections.indices where inspections[index].expected != nil {
            inspections[index].saw(queue: name, seen)
        }
    }

    /// Nobody will answer any more.
    func endInspections() {
        for one in inspections { one.answer(Inspection(trouble: "the server is shutting down")) }
        inspections = []
    }
}
