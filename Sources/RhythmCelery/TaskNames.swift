/// Names of tasks, each written out or by how it begins (`bundles.*`).
public struct TaskNames: Sendable, Hashable, ExpressibleByArrayLiteral {
    private var whole: Set<String> = []
    private var beginnings: [String] = []

    /// - Throws: ``CeleryRunnerError`` for an empty name, and for a `*` that does not stand at the end.
    public init(_ patterns: [String]) throws(CeleryRunnerError) {
        for pattern in patterns {
            guard !pattern.isEmpty else { throw CeleryRunnerError("a task's name is empty") }
            guard !pattern.dropLast().contains("*") else {
                throw CeleryRunnerError("'\(pattern)': a * may stand at the end only, for every name that begins so")
            }
            add(pattern)
        }
    }

    /// Makes them of names that are known to be right.
    public init(arrayLiteral names: String...) { for name in names { add(name) } }

    private mutating func add(_ pattern: String) {
        if pattern.hasSuffix("*") { beginnings.append(String(pattern.dropLast())) } else { whole.insert(pattern) }
    }

    /// As they can be written, in order.
    public var patterns: [String] { (whole + beginnings.map { $0 + "*" }).sorted() }

    /// There are none.
    public var isEmpty: Bool { whole.isEmpty && beginnings.isEmpty }

    /// A task is one of them.
    public func contains(_ task: String) -> Bool {
        whole.contains(task) || beginnings.contains { task.hasPrefix($0) }
    }
}
