import Foundation

/// A folder for one run, removed with everything in it at its end.
struct ScratchFolder {
    let path: String

    /// - Parameter parent: where to make it. On a disk, not in memory: an fsync that costs nothing measures nothing.
    init(in parent: String) throws {
        path = parent + "/rhythm-bench-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: .min ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
