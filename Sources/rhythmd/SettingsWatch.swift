import Dispatch
import Logging
import RhythmCore
import RhythmEngine

/// Tells the log once of each server of the store whose settings differ from this one's.
struct SettingsWatch {
    let directory: any ServerDirectory
    let serverID: String
    let logger: Logger

    /// Looks from time to time until it is cancelled.
    func run(every interval: Duration) async {
        var told: Set<Difference> = []
        while !Task.isCancelled {
            let directory = directory
            let servers = await withCheckedContinuation { (done: CheckedContinuation<[ServerEntry], Never>) in
                // It asks the database, and blocks.
                DispatchQueue.global(qos: .utility).async { done.resume(returning: (try? directory.servers()) ?? []) }
            }
            var present: Set<Difference> = []
            for server in servers where server.id != serverID && !server.isGone {
                for setting in server.differences { present.insert(Difference(server: server.id, setting: setting)) }
            }
            for difference in present.subtracting(told).sorted(by: { $0.setting.name < $1.setting.name }) {
                tell(difference)
            }
            told = present
            try? await Task.sleep(for: interval)
        }
    }

    private struct Difference: Hashable {
        let server: String
        let setting: SettingDifference
    }

    private func tell(_ difference: Difference) {
        logger.warning(
            "another server of this store has another setting: \(difference.setting.consequence)",
            metadata: [
                "setting": "\(difference.setting.name)", "here": "\(difference.setting.ours)",
                "there": "\(difference.setting.theirs)", "server": "\(difference.server)",
            ])
    }
}
