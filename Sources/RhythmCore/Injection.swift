/// Which keyword arguments the task of a step is given beside those that somebody asked for.
///
/// All of them by default, since most tasks take any keyword argument. A task that takes no others than its own
/// (`def copy(self, batch)`) can only be a step that is given none.
public struct Injection: OptionSet, Sendable, Hashable {
    /// One bit for each name.
    public let rawValue: UInt8

    /// Makes a choice of its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The workflow's id.
    public static let workflowID = Injection(rawValue: 1)
    /// The step's name.
    public static let step = Injection(rawValue: 2)
    /// The workflow's application.
    public static let appID = Injection(rawValue: 4)
    /// What a step says that says nothing.
    public static let all: Injection = [.workflowID, .step, .appID]

    /// Each name with its bit.
    private static let known: [(name: String, bit: Injection)] = [
        ("workflow_id", .workflowID), ("step", .step), ("app_id", .appID),
    ]

    /// All names that there are.
    public static let allNames = known.map(\.name)

    /// The names of the arguments, always in the same order.
    public var names: [String] { Self.known.filter { contains($0.bit) }.map(\.name) }

    /// Makes a choice of names; nil if one of them is not known.
    public init?(names: some Sequence<String>) {
        self = []
        for name in names {
            guard let found = Self.known.first(where: { $0.name == name }) else { return nil }
            insert(found.bit)
        }
    }
}
