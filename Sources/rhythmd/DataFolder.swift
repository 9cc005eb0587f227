import Foundation
import Glibc
import RhythmEngine
import RhythmWire

/// The data directory of a server: made if it is missing, and locked for as long as this lives, so that no second server
/// reads or writes anything in it.
final class DataFolder {
    let path: String
    private let lock: FileLock

    init(_ path: String) throws(SettingsError) {
        self.path = path
        try Self.make(path)
        do throws(FileLock.Failure) {
            // Not through a link: whoever may write here could have us truncate a file somewhere else.
            lock = try FileLock(path + "/lock", mode: 0o600, flags: O_NOFOLLOW)
        } catch {
            switch error {
            case .system(let code):
                throw SettingsError("data: cannot lock '\(path)/lock': \(String(cString: strerror(code)))")
            case .held(let owner):
                let who = owner.map { "process \($0)" } ?? "another process"
                throw SettingsError(
                    "data: '\(path)' is used by \(who), which holds '\(path)/lock'; stop that server, or give this one"
                        + " a directory of its own (--data)")
            }
        }
    }

    /// Makes a directory for this user alone.
    static func make(_ path: String) throws(SettingsError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw SettingsError("cannot make the directory '\(path)': \(error.localizedDescription)")
        }
    }

    /// Tells this directory from copies of it, here and on other machines: whoever holds its lock knows that nobody else
    /// who says this is alive. A new one each time if the system does not help.
    var identity: String { lock.identity ?? RandomUUID.make() }

    /// Names this data directory; made by the first start.
    func serverID() throws(SettingsError) -> String {
        let file = path + "/server-id"
        if let known = try? String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(
            in: .whitespacesAndNewlines),
            !known.isEmpty
        {
            return known
        }
        let fresh = RandomUUID.make()
        try write(fresh + "\n", to: file)
        return fresh
    }

    /// Where the server listens, one address a line, for whoever let the system choose the port.
    private var endpointsFile: String { path + "/endpoints" }

    func publish(_ endpoints: [Endpoint]) throws(SettingsError) {
        try write(endpoints.map { $0.description + "\n" }.joined(), to: endpointsFile)
    }

    /// The server does not listen, or not yet.
    func withdrawEndpoints() { try? FileManager.default.removeItem(atPath: endpointsFile) }

    private func write(_ text: String, to file: String) throws(SettingsError) {
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: file), options: .atomic)
        } catch {
            throw SettingsError("data: cannot write '\(file)': \(error.localizedDescription)")
        }
    }
}
