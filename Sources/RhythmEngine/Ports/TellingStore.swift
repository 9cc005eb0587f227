/// A store that several servers share, and through which each of them knows whether it hears of what the others do.
///
/// What a server stores it tells the others, by other ways than the store. It says with its proofs of life whether they
/// hear it; while one of them is not heard, the others look into the store before they say what is true.
public protocol TellingStore: SharedStore {
    /// The others do not hear what this server does; they learn of that with its next proof.
    var isMute: Bool { get set }

    /// Looks at the other servers.
    func surroundings() throws(StoreError) -> Surroundings
}

/// What a server has to know of the others.
public struct Surroundings: Sendable, Hashable {
    /// Since it was looked last a server has gone, or has begun anew: it may have stored what it told nobody.
    public var somebodyLeft = false
    /// A server that lives is not heard by the others.
    public var somebodyIsMute = false

    /// Nothing is wrong.
    public init() {}
}
