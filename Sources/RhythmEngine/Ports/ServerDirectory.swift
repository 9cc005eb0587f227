public import RhythmCore

/// The servers that share a store, and which of them follows what: for whoever asks, from any thread. Reads of the store,
/// so they may block.
public protocol ServerDirectory: Sendable {
    /// The server that asks.
    var ownID: String { get }

    /// All servers that were heard of, this one included. Those that left in an orderly way are not among them.
    func servers() throws(StoreError) -> [ServerEntry]

    /// The server that follows a workflow; nil if there is no such workflow, or nothing more is to be done for it.
    func follower(of id: WorkflowID) throws(StoreError) -> Follower?
}
