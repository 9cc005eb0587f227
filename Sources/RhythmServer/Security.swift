import Glibc
package import RhythmAuth

/// How a server recognises its peers. Can be replaced while it runs.
package struct Security: Sendable {
    /// Decides who somebody is.
    package var authenticator: Authenticator

    /// Nothing is asked; unix sockets are for this process's user and for root.
    package init(authenticator: Authenticator = Authenticator(allowedUIDs: [geteuid(), 0])) {
        self.authenticator = authenticator
    }

    /// The mode of a unix socket's file: open to all only where somebody else is allowed, and then every peer is looked
    /// at by the kernel's word.
    var unixSocketMode: UInt32 { authenticator.allowedUIDs.isSubset(of: [geteuid(), 0]) ? 0o600 : 0o666 }
}
