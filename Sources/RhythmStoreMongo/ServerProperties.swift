package import RhythmCore
import RhythmMongo

/// What a server says of itself in its lease.
package struct ServerProperties: Sendable, Hashable {
    package var addresses: [String]
    package var version: String
    package var host: String
    package var startedAt: Timestamp?
    package var settings: SharedSettings

    package init(
        addresses: [String] = [], version: String = "", host: String = "", startedAt: Timestamp? = nil,
        settings: SharedSettings = SharedSettings()
    ) {
        self.addresses = addresses
        self.version = version
        self.host = host
        self.startedAt = startedAt
        self.settings = settings
    }

    /// Of a server that says nothing, or something else, as far as it can be understood.
    init(_ document: BSONDocument?) {
        let document = document ?? [:]
        self.init(
            addresses: document["addresses"]?.arrayValue?.compactMap(\.stringValue) ?? [],
            version: document["version"]?.stringValue ?? "", host: document["host"]?.stringValue ?? "",
            startedAt: (document["started_at"]?.int64Value).map { Timestamp(microseconds: $0) })
        // A list of pairs: names are no field names, which must not hold dots.
        for setting in document["settings"]?.arrayValue?.compactMap(\.documentValue) ?? [] {
            guard let name = setting["name"]?.stringValue, let value = setting["value"]?.stringValue else { continue }
            settings.values[name] = value
        }
    }

    var document: BSONDocument {
        var document: BSONDocument = [
            "addresses": .array(addresses.map { .string($0) }), "version": .string(version), "host": .string(host),
            "settings": .array(
                settings.values.sorted { $0.key < $1.key }.map {
                    .document(["name": .string($0.key), "value": .string($0.value)])
                }),
        ]
        if let startedAt { document["started_at"] = .int64(startedAt.microseconds) }
        return document
    }
}
