import Foundation
import RhythmCore

/// Files of the folder `proto`.
enum ProtoFolder {
    static func text(_ name: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "proto").appending(path: name), encoding: .utf8)
    }
}

/// One recorded frame.
struct Vector {
    var name: String
    /// With its length.
    var bytes: [UInt8]
    /// For frames that are to be refused.
    var callID: UInt64?
    var reason: String?
    var field: String?

    static func all(_ file: String) throws -> [Vector] {
        let entries = try JSON(parsing: try ProtoFolder.text("vectors/\(file).json")).value.arrayValue ?? []
        return entries.map { entry in
            Vector(
                name: entry["name"]?.stringValue ?? "", bytes: hex(entry["hex"]?.stringValue ?? ""),
                callID: entry["call_id"]?.intValue.map { UInt64($0) }, reason: entry["reason"]?.stringValue,
                field: entry["field"]?.stringValue)
        }
    }
}
