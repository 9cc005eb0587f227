import Foundation
import Glibc
import RhythmAuth

/// Changes a tokens file: whole or not at all, one program at a time, readable for its owner only.
struct TokensFileEditor {
    /// Where the file really is, behind links.
    private let path: String

    init(_ path: String) {
        self.path = URL(filePath: path).resolvingSymlinksInPath().path
    }

    /// The lines of the file; none if there is no file.
    ///
    /// - Throws: what cannot be read, or the first mistake in it.
    func read() throws(CommandFailure) -> (lines: [String], list: AccessList) {
        guard FileManager.default.fileExists(atPath: path) else { return ([], AccessList()) }
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw CommandFailure(
                .other, "cannot read \(path): \(error.localizedDescription)", advice: "It belongs to rhythmd's user.")
        }
        do throws(TokensFileError) {
            var lines = AccessList.lines(of: text)
            if lines.last == "" { lines.removeLast() }
            return (lines, try AccessList(text: text))
        } catch {
            throw CommandFailure(.usage, "\(path): \(error)", advice: "Correct the line, or remove it.")
        }
    }

    /// Reads the file, lets `change` make new lines of it, and writes them. Nobody else changes it meanwhile.
    func edit(
        _ change: (inout [String], AccessList) throws(CommandFailure) -> Void
    ) throws(CommandFailure) {
        let lock = try lockFolder()
        defer { close(lock) }
        var (lines, list) = try read()
        try change(&lines, list)
        let text = lines.map { $0 + "\n" }.joined()
        // What could not be read again would lock everybody out.
        do throws(TokensFileError) { _ = try AccessList(text: text) } catch {
            throw CommandFailure(.usage, error.message)
        }
        try replace(with: Array(text.utf8), folder: lock)
    }

    /// The folder is locked and not the file, which is replaced by another one each time.
    private func lockFolder() throws(CommandFailure) -> Int32 {
        let folder = URL(filePath: path).deletingLastPathComponent().path
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open \(folder)") }
        guard flock(descriptor, LOCK_EX) == 0 else {
            let failure = failure("lock \(folder)")
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    private func replace(with bytes: [UInt8], folder: Int32) throws(CommandFailure) {
        let temporary = path + ".new"
        // Left behind by one that was killed; the lock says that nobody writes it now.
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("make \(temporary)") }
        let isWritten = write(bytes, to: descriptor)
        // Root may change the file of rhythmd's user, who must still be able to read it.
        var status = stat()
        if stat(path, &status) == 0 { _ = fchown(descriptor, status.st_uid, status.st_gid) }
        guard isWritten, fsync(descriptor) == 0 else {
            let failure = failure("write \(temporary)")
            close(descriptor)
            unlink(temporary)
            throw failure
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else { throw failure("replace \(path)") }
        fsync(folder)
    }

    private func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    private func failure(_ what: String) -> CommandFailure {
        CommandFailure(.other, "cannot \(what): \(String(cString: strerror(errno)))")
    }
}
