public import RhythmEngine

/// What the store contract needs of an implementation beyond ``Store`` itself: to begin empty, and to end in two ways.
///
/// One fixture is one database. It cleans up after itself when it is released.
public protocol StoreFixture: AnyObject {
    /// Whether a batch is stored whole or not at all, and a part that contradicts what is stored makes the store throw.
    /// Else each workflow's part is stored for itself, and `commit` returns those that are not; see ``Store``.
    var storesBatchesWhole: Bool { get }

    /// By how much the contract is to cut down its amounts of random work: more than 1 for a store with a slow way to
    /// it.
    var thrift: Int { get }

    /// Opens the database; the first time it is empty. At most one store is open at a time.
    func open() throws -> any Store

    /// Closes the store that was opened last, in order.
    func close() throws

    /// Ends the store that was opened last as `kill -9` would: what its commits had promised is there, nothing
    /// is written or tidied up any more.
    func crash() throws
}

extension StoreFixture {
    public var storesBatchesWhole: Bool { true }
    public var thrift: Int { 1 }
}
