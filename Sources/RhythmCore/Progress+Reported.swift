extension ProgressReport {
    /// So many bytes are kept of what a task reports besides how much is done.
    static let reportedBytes = 2048
    /// What follows from the rest, or is told by it.
    private static let known: Set<String> = [
        "name", "done", "total", "units", "fraction_done", "time_remaining_sec", "wt_avg_rate", "avg_rate",
    ]

    /// Reads what a task reports: an object with `done` and `total`, or with `fraction_done`, as the Python library's
    /// tasks write it, or any other. Whatever else stands in it is kept as it is. A text alone is a name.
    ///
    /// - Parameter passing: keys that are no report of the task's.
    /// - Returns: nil for what says nothing.
    public init?(reported value: JSONValue, passing: Set<String> = [], at: Timestamp) {
        if let text = value.stringValue, !text.isEmpty {
            let name = String(text.prefix(Self.reportedBytes / 8))
            self.init(
                name: name, done: 0, at: at, reported: JSON(.object([.init("name", .string(name))])), isCounted: false)
            return
        }
        guard case .object(let members) = value else { return nil }
        let name = value["name"]?.stringValue ?? ""
        let said = members.filter { !passing.contains($0.name) && $0.value != .null }
        let hasOwn = said.contains { !Self.known.contains($0.name) }
        let done = value["done"]?.doubleValue
        if let done, done.isFinite {
            self.init(
                name: name, done: done, total: value["total"]?.doubleValue,
                units: value["units"]?.stringValue ?? "", at: at, reported: hasOwn ? Self.bounded(said) : nil)
        } else if let fraction = value["fraction_done"]?.doubleValue, (0...1).contains(fraction) {
            self.init(name: name, done: fraction, total: 1, at: at, reported: hasOwn ? Self.bounded(said) : nil)
        } else if !said.isEmpty {
            self.init(name: name, done: 0, at: at, reported: Self.bounded(said), isCounted: false)
        } else {
            return nil
        }
    }

    /// As many members as there is room for; what is left out is said.
    private static func bounded(_ members: [JSONValue.Member]) -> JSON {
        let whole = JSON(.object(members))
        if whole.text.utf8.count <= reportedBytes { return whole }
        var kept: [JSONValue.Member] = []
        var room = reportedBytes - 64
        for member in members {
            let size = JSONValue.object([member]).compactText.utf8.count
            guard size <= room else { continue }
            room -= size
            kept.append(member)
        }
        kept.append(.init("...", .string("\(members.count - kept.count) more, too long to be kept")))
        return JSON(.object(kept))
    }
}

extension Progress {
    /// What the task has reported besides what this value says otherwise: its own keys, with their values.
    public var own: [JSONValue.Member] {
        guard let reported, case .object(let members) = reported.value else { return [] }
        let shown: Set<String> = ["name", "done", "total", "units", "fraction_done"]
        let derived: Set<String> = ["time_remaining_sec", "wt_avg_rate", "avg_rate"]
        return members.filter { !shown.contains($0.name) && !(isCounted && derived.contains($0.name)) }
    }

    /// A number that the task has reported; nil where what is counted tells it better.
    func reportedNumber(_ name: String) -> Double? {
        guard !isCounted, let number = reported?.value[name]?.doubleValue, number.isFinite, number >= 0 else {
            return nil
        }
        return number
    }

    /// Whether a task that reported this said how much is done.
    static func counts(_ reported: JSON) -> Bool {
        let value = reported.value
        if let done = value["done"]?.doubleValue, done.isFinite { return true }
        return value["fraction_done"]?.doubleValue.map { (0...1).contains($0) } ?? false
    }
}
