/// A record, read: which runs there were, in which order, and what clients asked and were told.
package struct RunRecord: Sendable {
    /// A place in the record: the line for the order, the clock for how long it took.
    package struct Moment: Sendable, Hashable {
        package var line: Int
        /// Seconds since boot.
        package var at: Double
    }

    /// One run of a task.
    package struct Run: Sendable {
        package var workflow: String
        package var step: String
        /// The attempt that it belongs to.
        package var id: String
        package var run: String
        package var process: String
        /// Nil for a task that no Celery worker ran.
        package var worker: String?
        package var retries: Int
        /// Its message was to be acknowledged when it has ended.
        package var acknowledgesLate: Bool
        package var given: String?
        package var begin: Moment
        package var end: Moment?
        package var outcome: String?
        package var gave: String?
        /// Runs whose processes it saw alive at its begin.
        package var besides: Set<String> = []

        package var succeeded: Bool { outcome == "success" }
    }

    /// A command or a read of a client.
    package struct Call: Sendable {
        package var workflow: String
        package var command: String
        package var asked: Moment
        package var told: Moment?
        /// The fields of both lines.
        package var fields: [String: String]

        package var isAccepted: Bool { fields["accepted"] == "1" }
    }

    package struct Fault: Sendable {
        package var what: RecordFault
        package var victim: String
        package var begin: Moment
        package var end: Moment?
    }

    package private(set) var runs: [Run] = []
    package private(set) var calls: [Call] = []
    package private(set) var faults: [Fault] = []
    /// Lines that nobody can have written whole.
    package private(set) var unreadable: [String] = []

    package init(_ text: String) {
        var index: [String: Int] = [:]
        for (number, raw) in text.split(separator: "\n", omittingEmptySubsequences: true).enumerated() {
            guard let line = RecordLine(parsing: raw) else {
                unreadable.append("line \(number + 1): \(raw)")
                continue
            }
            let moment = Moment(line: number + 1, at: line.at)
            switch line.word {
            case .begin:
                index[line["run"] ?? ""] = runs.count
                runs.append(Run(line, moment))
            case .beside:
                guard let place = index[line["run"] ?? ""], let other = line["other"] else { continue }
                runs[place].besides.insert(other)
            case .end:
                guard let place = index[line["run"] ?? ""] else { continue }
                runs[place].end = moment
                runs[place].outcome = line["outcome"]
                runs[place].gave = line["gave"]
            case .asked: calls.append(Call(line, moment))
            case .told: tell(line, moment)
            case .fault:
                guard let what = RecordFault(rawValue: line["what"] ?? "") else { continue }
                faults.append(Fault(what: what, victim: Self.victim(line), begin: moment))
            case .healed:
                let victim = Self.victim(line)
                let open = faults.lastIndex {
                    $0.end == nil && $0.what.rawValue == line["what"] && $0.victim == victim
                }
                if let open { faults[open].end = moment }
            }
        }
    }

    package func runs(of workflow: String) -> [Run] { runs.filter { $0.workflow == workflow } }

    package func calls(of workflow: String) -> [Call] { calls.filter { $0.workflow == workflow } }

    private mutating func tell(_ line: RecordLine, _ moment: Moment) {
        let open = calls.lastIndex {
            $0.told == nil && $0.workflow == line["workflow"] && $0.command == line["command"]
                && $0.fields["request"] == line["request"]
        }
        if let open {
            calls[open].told = moment
            calls[open].fields.merge(line.fields) { $1 }
        } else {
            // A read says nothing before it.
            var call = Call(line, moment)
            call.told = moment
            calls.append(call)
        }
    }

    private static func victim(_ line: RecordLine) -> String {
        if let pid = line["pid"], let start = line["start"] { return "\(pid).\(start)" }
        return line["victim"] ?? ""
    }
}

extension RunRecord.Run {
    init(_ line: RecordLine, _ moment: RunRecord.Moment) {
        workflow = line["workflow"] ?? ""
        step = line["step"] ?? ""
        id = line["id"] ?? ""
        run = line["run"] ?? ""
        process = "\(line["pid"] ?? "").\(line["start"] ?? "")"
        worker = line["worker"]
        retries = Int(line["retries"] ?? "") ?? 0
        acknowledgesLate = line["late"] == "1"
        given = line["given"].flatMap { $0.isEmpty ? nil : $0 }
        begin = moment
    }
}

extension RunRecord.Call {
    init(_ line: RecordLine, _ moment: RunRecord.Moment) {
        workflow = line["workflow"] ?? ""
        command = line["command"] ?? ""
        asked = moment
        fields = line.fields
    }
}
