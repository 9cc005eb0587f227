import RhythmCore
import RhythmMongo

/// What a write of a workflow must name, and how large its document is.
struct KnownWorkflow {
    var revision: Int64
    /// The workflow's version at that revision.
    var version: Int64
    var writer: String
    /// Bytes; never less than it really has.
    var size: Int
    var isSettled: Bool
    /// Its ``WorkflowDocument/mutableFields(_:writer:)`` as they are stored; empty if that is not known. Of a settled one
    /// they are not kept: it hardly changes again.
    var fields: BSONDocument = [:]
}

/// The workflows that this server read or wrote and may change.
///
/// Those that are settled are kept for a while, because somebody who reads one often changes it next; what is forgotten
/// is read again before it is changed.
struct KnownWorkflows {
    private static let settledKept = 10_000

    private var workflows: [WorkflowID: KnownWorkflow] = [:]
    private var settled: Set<WorkflowID> = []

    subscript(id: WorkflowID) -> KnownWorkflow? {
        get { workflows[id] }
        set {
            if settled.count >= Self.settledKept { forgetSettled() }
            workflows[id] = newValue
            if newValue?.isSettled == true { settled.insert(id) } else { settled.remove(id) }
        }
    }

    private mutating func forgetSettled() {
        for id in settled { workflows[id] = nil }
        settled = []
    }
}
