package import RhythmCore

/// Decides who somebody is, from what his hello and his connection show. A value: a reload makes a new one.
package struct Authenticator: Sendable {
    /// What a connection says about its peer before any frame was read.
    package struct Evidence: Sendable, Hashable {
        /// The user at the other end of a unix socket, as the kernel says; nil over TCP.
        package var uid: UInt32?
        /// It is a unix socket.
        package var isUnix: Bool
        /// The subject of the certificate that the TLS handshake verified.
        package var certificate: String?

        package init(uid: UInt32? = nil, isUnix: Bool = false, certificate: String? = nil) {
            self.uid = uid
            self.isUnix = isUnix
            self.certificate = certificate
        }
    }

    /// Tokens and certificates; nil if no tokens file is configured.
    package var list: AccessList?
    /// Users that may use the unix sockets.
    package var allowedUIDs: Set<UInt32>
    /// TLS asks its clients for certificates.
    package var verifiesCertificates: Bool

    package init(list: AccessList? = nil, allowedUIDs: Set<UInt32>, verifiesCertificates: Bool = false) {
        self.list = list
        self.allowedUIDs = allowedUIDs
        self.verifiesCertificates = verifiesCertificates
    }

    /// Decides, in this order:
    ///
    /// 1. Over a unix socket the user must be allowed, whatever else he shows.
    /// 2. If there is a tokens file, a token that is given must be in it, and makes the caller. It goes before a
    ///    certificate and before the user, so that somebody can do with less than he has.
    /// 3. A verified certificate must be in the tokens file, and makes the caller; without such a file every certificate
    ///    of the client CA may do everything.
    /// 4. A user of the unix socket may do everything.
    /// 5. Where tokens or certificates are configured, nobody else gets in; elsewhere everybody may do everything.
    package func authenticate(token text: String, _ evidence: Evidence) -> Result<Caller, RhythmError> {
        if evidence.isUnix {
            guard let uid = evidence.uid, allowedUIDs.contains(uid) else {
                return .failure(
                    RhythmError(
                        .permissionDenied, reason: "UID",
                        "uid \(evidence.uid.map { "\($0)" } ?? "?") may not use this socket; see --allow-uid of rhythmd"
                    ))
            }
        }
        if let list, !text.isEmpty {
            guard let token = Token(text), let entry = list.entry(for: token) else {
                return .failure(
                    RhythmError(.unauthenticated, reason: "BAD_TOKEN", "the server does not know this token"))
            }
            return .success(entry.caller)
        }
        if let subject = evidence.certificate {
            guard let list else {
                return .success(
                    Caller(.certificate(name: subject, subject: subject), role: .admin, scope: .all))
            }
            guard let entry = list.entry(forCertificate: subject) else {
                return .failure(
                    RhythmError(
                        .unauthenticated, reason: "UNKNOWN_CERTIFICATE",
                        "the tokens file of the server has no certificate '\(subject)', and no token was given"))
            }
            return .success(entry.caller)
        }
        if let uid = evidence.uid { return .success(Caller(.user(uid: uid), role: .admin, scope: .all)) }
        guard list == nil, !verifiesCertificates else {
            return .failure(
                RhythmError(
                    .unauthenticated, reason: "NO_TOKEN",
                    list == nil ? "the server asks for a certificate" : "the server asks for a token"))
        }
        return .success(.anyone)
    }

    /// Whether somebody who was let in would still be, and with the same rights. Asked after a reload; whoever would not
    /// has to come again.
    package func stillHolds(_ caller: Caller) -> Bool {
        switch caller.identity {
        case .anyone: list == nil && !verifiesCertificates
        case .user(let uid): allowedUIDs.contains(uid)
        case .token: caller.entry.map { list?.entries.contains($0) == true } ?? false
        case .certificate: caller.entry.map { list?.entries.contains($0) == true } ?? (list == nil)
        }
    }
}
