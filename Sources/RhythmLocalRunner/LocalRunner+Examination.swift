import Dispatch
import Glibc
public import RhythmCore
public import RhythmEngine

extension LocalRunner {
    /// Looks whether the tasks that there are to run can be run, and whether there is room for what they leave.
    public func examine(_ needs: [TaskNeed], answer: @escaping @Sendable ([Finding]) -> Void) {
        lane.async { [configuration, places] in
            let examination = LocalExamination(
                tasksDirectory: configuration.tasksDirectory, supervisor: configuration.supervisorPath,
                dataDirectory: places.root)
            answer(examination.findings(needs))
        }
    }
}

/// What can be wrong with local tasks. Looks at files: not for a lane that must not block.
struct LocalExamination {
    let tasksDirectory: String
    let supervisor: String
    let dataDirectory: String

    func findings(_ needs: [TaskNeed]) -> [Finding] {
        var findings = [directory, disk]
        if access(supervisor, X_OK) != 0 {
            findings.append(
                Finding(
                    .error, "supervisor", "supervisor", "\(supervisor) cannot be executed: \(systemError)",
                    consequence: "no step can be started",
                    remedy: "put it back, or start rhythmd with --supervisor PATH"))
        }
        // One finding says it all if the directory cannot be read.
        guard findings[0].severity == .ok else { return findings }
        return findings + Dictionary(grouping: needs, by: \.task).compactMap { task, needs in finding(on: task, needs) }
    }

    private var directory: Finding {
        guard access(tasksDirectory, R_OK | X_OK) == 0 else {
            return Finding(
                .error, "tasks_directory", "tasks", "\(tasksDirectory) cannot be read: \(systemError)",
                consequence: "every step fails with TaskNotFound", remedy: "let the server's user read and enter it")
        }
        return Finding(.ok, "tasks_directory", "tasks", "\(tasksDirectory) can be read")
    }

    private func finding(on task: String, _ needs: [TaskNeed]) -> Finding? {
        let isDue = needs.contains { $0.isDue }
        do throws(Failure) {
            _ = try TaskDirectory(path: tasksDirectory).resolve(task)
            return nil
        } catch {
            let workflows = needs.map(\.workflows).max() ?? 0
            let whose = workflows == 1 ? "workflow \(needs[0].example)" : "\(workflows) workflows"
            return Finding(
                isDue ? .error : .warning, "task_unusable", "task \(task)", error.message,
                consequence: "the step of \(whose) \(isDue ? "fails" : "will fail") with \(error.type) when it starts",
                remedy: "make it an executable file in \(tasksDirectory), then resume the workflow if it has failed")
        }
    }

    private var disk: Finding {
        var info = statvfs()
        guard statvfs(dataDirectory, &info) == 0 else {
            return Finding(
                .error, "disk", "disk", "\(dataDirectory) cannot be looked at: \(systemError)",
                consequence: "steps cannot be started", remedy: "put the directory back, or start rhythmd with --data")
        }
        let block = UInt64(info.f_frsize)
        return Self.disk(
            dataDirectory, free: UInt64(info.f_bavail) * block, total: UInt64(info.f_blocks) * block,
            freeFiles: UInt64(info.f_favail), files: UInt64(info.f_files))
    }

    /// - Parameters:
    ///   - free: bytes that the server's user may still write.
    ///   - freeFiles: how many files may still be made; `files` is 0 where nobody counts them.
    static func disk(_ path: String, free: UInt64, total: UInt64, freeFiles: UInt64, files: UInt64) -> Finding {
        let mebibytes = free >> 20
        let seen = "\(mebibytes < 10_240 ? "\(mebibytes) MiB" : "\(mebibytes >> 10) GiB") are free for \(path)"
        if files > 0, freeFiles < 1000 {
            return Finding(
                freeFiles < 100 ? .error : .warning, "disk_files", "disk",
                "\(freeFiles) more files can be made in \(path)",
                consequence: "after that no step can be started, and no workflow stored",
                remedy: "delete files on that disk; 'rhythm delete' removes a workflow with its logs")
        }
        let severity: Finding.Severity = mebibytes < 100 ? .error : free < min(1 << 30, total / 20) ? .warning : .ok
        guard severity != .ok else { return Finding(.ok, "disk", "disk", seen) }
        return Finding(
            severity, "disk", "disk", seen,
            consequence: "when it is full no step can be started, its log ends, and no workflow is stored",
            remedy: "make room on that disk; 'rhythm delete' removes a workflow with its logs")
    }

    private var systemError: String { String(cString: strerror(errno)) }
}
