import Glibc
import RhythmCore

/// The few file operations that the runner needs, with errors that name the path.
enum Files {
    /// The whole file, or its first `limit` bytes; nil if it cannot be read.
    static func read(_ path: String, limit: Int = 16 << 20) -> [UInt8]? {
        read(path, from: 0, limit: limit)
    }

    /// Up to `limit` bytes from `offset` on; nil if the file cannot be read.
    static func read(_ path: String, from offset: Int64, limit: Int) -> [UInt8]? {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var info = stat()
        guard fstat(fd, &info) == 0 else { return nil }
        // Files under /proc have no size; they are short and read in one go.
        let known = info.st_size > 0 ? max(0, Int(info.st_size) - Int(offset)) : 64 << 10
        let capacity = min(limit, known)
        guard capacity > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            while count < capacity, let base = buffer.baseAddress {
                let n = pread(fd, base + count, capacity - count, off_t(offset) + off_t(count))
                if n < 0, errno == EINTR { continue }
                guard n > 0 else { break }
                count += n
            }
        }
    }

    /// The file as text; nil if it cannot be read.
    static func readText(_ path: String) -> String? {
        read(path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Replaces a file in one step. `durable` waits until it is on the disk.
    static func replace(_ path: String, with bytes: [UInt8], durable: Bool = false) throws(LocalRunnerError) {
        let temporary = path + ".new"
        let fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw failure("create", temporary) }
        var done = 0
        var wrong: LocalRunnerError?
        while done < bytes.count, wrong == nil {
            let n = bytes.withUnsafeBytes { write(fd, $0.baseAddress.map { $0 + done }, bytes.count - done) }
            if n >= 0 { done += n } else if errno != EINTR { wrong = failure("write", temporary) }
        }
        if wrong == nil, durable, fsync(fd) != 0 { wrong = failure("sync", temporary) }
        close(fd)
        if wrong == nil, rename(temporary, path) != 0 { wrong = failure("rename", temporary) }
        if let wrong {
            unlink(temporary)
            throw wrong
        }
    }

    /// Makes an empty file unless it exists.
    static func touch(_ path: String) throws(LocalRunnerError) {
        let fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw failure("create", path) }
        close(fd)
    }

    /// Makes a directory for this user only, unless it exists; its parent has to.
    static func makeDirectory(_ path: String) throws(LocalRunnerError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("make directory", path) }
    }

    /// The names in a directory; empty if it cannot be read.
    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            // SAFETY: the kernel ends the name with NUL, inside the entry, which lives until the next readdir.
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Size and time of the last change; nil if there is no such file.
    static func info(_ path: String) -> (size: Int64, modified: Timestamp)? {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        let micros = Int64(info.st_mtim.tv_sec) * 1_000_000 + Int64(info.st_mtim.tv_nsec) / 1000
        return (Int64(info.st_size), Timestamp(microseconds: micros))
    }

    /// What went wrong just now, from errno.
    static func failure(_ operation: String, _ path: String) -> LocalRunnerError {
        LocalRunnerError("cannot \(operation) \(path): \(String(cString: strerror(errno)))")
    }
}
