package import RhythmCore

/// Who is at the other end of a connection, and what he may do. Settled when the connection's hello is accepted.
///
/// A class only so that every call of a connection can be handed it for the price of one reference.
package final class Caller: Sendable, Equatable {
    /// How he was recognised.
    package enum Identity: Sendable, Hashable {
        /// Nobody asked: no authentication is configured.
        case anyone
        /// The process of a user of this machine, over a unix socket.
        case user(uid: UInt32)
        /// Somebody who has this token.
        case token(id: String, name: String)
        /// Somebody who has the key of this certificate.
        case certificate(name: String, subject: String)
    }

    package let identity: Identity
    package let role: Role
    /// The applications he may see and act for.
    package let scope: AppScope
    /// The entry of the tokens file that says so; nil if none does.
    package let entry: AccessEntry?

    package init(_ identity: Identity, role: Role, scope: AppScope, entry: AccessEntry? = nil) {
        self.identity = identity
        self.role = role
        self.scope = scope
        self.entry = entry
    }

    /// Nobody: may do nothing. What a connection has before its hello was accepted.
    package static let nobody = Caller(.anyone, role: .read, scope: .only([]))
    /// Everybody, where nobody has to say who he is.
    package static let anyone = Caller(.anyone, role: .admin, scope: .all)

    package static func == (lhs: Caller, rhs: Caller) -> Bool {
        lhs === rhs
            || (lhs.identity == rhs.identity && lhs.role == rhs.role && lhs.scope == rhs.scope
                && lhs.entry == rhs.entry)
    }

    /// For messages and logs; holds no secret.
    package var description: String {
        switch identity {
        case .anyone: "anyone"
        case .user(let uid): "uid \(uid)"
        case .token(let id, let name): "token '\(name)' (\(id))"
        case .certificate(let name, _): "certificate '\(name)'"
        }
    }
}
