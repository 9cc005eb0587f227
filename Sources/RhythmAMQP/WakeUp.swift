import Glibc

/// Ends a thread's wait in `poll` from any other thread: a pipe whose content is of no importance.
final class WakeUp: Sendable {
    private let descriptor: Int32
    private let writer: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0, "pipe: \(String(cString: strerror(errno)))")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        descriptor = ends[0]
        writer = ends[1]
    }

    deinit {
        close(descriptor)
        close(writer)
    }

    func ring() {
        var byte: UInt8 = 0
        // Full means that it has been rung often enough.
        _ = write(writer, &byte, 1)
    }

    func clear() {
        var bytes = [UInt8](repeating: 0, count: 512)
        while read(descriptor, &bytes, bytes.count) == bytes.count {}
    }

    /// Waits until it is rung or `other` can be read, `limit` at most.
    func wait(orReadable other: Int32? = nil, limit: Duration) {
        var entries = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
        if let other { entries.append(pollfd(fd: other, events: Int16(POLLIN), revents: 0)) }
        _ = poll(&entries, nfds_t(entries.count), Int32(clamping: limit.milliseconds))
    }
}

extension Duration {
    /// Rounded up, never negative.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return max(0, seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
