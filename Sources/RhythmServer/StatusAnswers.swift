import RhythmCore
import RhythmWire

/// Encoded answers to GetStatus, kept until their workflow changes or another server follows it: whoever asks for a
/// status asks for it again, and to encode a record costs more than everything else of the call.
///
/// Only what was read from the engine's memory may be kept: the engine changes that before it publishes, and what it
/// published is taken off here, on the same lane that answers, before any answer to the command behind it goes out. So
/// nobody reads what is older than what he was told. An answer is kept the second time that it is asked for. Lives on
/// the server's lane.
struct StatusAnswers {
    /// All together; above it everything is forgotten, and begins again.
    static let bytesMax = 8 << 20

    private struct Entry {
        var includesPreviousAttempts: Bool
        var omitsResults: Bool
        var appID: String
        var version: Int64
        /// Nil while it was asked for once.
        var body: EncodedBody?
    }

    private var entries: [WorkflowID: Entry] = [:]
    private var bytes = 0

    /// What is known to be the answer to somebody with this scope.
    func answer(to get: GetStatus, within scope: AppScope) -> EncodedBody? {
        guard get.waitAfterVersion == nil, let entry = entries[get.workflowID], Self.isSame(entry, get),
            entry.version >= get.atLeastVersion ?? 0, scope.contains(entry.appID)
        else { return nil }
        return entry.body
    }

    /// Takes an answer that was just made, and gives it back encoded if it will be kept.
    mutating func keep(_ reply: GetStatusReply, to get: GetStatus, limit: Int) -> EncodedBody? {
        guard let entry = entries[get.workflowID], Self.isSame(entry, get) else {
            forget(get.workflowID)
            if bytes + 256 * entries.count > Self.bytesMax { self = Self() }
            entries[get.workflowID] = Entry(
                includesPreviousAttempts: get.includePreviousAttempts, omitsResults: get.omitResults,
                appID: reply.workflow.appID, version: reply.workflow.version)
            return nil
        }
        let body = EncodedBody(.reply(.getStatus(reply)))
        // With any call id; what is near the limit goes the usual way, which says so to the client.
        guard body.bytes.count + 16 <= min(limit, Self.bytesMax / 8) else { return nil }
        bytes += body.bytes.count
        entries[get.workflowID]?.body = body
        return body
    }

    /// The workflow changed.
    mutating func forget(_ id: WorkflowID) {
        guard !entries.isEmpty, let entry = entries.removeValue(forKey: id) else { return }
        bytes -= entry.body?.bytes.count ?? 0
    }

    private static func isSame(_ entry: Entry, _ get: GetStatus) -> Bool {
        entry.includesPreviousAttempts == get.includePreviousAttempts && entry.omitsResults == get.omitResults
    }
}
