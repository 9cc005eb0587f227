import Foundation

/// What tasks noted down: one line `begin|end WORKFLOW STEP TASK_ID PID` each, appended in one write, so that the order
/// of the lines is the order in which it happened.
struct Journal: Sendable {
    let path: String

    struct Line: Sendable {
        let isBegin: Bool
        let workflow: String
        let step: String
        let taskID: String
        let pid: pid_t
    }

    /// The shell command that notes a line.
    static func note(_ word: String) -> String {
        "echo \"\(word) $RHYTHM_WORKFLOW_ID $RHYTHM_STEP $RHYTHM_TASK_ID $$\" >>JOURNAL"
    }

    var lines: [Line] {
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map { String($0) }
            guard words.count == 5, let pid = pid_t(words[4]) else { return nil }
            return Line(isBegin: words[0] == "begin", workflow: words[1], step: words[2], taskID: words[3], pid: pid)
        }
    }

    var begins: [Line] { lines.filter(\.isBegin) }

    /// What contradicts "one process an attempt, and never two of a step at once".
    func contradictions() -> [String] {
        var found: [String] = []
        var begun: Set<String> = []
        var running: [String: Line] = [:]
        for line in lines {
            let step = line.workflow + " " + line.step
            if line.isBegin {
                if !begun.insert(line.taskID).inserted { found.append("attempt \(line.taskID) of \(step) ran twice") }
                if let other = running[step] {
                    found.append("\(line.taskID) of \(step) began while \(other.taskID) ran")
                }
                running[step] = line
            } else if running[step]?.taskID == line.taskID {
                running[step] = nil
            }
        }
        return found
    }
}
