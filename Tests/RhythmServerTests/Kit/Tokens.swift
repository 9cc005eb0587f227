import RhythmAuth
import RhythmCore
import RhythmServer

/// Makes the tokens of a test, and the security that knows them.
struct Tokens {
    private(set) var entries: [AccessEntry] = []

    /// A token's text.
    mutating func make(_ role: Role, _ scope: AppScope = .all, name: String? = nil) -> String {
        let (token, entry) = AccessEntry.make(
            name: name ?? "\(role.rawValue) \(entries.count)", role: role, scope: scope,
            createdAt: Timestamp(microseconds: 1))
        entries.append(entry)
        return token.revealed
    }

    /// Adds an entry that is made elsewhere.
    mutating func add(_ entry: AccessEntry) { entries.append(entry) }

    /// From now on whoever has the token with this name is not let in.
    mutating func revoke(_ name: String) { entries.removeAll { $0.name == name } }

    func list() throws -> AccessList { try AccessList(text: entries.map { $0.line + "\n" }.joined()) }

    func security() throws -> Security {
        var security = Security()
        security.authenticator.list = try list()
        return security
    }
}
