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
    /// It was settled at some time, so there may be a row of it.
    var mayHaveRow: Bool
    /// It began as the Python library's.
    var isAdopted: Bool
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

extension WorkflowID {
    /// Whether it has the form of those that are made up, which nobody makes up twice.
    var looksRandom: Bool {
        let bytes = rawValue.utf8
        guard bytes.count == 36 else { return false }
        return bytes.enumerated().allSatisfy { index, byte in
            switch index {
            case 8, 13, 18, 23: byte == UInt8(ascii: "-")
            case 14: byte == UInt8(ascii: "4")
            default: (48...57).contains(byte) || (97...102).contains(byte)
            }
        }
    }
}
