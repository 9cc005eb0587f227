import RhythmWire

/// Who may connect, and how he is recognised: the files that say so. They are read at the start and again on SIGHUP.
struct SecuritySettings: Equatable {
    /// Certificate and key of the server, and the CA of its clients.
    struct TLS: Equatable {
        /// PEM, the server's own certificate first.
        var certificate: String
        /// PEM.
        var key: String
        /// PEM; nil if clients are not asked for certificates.
        var clientCA: String?
    }

    /// The tokens file; nil if nobody is asked for a token.
    var tokens: String?
    /// Nil if TLS is not spoken.
    var tls: TLS?
    /// Users that may use the unix sockets; nil for the one that the server runs as, and root.
    var allowUIDs: [UInt32]?

    /// Somebody who connects over TCP has to show something.
    var authenticates: Bool { tokens != nil || tls?.clientCA != nil }
}

extension PartialSettings {
    /// Checks what goes together.
    func securitySettings() throws(SettingsError) -> SecuritySettings {
        var security = SecuritySettings(tokens: tokens, allowUIDs: allowUIDs)
        switch (tlsCert, tlsKey) {
        case (let certificate?, let key?):
            security.tls = SecuritySettings.TLS(certificate: certificate, key: key, clientCA: tlsClientCA)
        case (nil, nil):
            guard tlsClientCA == nil else {
                throw SettingsError("tls_client_ca: needs the server's own certificate too: tls_cert and tls_key")
            }
        case (_, nil): throw SettingsError("tls_key: is missing; tls_cert needs it")
        case (nil, _): throw SettingsError("tls_cert: is missing; tls_key needs it")
        }
        return security
    }

    /// Reads the addresses, and refuses those where other machines could connect without showing anything.
    func endpoints(
        _ security: SecuritySettings, insecure: Bool, _ isLoopback: (String) -> Bool
    ) throws(SettingsError) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        for text in listen ?? [Endpoint.standard.description] {
            guard let endpoint = Endpoint(text, tls: security.tls != nil) else {
                throw SettingsError("listen: '\(text)' is neither HOST:PORT, tls://HOST:PORT nor unix:PATH")
            }
            switch endpoint {
            case .tls(let host, _):
                guard security.tls != nil else {
                    throw SettingsError("listen: '\(text)' needs a certificate: tls_cert and tls_key")
                }
                guard security.authenticates || insecure || isLoopback(host) else { throw Self.open(host) }
            case .tcp(let host, _):
                // A certificate of the client is shown in TLS only.
                guard security.tokens != nil || insecure || isLoopback(host) else { throw Self.open(host) }
            case .unix: break
            }
            endpoints.append(endpoint)
        }
        guard !endpoints.isEmpty else { throw SettingsError("listen: the list is empty; name at least one address") }
        return endpoints
    }

    private static func open(_ host: String) -> SettingsError {
        SettingsError(
            "listen: '\(host)' can be reached from other machines, and no authentication is configured for it;"
                + " listen on 127.0.0.1 or on a unix socket, give --tokens FILE, or --tls-cert, --tls-key and"
                + " --tls-client-ca, or --insecure if the network is trusted")
    }

    /// Reads user ids.
    static func uids(_ entries: [String], source: String) throws(SettingsError) -> [UInt32] {
        var uids: [UInt32] = []
        for entry in entries {
            guard let uid = UInt32(entry) else { throw unusable(source, entry, "a user's number") }
            uids.append(uid)
        }
        return uids
    }
}
