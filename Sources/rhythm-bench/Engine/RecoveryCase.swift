import RhythmCore
import RhythmEngine

/// How long a server needs, after it was killed, until it owns every active workflow again. The store comes from a
/// process that ended without closing it, so its write-ahead log has to be recovered too.
enum RecoveryCase {
    static func run(in folder: String, active: Int) async throws -> Measurements {
        let begin = SystemFigures.nanoseconds
        let service = try await EngineBed.start(in: folder, runner: StartsCase.heldRunner())
        var result = Measurements()
        result["recovery_s"] = SystemFigures.seconds(since: begin)
        guard service.activeCount == active else {
            throw BenchError("\(service.activeCount) workflows were recovered instead of \(active)")
        }
        result["recovery_mib"] = SystemFigures.residentBytes / 1_048_576
        await service.stop()
        return result
    }
}
