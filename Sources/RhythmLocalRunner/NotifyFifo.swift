import Dispatch
import Glibc

/// The fifo that supervisors write to when there is something to read. What is true stands in the files; a message
/// that gets lost costs the time until the next sweep.
final class NotifyFifo {
    enum Event: UInt8 {
        case started = 0x73  // s
        case reported = 0x70  // p
        case ended = 0x65  // e
    }

    private let source: any DispatchSourceRead

    /// Makes the fifo if need be and reads it on `lane`, until ``cancel()``.
    init(
        path: String, lane: DispatchQueue, onMessages: @escaping @Sendable ([(id: String, event: Event)]) -> Void
    ) throws(LocalRunnerError) {
        if mkfifo(path, 0o600) != 0, errno != EEXIST { throw Files.failure("make the fifo", path) }
        // For reading and writing: so there is always a writer, and the end of a supervisor is no end of file.
        let descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw Files.failure("open", path) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFIFO else {
            close(descriptor)
            throw LocalRunnerError("\(path) is in the way: it is not a fifo")
        }
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: lane)
        source.setEventHandler {
            let messages = Self.drain(descriptor)
            if !messages.isEmpty { onMessages(messages) }
        }
        source.setCancelHandler { close(descriptor) }
        source.activate()
    }

    func cancel() { source.cancel() }

    /// Messages are written whole, so a line never spans two reads unless somebody else writes here; then it is lost.
    private static func drain(_ descriptor: Int32) -> [(id: String, event: Event)] {
        var messages: [(id: String, event: Event)] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let n = read(descriptor, &buffer, buffer.count)
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return messages }
            for line in buffer[..<n].split(separator: UInt8(ascii: "\n")) {
                guard let last = line.last, let event = Event(rawValue: last), line.count > 2 else { continue }
                messages.append((String(decoding: line.dropLast(2), as: UTF8.self), event))
            }
        }
    }
}
