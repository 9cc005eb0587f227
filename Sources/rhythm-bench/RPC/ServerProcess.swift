import Foundation
import RhythmCore
import RhythmWire

/// ``ServeCase`` in a process of its own, so that its processor time can be told from the client's.
final class ServerProcess {
    let endpoint: Endpoint
    /// A workflow of three steps whose first one runs.
    let workflow: WorkflowID
    var processID: pid_t { process.processIdentifier }

    private let process = Process()
    private let input = Pipe()

    init(folder: String) throws {
        process.executableURL = URL(fileURLWithPath: ChildProcess.ownPath)
        process.arguments = ["case", "serve", "--folder", folder]
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let words = line.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let endpoint = Endpoint(String(words[0])) else {
            throw BenchError("the server did not start: '\(line)'")
        }
        self.endpoint = endpoint
        workflow = WorkflowID(String(words[1]))
    }

    func stop() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}
