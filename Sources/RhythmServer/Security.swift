import Glibc
package import RhythmAuth
package import RhythmTLS

/// How a server recognises its peers. Can be replaced while it runs.
package struct Security: Sendable {
    /// Decides who somebody is.
    package var authenticator: Authenticator
    /// What `tls://` endpoints speak; nil if there are none.
    package var tls: TLSContext?

    /// By default nothing is asked; unix sockets are for this process's user and for root.
    package init(
        authenticator: Authenticator = Authenticator(allowedUIDs: [geteuid(), 0]), tls: TLSContext? = nil
    ) {
        self.authenticator = authenticator
        self.tls = tls
    }

    /// The mode of a unix socket's file: open to all only where somebody else is allowed, and then every peer is looked
    /// at by the kernel's word.
    var unixSocketMode: UInt32 { authenticator.allowedUIDs.isSubset(of: [geteuid(), 0]) ? 0o600 : 0o666 }
}
