import RhythmCore
import RhythmEngine

/// Reads the log segments of attempts, running or settled. Any thread.
struct LocalLogs: LogSource {
    let places: Places

    /// No more than this at once, whatever is asked for.
    private static let chunkBytesMax = 4 << 20

    private struct Segment {
        let path: String
        let offset: Int64
        let size: Int64
    }

    func readLog(of task: TaskID, from offset: Int64, limit: Int) -> LogChunk? {
        guard places.isValid(task) else { return nil }
        // A segment may be rotated away, or the directory move, between two looks; then look again.
        for _ in 0..<4 {
            if let chunk = tryRead(task, from: offset, limit: min(max(0, limit), Self.chunkBytesMax)) { return chunk }
        }
        return nil
    }

    private func tryRead(_ task: TaskID, from offset: Int64, limit: Int) -> LogChunk? {
        let attempt = places.attempt(task)
        let isLive = Files.exists(attempt.path)
        let folder = isLive ? attempt.path : places.keptLogs(task)
        guard isLive || Files.exists(folder) else { return nil }
        // Asked before the segments are looked at: what is complete then stays so.
        let isComplete = !isLive || attempt.isFinished
        let segments = segments(in: folder)
        guard let first = segments.first, let last = segments.last else {
            return LogChunk(offset: 0, bytes: [], end: 0, isComplete: isComplete)
        }
        let end = last.offset + last.size
        let wanted = offset < 0 ? end - min(end, offset == .min ? .max : -offset) : offset
        let start = min(max(wanted, first.offset), end)
        var bytes: [UInt8] = []
        for segment in segments where segment.offset + segment.size > start && bytes.count < limit {
            let position = start + Int64(bytes.count) - segment.offset
            let room = min(limit - bytes.count, Int(segment.size - position))
            guard let piece = Files.read(segment.path, from: position, limit: room), piece.count == room else {
                return nil
            }
            bytes += piece
        }
        return LogChunk(offset: start, bytes: bytes, end: end, isComplete: isComplete)
    }

    /// What there is, oldest first.
    private func segments(in folder: String) -> [Segment] {
        Files.names(in: folder).compactMap { name -> Segment? in
            guard name.hasPrefix("log."), let offset = Int64(name.dropFirst(4)),
                let info = Files.info(folder + "/" + name)
            else { return nil }
            return Segment(path: folder + "/" + name, offset: offset, size: info.size)
        }.sorted { $0.offset < $1.offset }
    }
}
