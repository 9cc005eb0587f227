import RhythmTesting

/// A record that a test writes by hand. A tenth of a second passes from line to line.
struct RecordSketch {
    private(set) var lines: [String] = []
    private var at = 1_000_000_000_000

    /// Lets time pass.
    mutating func wait(_ seconds: Double) { at += Int(seconds * 1e9) }

    mutating func note(_ word: RecordLine.Word, _ fields: [String: String]) {
        at += 100_000_000
        var fields = fields
        fields["at"] = String(at)
        lines.append(RecordLine(word, fields).text)
    }

    /// A run of attempt `id` at step `step`; its process has a number of its own.
    mutating func begin(
        _ step: String, _ id: String, run: String? = nil, worker: String? = "w1@localhost", late: Bool = false,
        retries: Int = 0, given: String = "1", beside: [String] = [], workflow: String = "w"
    ) {
        let run = run ?? id
        var fields = who(step, id, run, workflow)
        fields["worker"] = worker
        fields["late"] = late ? "1" : "0"
        fields["retries"] = String(retries)
        fields["given"] = given
        note(.begin, fields)
        for other in beside {
            var fields = who(step, id, run, workflow)
            fields["other"] = other
            note(.beside, fields)
        }
    }

    mutating func end(
        _ step: String, _ id: String, run: String? = nil, _ outcome: String = "success", gave: String = "1",
        workflow: String = "w"
    ) {
        var fields = who(step, id, run ?? id, workflow)
        fields["outcome"] = outcome
        fields["gave"] = gave
        note(.end, fields)
    }

    /// A whole run.
    mutating func run(_ step: String, _ id: String, _ outcome: String = "success") {
        begin(step, id)
        end(step, id, outcome)
    }

    mutating func ask(_ command: String, _ fields: [String: String] = [:], workflow: String = "w") {
        note(.asked, fields.merging(["workflow": workflow, "command": command]) { $1 })
    }

    mutating func tell(_ command: String, _ fields: [String: String] = ["accepted": "1"], workflow: String = "w") {
        note(.told, fields.merging(["workflow": workflow, "command": command]) { $1 })
    }

    /// A command with its answer.
    mutating func command(_ command: String, _ told: [String: String] = ["accepted": "1"]) {
        ask(command)
        tell(command, told)
    }

    mutating func start(_ steps: String = "s0,s1") {
        ask("start", ["steps": steps, "given": "1"])
        tell("start")
    }

    mutating func read(_ status: String, _ fields: [String: String] = [:]) {
        tell("status", fields.merging(["status": status, "quiesced": "1"]) { old, _ in old })
    }

    mutating func fault(_ what: RecordFault, _ victim: String = "") {
        note(.fault, ["what": what.rawValue, "victim": victim])
    }

    mutating func killProcess(of run: String) {
        note(
            .fault,
            ["what": RecordFault.processKilled.rawValue, "pid": Self.pid(of: run), "start": Self.start(of: run)])
    }

    mutating func heal(_ what: RecordFault, _ victim: String = "") {
        note(.healed, ["what": what.rawValue, "victim": victim])
    }

    mutating func write(_ line: String) { lines.append(line) }

    var verdict: Judge.Verdict { Judge().verdict(on: lines.joined(separator: "\n")) }

    static func verdict(_ body: (inout RecordSketch) -> Void) -> Judge.Verdict {
        var sketch = RecordSketch()
        body(&sketch)
        return sketch.verdict
    }

    private func who(_ step: String, _ id: String, _ run: String, _ workflow: String) -> [String: String] {
        [
            "workflow": workflow, "step": step, "id": id, "run": run, "pid": Self.pid(of: run),
            "start": Self.start(of: run),
        ]
    }

    private static func pid(of run: String) -> String { String(100 + run.utf8.reduce(0) { $0 + Int($1) }) }

    private static func start(of run: String) -> String { "7" + pid(of: run) }
}
