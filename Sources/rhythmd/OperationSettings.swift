import RhythmWire

/// How the server is looked after while it runs.
struct OperationSettings: Equatable {
    /// How log lines look.
    var logFormat = LogFormat.text
    /// Where what is counted can be read over HTTP; nil if nowhere.
    var metrics: Endpoint?
    /// Connections that are older are asked to come again; nil for no limit.
    var maxConnectionAge: Duration?
    /// Watches that are older end, and their clients resume them; nil for no limit.
    var maxWatchAge: Duration?
    /// How long a start waits for a store that is away; nil for as long as it takes.
    var startTimeout: Duration?
    /// Whether reads are answered from memory while the store is away and others may have changed it.
    var allowsStaleReads = false
    /// Whether it may start beside a server whose settings and its own do harm together.
    var allowsDifferentSettings = false
}

extension PartialSettings {
    /// Checks what is about operations.
    func operationSettings(
        insecure: Bool, _ isLoopback: (String) -> Bool
    ) throws(SettingsError) -> OperationSettings {
        var operation = OperationSettings()
        if let logFormat {
            guard let format = LogFormat(rawValue: logFormat) else {
                throw SettingsError("log_format: '\(logFormat)' is neither text nor json")
            }
            operation.logFormat = format
        }
        if let metrics {
            guard case .tcp(let host, let port)? = Endpoint(metrics) else {
                throw SettingsError("metrics: '\(metrics)' is not HOST:PORT, such as 127.0.0.1:9464")
            }
            guard insecure || isLoopback(host) else {
                throw SettingsError(
                    "metrics: '\(host)' can be reached from other machines, and metrics ask nobody who he is; listen on"
                        + " 127.0.0.1, or give --insecure if the network is trusted")
            }
            operation.metrics = .tcp(host: host, port: port)
        }
        operation.maxConnectionAge = try Self.age(maxConnectionAgeSeconds, "max_connection_age")
        operation.maxWatchAge = try Self.age(maxWatchAgeSeconds, "max_watch_age")
        switch staleReads {
        case nil, "refuse": break
        case "allow": operation.allowsStaleReads = true
        case let other?: throw SettingsError("stale_reads: '\(other)' is neither refuse nor allow")
        }
        switch differentSettings {
        case nil, "refuse": break
        case "allow": operation.allowsDifferentSettings = true
        case let other?: throw SettingsError("different_settings: '\(other)' is neither refuse nor allow")
        }
        if let startTimeoutSeconds, startTimeoutSeconds != 0 {
            operation.startTimeout = try Self.seconds(startTimeoutSeconds, "start_timeout")
        }
        return operation
    }

    private static func age(_ seconds: Double?, _ name: String) throws(SettingsError) -> Duration? {
        guard let seconds, seconds != 0 else { return nil }
        guard seconds >= 1, seconds <= 31_536_000 else {
            throw SettingsError("\(name): \(seconds) is not between 1 and 31536000 seconds, or 0 for no limit")
        }
        return .milliseconds(Int64(seconds * 1000))
    }
}
