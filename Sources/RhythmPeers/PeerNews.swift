import RhythmCore
import RhythmEngine

/// What one server tells the others after it has stored something, as the body of a message.
///
/// Transitions are told by version only: whoever is interested reads the store, which is the truth, and so finds what an
/// earlier message would have told had it not been lost. Progress is told in full, because it is stored late.
struct PeerNews {
    var server: String
    var incarnation: String
    var foreign: [Publication.ForeignChange]
    var progress: [Publication.ProgressUpdate]
    var deleted: [WorkflowID]
    /// Something that was told before may have been lost: the store is to be looked into.
    var isRecheck = false

    static func recheck(server: String, incarnation: String) -> Self {
        var news = Self(
            server: server, incarnation: incarnation, Publication(foreign: [], progress: [], deleted: []))
        news.isRecheck = true
        return news
    }

    init(server: String, incarnation: String, _ publication: Publication) {
        self.server = server
        self.incarnation = incarnation
        foreign = publication.changes.map { .init(id: $0.workflow.id, version: $0.workflow.version) }
        progress = publication.progress
        deleted = publication.deleted
    }

    var isEmpty: Bool { foreign.isEmpty && progress.isEmpty && deleted.isEmpty && !isRecheck }

    var publication: Publication {
        var publication = Publication(foreign: foreign, progress: progress, deleted: deleted)
        publication.mayHaveMissed = isRecheck
        return publication
    }

    var text: String {
        let recheck: [JSONValue.Member] = isRecheck ? [.init("recheck", .bool(true))] : []
        return JSONValue.object(
            [
                .init("server", .string(server)), .init("incarnation", .string(incarnation)),
                .init(
                    "changed",
                    .array(foreign.map { .array([.string($0.id.rawValue), .integer($0.version)]) })),
                .init("deleted", .array(deleted.map { .string($0.rawValue) })),
                .init("progress", .array(progress.map(\.json))),
            ] + recheck
        ).compactText
    }

    /// Nil for what is no news: another program may publish to the exchange too.
    init?(_ body: [UInt8]) {
        guard let json = try? JSON(parsing: String(decoding: body, as: UTF8.self)).value,
            let server = json["server"]?.stringValue
        else { return nil }
        self.server = server
        // Servers of before do not say it.
        incarnation = json["incarnation"]?.stringValue ?? ""
        foreign = (json["changed"]?.arrayValue ?? []).compactMap { entry in
            guard let pair = entry.arrayValue, pair.count == 2, let id = pair[0].stringValue,
                let version = pair[1].intValue
            else { return nil }
            return .init(id: WorkflowID(id), version: version)
        }
        isRecheck = json["recheck"] == .bool(true)
        deleted = (json["deleted"]?.arrayValue ?? []).compactMap { $0.stringValue.map { WorkflowID($0) } }
        progress = (json["progress"]?.arrayValue ?? []).compactMap { Publication.ProgressUpdate($0) }
    }
}

extension Publication.ProgressUpdate {
    fileprivate var json: JSONValue {
        let state = progress.state
        return .object([
            .init("workflow", .string(workflowID.rawValue)), .init("step", .string(step)),
            .init("task", .string(taskID.rawValue)), .init("version", .integer(version)),
            .init("name", .string(state.name)), .init("units", .string(state.units)), .init("done", .float(state.done)),
            .init("total", state.total.map { .float($0) } ?? .null),
            .init("first_at", .integer(state.firstAt.microseconds)),
            .init("updated_at", .integer(state.updatedAt.microseconds)),
            .init("first_done", .float(state.firstDone)), .init("weighted_sum", .float(state.weightedSum)),
            .init("weight", .float(state.weight)),
            .init("reported", state.reported.map { .string($0.text) } ?? .null),
        ])
    }

    fileprivate init?(_ json: JSONValue) {
        func text(_ name: String) -> String? { json[name]?.stringValue }
        func time(_ name: String) -> Timestamp? { json[name]?.intValue.map { Timestamp(microseconds: $0) } }
        func number(_ name: String) -> Double? { json[name]?.doubleValue }
        guard let workflow = text("workflow"), let step = text("step"), let task = text("task"),
            let version = json["version"]?.intValue, let name = text("name"), let units = text("units"),
            let done = number("done"), let firstAt = time("first_at"), let updatedAt = time("updated_at"),
            let firstDone = number("first_done"), let sum = number("weighted_sum"), let weight = number("weight")
        else { return nil }
        self.init(
            workflowID: WorkflowID(workflow), step: step, taskID: TaskID(task), version: version,
            progress: Progress(
                restoring: Progress.State(
                    name: name, units: units, done: done, total: number("total"), firstAt: firstAt,
                    updatedAt: updatedAt, firstDone: firstDone, weightedSum: sum, weight: weight,
                    reported: text("reported").flatMap { try? JSON(parsing: $0) })))
    }
}
